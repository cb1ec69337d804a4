"""Tiles of a slide to a feature store: what is recorded, refused and said, two slides at once in one process."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_runs import change_setting, copy_run, digests, make_cohort, of

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import MachineError, NotReadyError
from hypoxia_hpc.models.extraction import ExtractStage
from hypoxia_hpc.monitoring.status import run_status
from hypoxia_hpc.networks.runtime import backend_name, start_keras
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import ExtractWork, Receipt, Slide
from hypoxia_hpc.runs.cohort import load_cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE, _note_replaced, extract, extract_stage
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.features import open_features
from hypoxia_hpc.stores.integrity import store_attributes
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles
from hypoxia_hpc.workers.slide_stage import ProcessSlide, work_through

N_SLIDES = 3


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three slides with tiles of 32 px, batches of 16 and a random VGG16."""
    run = make_cohort(tmp_path_factory.mktemp("cohort"), N_SLIDES)
    attend = ProcessSlide(TileStage(RunDir(run), RunDir(run).config().tile), retry=False)
    for slide in RunDir(run).slides():
        assert attend(slide, ignore_ticks).receipt.status == "done"
    return run


@pytest.fixture
def run(tiled: Path, tmp_path: Path) -> RunDir:
    return RunDir(copy_run(tiled, tmp_path / "run", ["tiles", "receipts/tile"]))


def ignore_ticks(tiles: int) -> None:
    """Listens to no tick."""


def work_of(run: RunDir, build: Callable[[], Any] | None = None) -> ExtractStage:
    work = extract_stage(run, run.config(), threads=1)
    return replace(work, plan=replace(work.plan, build=build)) if build else work


def processed(work: ExtractStage, slide: Slide) -> Receipt:
    return ProcessSlide(work, retry=False)(slide, ignore_ticks).receipt


# --- what is recorded --------------------------------------------------------------------------------------------


def test_a_receipt_says_where_the_time_went_and_a_store_what_its_bits_depend_on(run: RunDir) -> None:
    slide = run.slides()[0]
    receipt = processed(work_of(run), slide)
    tiles = open_tiles(run.tiles(slide.slide_id))
    told = receipt.details
    assert isinstance(told, ExtractWork)
    assert 0 <= told.waited_seconds <= told.device_seconds < receipt.seconds
    assert told.queued_seconds < 0.1
    assert told.bytes_read == tiles.pixels.nbytes(0, len(tiles.xy)) > 3 * 32**2 * len(tiles.xy)
    assert (told.threads, told.device, told.batch_size, told.note) == (1, "cpu", 16, "")
    seconds = told.thread_seconds
    assert seconds is not None
    assert 0 < seconds.read < receipt.seconds
    assert 0 < seconds.write < receipt.seconds
    assert (seconds.encode, seconds.kernel, seconds.wait) == (0, 0, 0)
    attributes = store_attributes(run.features("small", slide.slide_id)) or {}
    compute = attributes["compute"]
    assert compute["backend"] == backend_name()
    assert (compute["engine"], compute["precision"], compute["device"]) == ("keras", "float32", "cpu")
    assert (compute["batch_size"], compute["batch_size_asked"], compute["tile_px"]) == (16, 16, 32)
    assert compute["compiler"] == ("xla" if backend_name() == "jax" else "none")
    assert not {"threads", "host", "seconds"} & set(compute)


def test_two_slides_at_once_have_the_bytes_of_one_after_the_other(run: RunDir, tiled: Path, tmp_path: Path) -> None:
    other = RunDir(copy_run(tiled, tmp_path / "other", ["tiles", "receipts/tile"]))
    with ThreadPoolExecutor(SLIDES_AT_ONCE) as threads:
        assert {one.status for one in threads.map(lambda slide: processed(work_of(run), slide), run.slides())} == {
            "done"
        }
    for slide in other.slides():
        processed(work_of(other), slide)
    found = of(digests(run.root), "features/")
    assert len(found) == 5 * N_SLIDES
    assert found == of(digests(other.root), "features/")


