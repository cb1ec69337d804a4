"""Tile stores of real H&E for benchmarks, and what reading and writing their bytes alone is."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from hypoxia_hpc.bench.slides import REAL_SLIDE
from hypoxia_hpc.records import Json, UInt8Array
from hypoxia_hpc.slides.openslide_reader import open_slide
from hypoxia_hpc.stores.tiles import new_tile_store
from hypoxia_hpc.tiling.kernels.packed import count_background

TILE_PX, TILES, BATCH = 299, 496, 32
OFFSETS = ((0, 0), (101, 57), (53, 211), (229, 149))
RAW_BYTES = 8 * 2**20
ATTRIBUTES: Json = {"key": "benchmark", "spec": {}}


@cache
def real_tiles() -> UInt8Array:
    """Tiles with at most 25 % background, uint8 (TILES, 299, 299, 3); those of one offset do not overlap."""
    with open_slide(REAL_SLIDE) as slide:
        rgba = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))
    squares = [
        np.ascontiguousarray(rgba[y : y + TILE_PX, x : x + TILE_PX])
        for left, top in OFFSETS
        for y in range(top, rgba.shape[0] - TILE_PX, TILE_PX)
        for x in range(left, rgba.shape[1] - TILE_PX, TILE_PX)
    ]
    packed = [(square, square.view("<u4")[..., 0]) for square in squares]
    kept = [square[..., :3] for square, whole in packed if count_background(whole, 0, TILE_PX, 220) <= TILE_PX**2 // 4]
    return np.stack([kept[number % len(kept)] for number in range(TILES)])


def write_store(path: Path, tiles: UInt8Array) -> int:
    """A tile store as ``tile`` writes it by default, of uint8 (n, px, px, 3); its bytes."""
    with new_tile_store(path, tiles.shape[1]) as store:
        for tile in tiles:
            store.new_tile()[:] = tile
        return store.commit(np.zeros((len(tiles), 2), np.int64), np.zeros(len(tiles), np.float32), ATTRIBUTES)


def tile_stores(folder: Path, n_stores: int, n_tiles: int) -> list[Path]:
    """Tile stores of H&E, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}-{n_tiles}.zarr" for number in range(n_stores)]
    for number, path in enumerate(paths):
        if not path.exists():
            write_store(path, real_tiles()[(np.arange(n_tiles) + 7 * number) % TILES])
    return paths


def read_shards(stores: Sequence[Path], n_threads: int) -> None:
    """Every byte of every shard, into memory that is used again, and nothing else."""
    with ThreadPoolExecutor(n_threads) as threads:
        list(threads.map(read_some, [stores[number::n_threads] for number in range(n_threads)]))


def read_some(stores: Sequence[Path]) -> None:
    """The shards of some stores, one after the other."""
    memory = bytearray(RAW_BYTES)
    for store in stores:
        with shard_of(store).open("rb", buffering=0) as file:
            while file.readinto(memory):
                pass


def shard_of(store: Path) -> Path:
    """The file that holds the pixels."""
    return store / "pixels" / "c.0.0.0.0"
