"""Where a slide stands, from what lies on disk."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from feature_runs import NAME, make_run

from hypoxia_hpc.config import RunConfig, TileTable, preset, render_config
from hypoxia_hpc.errors import MachineError, NotReadyError, SlideError
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Receipt, Slide, SlideSource
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, slide_tile_key, unread_tile_key
from hypoxia_hpc.runs.receipts import COHORT, read_receipt, write_receipt
from hypoxia_hpc.runs.stages import Stage, registry
from hypoxia_hpc.runs.state import (
    SlideState,
    added_states,
    feature_state,
    feature_states,
    is_current,
    require_ready,
    run_spec,
    tile_state,
)
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.stores.integrity import store_key


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


def test_tiles_that_are_done_say_what_they_are(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {}, n_patients=2, n_unlabelled=0)
    first = run.slides()[0]
    document = run.tiles(first.slide_id) / "zarr.json"
    held = json.loads(document.read_bytes())
    held["attributes"]["plan"]["reader"] = "openslide"
    document.write_text(json.dumps(held))
    receipt = Receipt(first.slide_id, "quarantined", "of another time")
    write_receipt(run.receipts("tile"), receipt)
    state = tile_state(run, run.config().tile, first)
    assert (state.slide, state.stage, state.status, state.reader, state.tiles) == (
        first,
        "tile",
        "done",
        "openslide",
        "",
    )
    assert state.key == store_key(run.tiles(first.slide_id))
    assert state.receipt == read_receipt(run.receipts("tile"), first.slide_id)
    other = Slide("other", first.path, "patient", 1)
    write_receipt(run.receipts("tile"), replace(receipt, name="other"))
    assert tile_state(run, run.config().tile, other) == SlideState(other, "tile", "todo")


def test_a_receipt_that_says_done_is_no_quarantine_and_makes_no_tiles(tmp_path: Path) -> None:
    """Its store was deleted: the slide is to do, whatever the receipt says."""
    run, slide = RunDir(tmp_path), Slide("gone", tmp_path / "gone.svs", "patient", 1)
    receipt = Receipt("gone", "quarantined", unread_tile_key(TileTable(), slide, "missing-file"), "missing-file")
    write_receipt(run.receipts("tile"), receipt)
    written = read_receipt(run.receipts("tile"), "gone")
    expected = SlideState(slide, "tile", "quarantined", receipt.key, written)
    assert tile_state(run, TileTable(), slide) == tile_state(run, TileTable(), slide, read_slides=False) == expected
    write_receipt(run.receipts("tile"), replace(receipt, status="done"))
    assert tile_state(run, TileTable(), slide) == SlideState(slide, "tile", "todo")


def test_a_slide_whose_regions_cannot_be_read_is_quarantined_by_its_reason(tmp_path: Path) -> None:
    """Its key is that of an unread slide, whether a slide is there or the receipt names it."""
    slide = Slide("one", tmp_path / "one.svs", "patient", 1)
    slide.path.write_bytes(b"a slide")
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions" / "one.geojson").mkdir()
    run, table = RunDir(tmp_path), TileTable(regions=str(tmp_path / "regions"))
    with pytest.raises(SlideError) as caught:
        slide_tile_key(table, slide, "")
    receipt = Receipt("one", "quarantined", unread_tile_key(table, slide, caught.value.reason), caught.value.reason)
    for details in (None, SlideSource("of the slide")):
        write_receipt(run.receipts("tile"), replace(receipt, details=details))
        for read_slides in (True, False):
            state = tile_state(run, table, slide, read_slides=read_slides)
            assert (state.status, state.key) == ("quarantined", receipt.key)


def test_features_are_done_for_the_present_tiles_and_table_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {}, n_patients=2, n_unlabelled=0)
    config, (slide, *_) = run.config(), run.slides()
    spec, tiles = run_spec(config), tile_state(run, config.tile, run.slides()[0])
    receipts, expected = run.receipts("extract", NAME), extract_key(run_spec(config), tiles.key)
    done = SlideState(slide, "extract", "done", expected, None, tiles=tiles.key)
    assert feature_state(run, NAME, spec, tiles) == done
    assert feature_states(run, config, [slide], spec) == [done]
    todo = SlideState(slide, "extract", "todo")
    write_receipt(receipts, Receipt(slide.slide_id, "quarantined", expected, "damaged-store"))
    written = read_receipt(receipts, slide.slide_id)
    assert feature_state(run, NAME, spec, tiles) == replace(done, receipt=written)
    shutil.rmtree(run.features(NAME, slide.slide_id))
    held = SlideState(slide, "extract", "quarantined", expected, written)
    assert feature_state(run, NAME, spec, tiles) == held
    assert feature_state(run, "other", spec, tiles) == todo
    assert feature_state(run, NAME, {**spec, "tile_px": 1}, tiles) == todo
    write_receipt(receipts, Receipt(slide.slide_id, "done", expected))
    assert feature_state(run, NAME, spec, tiles) == todo
    before = SlideState(slide, "tile", "quarantined", "key")
    assert feature_state(run, NAME, spec, before) is before
    write_receipt(receipts, Receipt(slide.slide_id, "quarantined", extract_key(spec, "")))
    assert feature_state(run, NAME, spec, SlideState(slide, "tile", "todo")) == todo


OWN_STAGES = """
from hypoxia_hpc.runs.stages import Stage