# --- mixed up ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("backbone", '"resnet50"'), ("seed", "7"), ("dtype", '"float32"')])
def test_features_of_two_configs_are_never_mixed(run: RunDir, name: str, value: str) -> None:
    """The folder is the same: what is there counts as to do, is refused by later stages, and is replaced."""
    for slide in run.slides():
        processed(work_of(run, small_network), slide)
    old = {slide.slide_id: key_in(run, slide) for slide in run.slides()}
    assert len(load_cohort(run).done) == N_SLIDES
    change_setting(run.root, "extract", name, value)
    assert run_status(run).stages[1].todo == N_SLIDES
    first, *others = run.slides()
    assert processed(work_of(run, small_network), first).status == "done"
    assert key_in(run, first) != old[first.slide_id]
    with pytest.raises(NotReadyError, match="2 of 3 slides have no features yet") as caught:
        load_cohort(run)
    assert set(caught.value.offending) == {slide.slide_id for slide in others}
    for slide in others:
        processed(work_of(run, small_network), slide)
    assert len(load_cohort(run).done) == N_SLIDES
    assert not {key_in(run, slide) for slide in run.slides()} & set(old.values())


def key_in(run: RunDir, slide: Slide) -> str:
    return str(open_features(run.features("small", slide.slide_id)).attributes["key"])


def test_tiles_of_another_size_than_the_network_takes_are_refused(run: RunDir) -> None:
    slide = run.slides()[0]
    path = run.tiles(slide.slide_id)
    attributes = {name: value for name, value in (store_attributes(path) or {}).items() if name != "content"}
    n = len(open_tiles(path).xy)
    shutil.rmtree(path)
    with new_tile_store(path, 48) as store:
        for _ in range(n):
            store.new_tile()[:] = 7
        store.commit(np.zeros((n, 2), np.int64), np.zeros(n, np.float32), attributes)
    receipt = processed(work_of(run), slide)
    assert (receipt.status, receipt.reason) == ("quarantined", "tile-size")
    assert "tiles of its store have 48 px, the network takes 32" in receipt.detail


# --- what goes wrong ---------------------------------------------------------------------------------------------


def shaky_network(kind: str) -> Any:
    """Mean colours; of a special kind."""
    keras = start_keras()

    class Shaky(keras.layers.Layer):
        is_built = False

        def call(self, pixels: Any) -> Any:
            if self.is_built and kind == "lost":
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            if self.is_built and kind == "large" and pixels.shape[0] > 8:
                raise MemoryError("no room for so many")
            return pixels

    pixels = keras.Input((32, 32, 3), dtype="uint8")
    shaky = Shaky()
    colours = keras.ops.mean(keras.ops.cast(shaky(pixels), "float32"), axis=(1, 2))
    if kind == "nan":
        colours = keras.ops.sqrt(colours - 200.0)
    shaky.is_built = True
    return keras.Model(pixels, colours)


def small_network() -> Any:
    return shaky_network("sound")


def nan_network() -> Any:
    return shaky_network("nan")


def lost_network() -> Any:
    return shaky_network("lost")


def large_network() -> Any:
    return shaky_network("large")


def test_features_that_are_no_numbers_are_quarantined(run: RunDir) -> None:
    slide = run.slides()[0]
    receipt = processed(work_of(run, nan_network), slide)
    assert (receipt.status, receipt.reason) == ("quarantined", "non-finite-features")
    n = len(open_tiles(run.tiles(slide.slide_id)).xy)
    assert f"of {n} tiles have NaN or infinite features, the first is tile" in receipt.detail
    assert not run.features("small", slide.slide_id).exists()


def test_a_lost_device_costs_no_slide_an_attempt(run: RunDir) -> None:
    slide = run.slides()[0]
    with pytest.raises(MachineError, match="device was lost"):
        processed(work_of(run, lost_network), slide)
    assert read_receipt(run.receipts("extract", "small"), slide.slide_id) is None
    assert not run.features("small", slide.slide_id).exists()


