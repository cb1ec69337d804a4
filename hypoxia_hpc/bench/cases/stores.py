"""Stores written and read, against the disk, the hash and the memory alone. Files are in the page cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from hypoxia_hpc.bench.bounds import write_and_fsync
from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.rounds import Work
from hypoxia_hpc.bench.stored_tiles import BATCH, read_shards, real_tiles, shard_of, write_store
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

TILES = 256
ROWS, LENGTH = 8000, 2048


@contextmanager
def writing(place: Place) -> Iterator[Prepared]:
    tiles, store = real_tiles()[:TILES], place.scratch / "new.zarr"
    n_bytes = write_store(store, tiles)
    shard = shard_of(store).read_bytes()
    shutil.rmtree(store)
    bounds: dict[str, Work] = {
        "the disk": partial(write_and_fsync, place.scratch, n_bytes),
        "the hash": partial(hashlib.sha256, shard),
    }
    tidy = partial(shutil.rmtree, store, ignore_errors=True)
    yield Prepared(TILES, partial(write_store, store, tiles), bounds, partial(check_tiles, store, tiles), tidy=tidy)


def check_tiles(store: Path, tiles: UInt8Array) -> str:
    """Write the store, and delete it. Raises WrongAnswerError unless zarr-python reads the tiles that were written."""
    import zarr

    write_store(store, tiles)
    found = zarr.open_array(store / "pixels", mode="r")[:]
    shutil.rmtree(store)
    require(np.array_equal(found, tiles), "zarr-python reads other pixels than were written")
    return "zarr-python reads the same pixels"


@contextmanager
def reading(place: Place) -> Iterator[Prepared]:
    tiles, store = real_tiles()[:TILES], place.scratch / "kept.zarr"
    write_store(store, tiles)

    def check() -> str:
        opened = open_tiles(store)
        parts = [read_pixels(opened, start, start + BATCH) for start in range(0, TILES, BATCH)]
        require(np.array_equal(np.concatenate(parts), tiles), "the store gives other pixels than were written")
        return "the pixels that were written"

    yield Prepared(TILES, partial(read_batches, store), {"reading the bytes": partial(read_shards, [store], 1)}, check)


def read_batches(store: Path) -> None:
    """Open, check, and read every tile, with all checksums compared."""
    opened = open_tiles(store)
    for start in range(0, TILES, BATCH):
        read_pixels(opened, start, start + BATCH)


@contextmanager
def features(place: Place) -> Iterator[Prepared]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, LENGTH)).astype(np.float16)
    xy, store = np.zeros((ROWS, 2), np.int64), place.scratch / "features.zarr"

    def write() -> int:
        return write_features(store, values, xy, {"key": "benchmark"})

    def check() -> str:
        write()
        same = np.array_equal(open_features(store).values, values)
        tidy()
        require(same, "the store gives other features than were written")
        return "the features that were written"

    tidy = partial(shutil.rmtree, store, ignore_errors=True)
    yield Prepared(ROWS, write, {"the disk": partial(write_and_fsync, place.scratch, values.nbytes)}, check, tidy=tidy)


CASES = (
    Case("tile-store", "stores", "write a tile store", "tiles", "the slower of disk and hash", writing, all_cores=True),
    Case("tile-store-read", "stores", "read a tile store, checksums compared", "tiles", "reading its bytes", reading),
    Case("feature-store", "stores", "write a feature store", "rows", "writing its bytes", features, all_cores=True),
)
