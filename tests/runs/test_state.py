"""Where a slide stands, from what lies on disk."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypoxia_hpc.config import TileTable, preset, render_config
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt, write_receipt
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.stages.tile import tile


def test_another_mpp_in_slides_csv_makes_tiles_stale(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia")))
    slide = Slide("one", real_slide, "patient", 1)
    tile(run, [slide], workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    table = TileTable()
    assert tile_state(run, table, slide).status == "done"
    assert tile_state(run, table, replace(slide, mpp=0.25)).status == "todo"
    assert tile_state(run, table.model_copy(update={"white": 215}), slide).status == "todo"


def test_a_quarantine_is_told_to_hold_without_reading_the_slide(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia")))
    bad = Slide("bad", tmp_path / "bad.svs", "patient", 1)
    gone = Slide("gone", tmp_path / "gone.svs", "patient", 1)
    bad.path.write_bytes(b"no slide")
    tile(run, [bad, gone], workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    told = partial(tile_state, run, TileTable(), read_slides=False)
    assert [told(slide).status for slide in (bad, gone)] == ["quarantined", "quarantined"]
    bad.path.write_bytes(b"something else")
    assert told(bad).status == "quarantined"
    assert tile_state(run, TileTable(), bad).status == "todo"
    gone.path.write_bytes(b"it is back")
    assert told(gone).status == "todo"
    # What the user mends in the tables counts.
    assert [told(replace(slide, mpp=0.5)).status for slide in (bad, gone)] == ["todo", "todo"]
    assert tile_state(run, TileTable(white=200), bad, read_slides=False).status == "todo"


def test_a_quarantine_of_an_older_version_is_told_by_the_slide(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia")))
    bad = Slide("bad", tmp_path / "bad.svs", "patient", 1)
    bad.path.write_bytes(b"no slide")
    tile(run, [bad], workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    receipt = read_receipt(run.receipts("tile"), "bad")
    assert receipt is not None
    write_receipt(run.receipts("tile"), replace(receipt, details=None))
    assert tile_state(run, TileTable(), bad, read_slides=False).status == "quarantined"
    assert tile_state(run, TileTable(), replace(bad, mpp=0.5), read_slides=False).status == "todo"
    bad.path.write_bytes(b"something else")
    assert tile_state(run, TileTable(), bad, read_slides=False).status == "todo"