def key(run, state):
    return f"{run.root.name} {state.slide.slide_id} {state.stage} {state.key}"

FIRST = Stage("first", "slide", (), "cpu", "own_stages:none", "", key="own_stages:key")
LATER = Stage("later", "slide", ("tile", "first"), "cpu", "own_stages:none", "", key="own_stages:key")
COUNT = Stage("count", "slide", ("tile",), "cpu", "own_stages:none", "", key="own_stages:key")
"""


@pytest.fixture
def own_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three stages of another package are installed."""
    info = tmp_path / "site" / "own_stages-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-stages\nVersion: 1.0\n")
    entries = "".join(f"{name} = own_stages:{name.upper()}\n" for name in ("first", "later", "count"))
    (info / "entry_points.txt").write_text(f"[hypoxia_hpc.stages]\n{entries}")
    (info.parent / "own_stages.py").write_text(OWN_STAGES)
    monkeypatch.syspath_prepend(info.parent)
    registry.cache_clear()
    yield
    registry.cache_clear()
    sys.modules.pop("own_stages", None)


@pytest.mark.usefixtures("own_stages")
def test_added_stages_are_judged_by_their_receipts(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    one, two, three = (Slide(name, tmp_path / name, "patient", 1) for name in ("one", "two", "three"))
    held = SlideState(three, "tile", "quarantined", "tiles")
    known = {"tile": [SlideState(one, "tile", "done", "tiles"), SlideState(two, "tile", "todo"), held]}
    first, key = SlideState(one, "first", "todo"), "run one first run one  "
    assert added_states(run, [one], known)["first"] == [first]
    write_receipt(run.receipts("first"), Receipt("one", "done", "run one  "))
    write_receipt(run.receipts("later"), Receipt("one", "quarantined", key))
    write_receipt(run.receipts("count"), Receipt("one", "done", "run one tile tiles"))
    write_receipt(run.receipts("count"), Receipt("two", "done", "run two tile tiles"))
    receipts = {name: read_receipt(run.receipts(name), "one") for name in ("first", "later", "count")}
    states = added_states(run, [one, two, three], known)
    assert set(states) == {"first", "later", "count"}
    assert states["first"] == [
        SlideState(one, "first", "done", "run one  ", receipts["first"]),
        SlideState(two, "first", "todo"),
        SlideState(three, "first", "todo"),
    ]
    assert states["later"][0] == SlideState(one, "later", "quarantined", key, receipts["later"])
    assert states["count"] == [
        SlideState(one, "count", "done", "run one tile tiles", receipts["count"]),
        SlideState(two, "count", "todo"),
        held,
    ]
    unknown = added_states(run, [one, two], {"tile": []})
    assert unknown["count"] == [SlideState(one, "count", "todo"), SlideState(two, "count", "todo")]


def key_of_cohort(run: RunDir, features: Sequence[SlideState]) -> str:
    return " ".join([run.root.name, *(state.key for state in features)])


def test_the_result_of_a_cohort_is_current_by_its_receipt(tmp_path: Path) -> None:
    run, slide = RunDir(tmp_path / "run"), Slide("one", tmp_path / "one.svs", "patient", 1)
    stage = Stage("whole", "cohort", ("extract",), "cpu", "none:none", "", key=f"{__name__}:key_of_cohort")
    features = [SlideState(slide, "extract", "done", "features")]
    assert not is_current(run, stage, features)
    receipt = Receipt(COHORT, "done", "run features", of="cohort")
    write_receipt(run.receipts("whole"), receipt)
    assert is_current(run, stage, features)
    assert not is_current(run, stage, [])
    write_receipt(run.receipts("whole"), replace(receipt, status="quarantined"))
    assert not is_current(run, stage, features)


def test_the_spec_follows_run_toml_and_its_weights() -> None:
    config = preset("hypoxia", {"tile": {"tile_px": 75}, "extract": {"weights": "random", "seed": 3}})
    spec = run_spec(config)
    assert (spec["tile_px"], spec["weights_digest"]) == (75, "random:1:3")
    assert spec["backbone"] == config.extract.backbone


def test_weights_are_looked_for_where_the_site_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(tmp_path / "elsewhere"))
    config = preset("hypoxia", {"site": {"weights": str(tmp_path / "site")}})
    with pytest.raises(MachineError, match=str(tmp_path / "site")):
        run_spec(config)
    with pytest.raises(MachineError, match=str(tmp_path / "elsewhere")):
        run_spec(preset("hypoxia"))


def test_a_cohort_is_ready_when_no_slide_is_to_do(tmp_path: Path) -> None:
    slides = [Slide(name, tmp_path / name, "patient", 1) for name in ("a", "b", "c", "d")]
    of = [SlideState(slide, "extract", "todo") for slide in slides]
    ready = [replace(of[1], status="done"), replace(of[3], status="quarantined")]
    require_ready(RunDir(Path("/run")), ready, RunConfig())
    with pytest.raises(NotReadyError) as caught:
        require_ready(RunDir(Path("/run")), [of[0], ready[0], of[2], ready[1]], RunConfig())
    assert caught.value.problem == "2 of 4 slides have no features yet (for the present run.toml)"
    assert caught.value.offending == ("a", "c")
    assert caught.value.remedy == "hypoxia-hpc tile /run && hypoxia-hpc extract /run"
