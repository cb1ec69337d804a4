"""Tiles through a network that does nothing: what is left is opening, checking, and copying into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from hypoxia_hpc.bench.rounds import usable_cores
from hypoxia_hpc.bench.stored_tiles import BATCH, TILE_PX
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.models.extraction import SlidePixels, StoredPixels
from hypoxia_hpc.networks.inference.device import Device
from hypoxia_hpc.networks.inference.engines import Engine, aligned_batch
from hypoxia_hpc.networks.inference.feeding import TileRows, features_of
from hypoxia_hpc.records import Float32Array, Int64Array, UInt8Array
from hypoxia_hpc.slides.reread import slide_pixels
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE
from hypoxia_hpc.stores.tiles import open_tiles


@lru_cache(maxsize=1)
def idle_device() -> Device:
    """A network that does nothing."""
    features = np.zeros((BATCH, 1), np.float32)
    return _device(lambda batch: features)


def _device(compute: Callable[[UInt8Array], object]) -> Device:
    engine = Engine(aligned_batch, compute, lambda started: started, {})
    return Device(lambda shape: engine, TILE_PX, BATCH, readers=len(usable_cores()))


def summing_device() -> Device:
    """A network whose feature is `tile_sums`."""
    return _device(lambda batch: tile_sums(batch)[:, None])


def tile_sums(tiles: UInt8Array) -> Float32Array:
    """The sum of the bytes of each tile modulo 2**24, so that float32 holds it to the last bit: float32 (n,)."""
    sums = tiles.reshape(len(tiles), -1).sum(axis=1, dtype=np.int64)
    rounded: Float32Array = (sums % 2**24).astype(np.float32)
    return rounded


Opened = Callable[[], AbstractContextManager[TileRows]]


def feed_all(slides: Sequence[Opened]) -> None:
    """Tiles of every slide through the network, as many slides at once as in a worker process."""
    with ThreadPoolExecutor(SLIDES_AT_ONCE) as threads:
        list(threads.map(feed, slides))


def feed(slide: Opened) -> None:
    """One of them."""
    features_of(idle_device(), slide, lambda tiles: None)


@contextmanager
def opened(store: Path) -> Iterator[TileRows]:
    """The pixels of a store, after all but them was checked."""
    yield StoredPixels(open_tiles(store))


@contextmanager
def opened_from_slide(path: Path, table: TileTable, xy_l0: Int64Array) -> Iterator[TileRows]:
    """The pixels of tiles at ``xy_l0``, int64 (n, 2), from the slide itself, as of stores with ``pixels = "none"``."""
    with slide_pixels(path, table, None, xy_l0) as read:
        yield SlidePixels(len(xy_l0), read)