class Notes(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.tiles = 0

    def note(self, text: str) -> None:
        self.said.append(text)

    def count(self, n: int) -> None:
        self.tiles += n


@pytest.mark.long  # halving: tests/networks/inference/test_feeding.py
def test_a_batch_that_does_not_fit_is_halved_said_and_recorded(run: RunDir) -> None:
    """In a worker process, two slides at once: it is said once, and holds for every slide."""
    notes = Notes()
    outcome = work_through(
        "extract small",
        run.slides(),
        work_of(run, large_network),
        workers=1,
        retry=False,
        progress=notes,
        stop=threading.Event(),
        at_once=SLIDES_AT_ONCE,
    )
    assert len(outcome.made) == N_SLIDES
    (said,) = notes.said
    assert "out of memory on the device with batches of 16 tiles, goes on with 8" in said
    for slide in run.slides():
        compute = open_features(run.features("small", slide.slide_id)).attributes["compute"]
        assert (compute["batch_size"], compute["batch_size_asked"]) == (8, 16)
        receipt = read_receipt(run.receipts("extract", "small"), slide.slide_id)
        assert receipt is not None and isinstance(receipt.details, ExtractWork)
        assert receipt.details.batch_size == 8


def test_the_whole_stage_tells_how_busy_the_device_was(run: RunDir) -> None:
    notes = Notes()
    outcome = extract(run, run.slides(), workers=None, retry=False, progress=notes, stop=threading.Event())
    assert len(outcome.made) == N_SLIDES
    assert notes.tiles == sum(receipt.rows for receipt in outcome.made)
    assert "RANDOM weights" in notes.said[0]
    (told,) = [json.loads(path.read_text()) for path in run.running.glob("extract-*.json")]
    assert told["device_seconds"] > 0
    works = [receipt.details for receipt in outcome.made if isinstance(receipt.details, ExtractWork)]
    assert told["bytes_read"] == sum(work.bytes_read or 0 for work in works)
    stage = run_status(run).stages[1]
    assert stage.device_time.waited_share == pytest.approx(
        sum(work.waited_seconds for work in works) / sum(work.device_seconds for work in works)
    )


def test_features_of_other_settings_are_not_replaced_without_a_word(run: RunDir) -> None:
    slides = run.slides()[:1]
    processed(work_of(run), slides[0])
    assert len(_said(run, slides)) == 1  # of random weights
    change_setting(run.root, "extract", "batch_size", "8")
    told = _said(run, slides)[1]
    assert "features/small was made with other settings (batch_size) and is made anew" in told


def test_a_run_keeps_to_the_weights_that_were_fetched(run: RunDir) -> None:
    slides = run.slides()[:1]
    processed(work_of(run), slides[0])
    work, notes = work_of(run), Notes()
    exchanged = replace(work, spec={**work.spec, "weights_digest": "0" * 64})
    with pytest.raises(NotReadyError, match="was made with weights of SHA-256 random") as caught:
        _note_replaced(exchanged, slides, ExtractTable(backbone="uni"), notes)
    assert "0" * 64 in caught.value.problem and not notes.said
    _note_replaced(exchanged, slides, ExtractTable(backbone="resnet50"), notes)
    assert "(weights_digest) and is made anew" in notes.said[0]


def _said(run: RunDir, slides: Sequence[Slide]) -> list[str]:
    notes = Notes()
    extract(run, slides, workers=None, retry=False, progress=notes, stop=threading.Event())
    return notes.said


def test_more_gpus_than_there_are_cannot_go_on(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    change_setting(run.root, "site", "gpus", "2")
    with pytest.raises(MachineError, match=r"\[site\] gpus = 2"):
        extract(run, run.slides(), workers=None, retry=False, progress=NoProgress(), stop=threading.Event())
