"""What the report says of the time that a thousand slides take: by the receipts of slides that were tiled."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path

import pytest

from hypoxia_hpc.bench.slides import REAL_SLIDE
from hypoxia_hpc.config import preset
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.stages.tile import tile

STOP = threading.Event()


def test_core_hours_of_a_thousand_slides_are_those_of_the_receipts(tmp_path: Path) -> None:
    run, slides = RunDir(tmp_path / "run"), tmp_path / "slides"
    slides.mkdir()
    shutil.copy(REAL_SLIDE, slides)
    init(run, preset("hypoxia"), slides)
    tile(run, run.slides(), workers=1, retry=False, progress=NoProgress(), stop=STOP)
    page = report(run, progress=NoProgress(), stop=STOP).read_text(encoding="utf-8")
    said = re.search(r"A thousand slides like these take, by their receipts: tile ([0-9.e+-]+) core-hours\.", page)
    assert said is not None
    [slide] = run.slides()
    receipt = read_receipt(run.receipts("tile"), slide.slide_id)
    assert receipt is not None
    assert receipt.details is not None
    core_seconds = receipt.seconds * receipt.details.threads  # type: ignore[union-attr]  # a receipt of tile
    assert float(said[1]) == pytest.approx(1000 * core_seconds / 3600, rel=0.01)
    # In a process that compiles the kernels, all else may be too little to be said.
    assert re.search(r"What the threads of a slide did, of all their seconds: tile: .*kernel \d+%", page)
