"""Writing and reading tile stores, per codec and chunk size, and their bounds, in one run: python benchmarks/stores.py

Tiles of 299 px cut from the slide of the package at four offsets, again and again up to TILES. Medians of ROUNDS rounds
in which everything takes turns. Columns, in tiles a second except the first:

    KB       thousand bytes a tile takes in the shard
    pack     the encoder alone: one thread, chunk by chunk, nothing written
    hash     SHA-256 of the shard alone
    disk     the disk alone: the bytes of the shard written and fsynced by one thread
    write    a store: tiles copied into place, packed, checksummed, hashed, written, fsynced
    share    write, of the least of pack, hash and disk; the three overlap, as far as there are free cores
    read     a store in batches of 32 from the page cache, one thread, every checksum compared
    zarr     the same by zarr-python's own pipeline; zarrs: by the zarrs package, if it is installed (every core)

``--only CODEC`` and ``--chunk TILES`` (each repeatable) run a part of it; ``--folder DIR`` tries another disk.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import zarr

from hypoxia_hpc.bench.stored_tiles import BATCH, TILE_PX, TILES, real_tiles
from hypoxia_hpc.stores import layout
from hypoxia_hpc.stores.codecs import CODECS
from hypoxia_hpc.stores.integrity import check_array
from hypoxia_hpc.stores.layout import ArrayRule, tile_arrays
from hypoxia_hpc.stores.pixels import PixelsReader, PixelsWriter

ROUNDS = 5
CHUNK_SIZES = (1, 4, 8, 16, 32)
PIPELINES = {"zarr": "zarr.core.codec_pipeline.BatchedCodecPipeline", "zarrs": "zarrs.ZarrsCodecPipeline"}
COLUMNS = ("pack", "hash", "disk", "write", "read", "zarr", "zarrs")


def write(folder: Path, rule: ArrayRule, tiles: np.ndarray) -> None:
    folder.mkdir()
    writer = PixelsWriter(folder, rule, TILE_PX)
    for tile in tiles:
        writer.new_tile()[:] = tile
    writer.finish()
    writer.close()
    fsync(folder / "pixels" / rule.chunk_name)


def write_and_fsync(path: Path, data: memoryview) -> None:
    with path.open("xb", buffering=0) as file:
        for start in range(0, len(data), 2**21):
            file.write(data[start : start + 2**21])
        os.fsync(file.fileno())


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def reader_of(folder: Path, rule: ArrayRule) -> PixelsReader:
    return PixelsReader(folder, rule, check_array(folder / "pixels", rule)[1])


def read(folder: Path, rule: ArrayRule) -> None:
    reader = reader_of(folder, rule)
    for start in range(0, TILES, BATCH):
        reader[start : start + BATCH]


def read_by(pipeline: str, folder: Path) -> None:
    with zarr.config.set({"codec_pipeline.path": PIPELINES[pipeline]}):
        array = zarr.open_array(folder / "pixels", mode="r")
        for start in range(0, TILES, BATCH):
            array[start : start + BATCH]


class Case:
    """One codec at one chunk size, and a store of it."""

    def __init__(self, codec: str, chunk_tiles: int, tiles: np.ndarray, folder: Path) -> None:
        self.name = f"{codec} {chunk_tiles}"
        rule = replace(tile_arrays({"spec": {"codec": codec}})["pixels"], most_rows=chunk_tiles)
        store, scratch = folder / self.name, folder / f"{self.name} bytes"
        write(store, rule, tiles)
        shard = memoryview((store / "pixels" / rule.chunk_name).read_bytes())
        self.nbytes = len(shard) / TILES
        if not CODECS[codec].tile_by_tile:
            assert (reader_of(store, rule)[0:TILES] == tiles).all()  # noqa: S101
        self.works: dict[str, Callable[[], object]] = {
            "pack": lambda: [rule.codec.pack(tiles[i : i + chunk_tiles]) for i in range(0, TILES, chunk_tiles)],
            "hash": lambda: hashlib.sha256(shard).digest(),
            "disk": lambda: write_and_fsync(scratch, shard),
            "write": lambda: write(store, rule, tiles),
            "read": lambda: read(store, rule),
        }
        if not CODECS[codec].tile_by_tile:  # zarr-python needs Python 3.12 and imagecodecs-zarr for these
            self.works["zarr"] = lambda: read_by("zarr", store)
            if importlib.util.find_spec("zarrs"):
                self.works["zarrs"] = lambda: read_by("zarrs", store)
        self.makes = {"write": store, "disk": scratch}
        self.rates: dict[str, list[float]] = {work: [] for work in self.works}

    def run(self) -> None:
        for name, work in self.works.items():
            if name in self.makes:  # deleting takes time as well
                remove(self.makes[name])
            started = time.perf_counter()
            work()
            self.rates[name].append(TILES / (time.perf_counter() - started))

    def row(self) -> str:
        medians = {name: statistics.median(rates) for name, rates in self.rates.items()}
        share = statistics.median(
            written / min(bounds)
            for written, *bounds in zip(*(self.rates[name] for name in ("write", "pack", "hash", "disk")), strict=True)
        )
        cells = [f"{medians[name]:9,.0f}" if name in medians else f"{'-':>9}" for name in COLUMNS]
        return f"{self.name:10}{self.nbytes / 1e3:9.1f}{''.join(cells[:4])}{share:9.0%}{''.join(cells[4:])}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", choices=CODECS)
    parser.add_argument("--chunk", action="append", type=int)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    layout.MOST_CHUNK_BYTES = 2**30  # for the chunks that are tried here
    tiles = real_tiles()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        cases = [
            Case(codec, size, tiles, Path(folder))
            for codec in arguments.only or CODECS
            for size in ((1,) if CODECS[codec].tile_by_tile else arguments.chunk or CHUNK_SIZES)
        ]
        for _ in range(ROUNDS):
            for case in cases:
                case.run()
    print(f"{'codec':10}{'KB':>9}" + "".join(f"{name:>9}" for name in (*COLUMNS[:4], "share", *COLUMNS[4:])))
    print("\n".join(case.row() for case in cases))


if __name__ == "__main__":
    main()
