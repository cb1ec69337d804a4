"""The colour of slides, from stores and from slides."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from feature_runs import make_run

from hypoxia_hpc.analysis.colours import SlideColour
from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.models.colours import slide_colours
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides import opening
from hypoxia_hpc.stages.tile import tile

REAL = Path(opening.__file__).parent / "CMU-1-Small-Region.svs"


class Noted(NoProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def colours(run: RunDir) -> tuple[dict[str, SlideColour], list[str]]:
    noted = Noted()
    found = slide_colours(run, run.config().tile, run.slides(), progress=noted, stop=threading.Event())
    return found, noted.notes


@pytest.fixture(scope="module", params=["store", "none"])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp(request.param))
    run.config_file.write_text(render_config(preset("hypoxia", {"tile": {"pixels": request.param}})))
    run.slides_file.write_text(f"slide_id,path,patient_id,cost\nreal,{REAL},P,1\n")
    tile(run, run.slides(), workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    return run


def test_of_a_real_slide(real: RunDir) -> None:
    found, notes = colours(real)
    assert found["real"] == pytest.approx((161.9, 111.4, 147.5, 0.13), abs=0.05)  # OpenSlide and NumPy
    assert notes == []


def test_what_can_be_read_from_neither_is_unknown_and_said(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", {}, n_patients=2, n_unlabelled=0
    )  # tiles without pixels, slides that are not there
    found, notes = colours(run)
    assert sorted(found) == [slide.slide_id for slide in run.slides()]
    assert all(np.isnan(one[:3]).all() and one.background == 0 for one in found.values())
    assert notes == [
        "the colour of 3 of 3 slides is not known, their pixels are neither in the tile store nor readable from the "
        "slide: S00-0, S01-0, S01-1"
    ]
    with pytest.raises(Stopped):
        slide_colours(run, run.config().tile, run.slides(), progress=NoProgress(), stop=stopped())


def test_without_a_sound_store_nothing_is_known(real: RunDir, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    (tmp_path / "run.toml").write_bytes(real.config_file.read_bytes())
    (tmp_path / "slides.csv").write_bytes(real.slides_file.read_bytes())
    found, notes = colours(run)
    assert np.isnan(found["real"]).all()
    assert len(notes) == 1


def stopped() -> threading.Event:
    event = threading.Event()
    event.set()
    return event
