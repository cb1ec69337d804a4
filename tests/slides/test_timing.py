"""Seconds of a slide by what its threads did: each slow thing made slower shows in its own entry."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide, ThreadSeconds, UInt8Array
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides import opening
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.reread import slide_pixels
from hypoxia_hpc.slides.slide_tiles import SlideTiles, cut_slide
from hypoxia_hpc.slides.sources import NativeSource
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores import pixels, shards, tiles
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles, read_pixels
from hypoxia_hpc.tiling import cutting

LONG = 0.3
TABLE = TileTable(tile_px=64)


def slower(function: Callable[..., Any], *, each: float = 0.0) -> Callable[..., Any]:
    """The same function, whose first call takes LONG more, and every other one ``each``."""
    more = itertools.chain([LONG], itertools.repeat(each))

    def slow(*given: Any, **named: Any) -> Any:
        time.sleep(next(more))
        return function(*given, **named)

    return slow


def cut(path: Path, threads: int = 1) -> SlideTiles:
    with opened_slide(path) as opened:
        slide = Slide("one", path, "P", 1)
        return cut_slide(opened, slide, TABLE, lambda: np.empty((64, 64, 3), np.uint8), threads=threads)


def made(path: Path, folder: Path, codec: str = "none") -> ThreadSeconds:
    run, table = RunDir(folder), TABLE.model_copy(update={"codec": codec})
    run.tiles("one").parent.mkdir(parents=True, exist_ok=True)
    work = TileStage(run, table).make(Slide("one", path, "P", 1), "key", lambda tiles: None)
    assert work.thread_seconds is not None
    return work.thread_seconds


def test_each_entry_is_above_0_and_those_of_the_slides_own_thread_are_within_its_time(
    real_slide: Path, tmp_path: Path
) -> None:
    began = time.perf_counter()
    seconds = made(real_slide, tmp_path)
    whole = time.perf_counter() - began
    assert min(asdict(seconds).values()) > 0
    assert seconds.read + seconds.decode + seconds.kernel + seconds.other < whole


@pytest.mark.parametrize(
    ("entry", "where", "name", "each"),
    [
        ("read", os, "pread", LONG / 2),  # the first is of the header
        ("decode", NativeSource, "_read_ahead", 0.0),
        ("kernel", cutting.assembly, "assemble_tile", 0.0),
        ("encode", pixels, "crc32c_of", 0.0),
        ("write", shards.ShardWriter, "_start_flush", 0.0),
        ("write", tiles, "commit_directory", 0.0),
        ("other", opening, "n_strips", 0.0),
    ],
)
def test_what_takes_longer_has_more_seconds(
    real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, where: Any, name: str, each: float
) -> None:
    monkeypatch.setattr(shards, "FLUSH_BYTES", 1)
    made(real_slide, tmp_path / "first")  # compiled
    monkeypatch.setattr(where, name, slower(getattr(where, name), each=each))
    slow = made(real_slide, tmp_path / "slow")
    assert getattr(slow, entry) >= LONG  # 1 to 30 ms without


def test_a_caller_that_is_given_no_room_waits(real_slide: Path) -> None:
    def no_room() -> UInt8Array:
        time.sleep(0.01)
        return np.empty((64, 64, 3), np.uint8)

    with opened_slide(real_slide) as opened:
        found = cut_slide(opened, Slide("one", real_slide, "P", 1), TABLE, no_room)
    assert found.seconds.wait >= 0.01 * found.counts.kept


def test_threads_that_share_a_slide_are_all_counted(real_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LEAST_STRIP", 1)
    cut(real_slide)
    monkeypatch.setattr(NativeSource, "_read_ahead", slower(NativeSource._read_ahead))
    began = time.perf_counter()
    shared = cut(real_slide, threads=2)
    whole = time.perf_counter() - began
    assert shared.threads == 2
    assert min(shared.seconds.decode, shared.seconds.kernel) > 0
    assert shared.seconds.decode >= LONG
    assert sum(asdict(shared.seconds).values()) < 2 * whole


def test_pixels_read_again_have_the_seconds_of_all_calls(real_slide: Path) -> None:
    xy = cut(real_slide).xy_l0
    with slide_pixels(real_slide, TABLE, None, xy) as read:
        began = time.perf_counter()
        for start in range(0, len(xy), 7):
            read(start, min(start + 7, len(xy)))
        whole = time.perf_counter() - began
        assert min(read.seconds.read, read.seconds.decode, read.seconds.kernel) > 0
        assert sum(asdict(read.seconds).values()) <= whole


@pytest.mark.parametrize("codec", ["none", "jpeg"])
def test_pixels_of_a_store_are_read_and_where_they_are_packed_decoded(
    real_slide: Path, tmp_path: Path, codec: str
) -> None:
    made(real_slide, tmp_path, codec)
    store = open_tiles(RunDir(tmp_path).tiles("one"))
    read_pixels(store, 0, len(store.xy))
    seconds = store.pixels.seconds
    assert seconds.read > 0
    assert (seconds.decode > seconds.read / 10) is (codec == "jpeg")


def test_a_store_without_pixels_has_no_seconds_of_packing(tmp_path: Path) -> None:
    with new_tile_store(tmp_path / "one.zarr", 64, pixels="none") as store:
        store.new_tile()
        assert store.seconds == ThreadSeconds()
