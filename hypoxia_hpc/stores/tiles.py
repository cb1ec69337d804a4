"""Tile stores, ``RUN/tiles/<slide_id>.zarr``: pixels, their coordinates and background fractions, one store a slide."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hypoxia_hpc.records import Float32Array, Int64Array, Json, ThreadSeconds, Tiles, UInt8Array
from hypoxia_hpc.stores.commit import commit_directory, machine_errors, temporary_directory
from hypoxia_hpc.stores.integrity import read_array, read_attributes, reading_store, sound_store, store_key
from hypoxia_hpc.stores.layout import (
    ArrayRule,
    check_attributes,
    store_nbytes,
    tile_arrays,
    write_array,
    write_group_document,
)
from hypoxia_hpc.stores.pixels import NoPixels, PixelsReader, PixelsWriter


class TileWriter:
    """Takes the tiles of one slide in order, then commits; made by :func:`new_tile_store`."""

    def __init__(self, target: Path, folder: Path, tile_px: int, rules: Mapping[str, ArrayRule]) -> None:
        self._target = target
        self._folder = folder
        self._rules = rules
        kept = rules.get("pixels")
        self._pixels = PixelsWriter(folder, kept, tile_px) if kept else NoPixels(tile_px)
        self._commit_seconds = 0.0

    @property
    def seconds(self) -> ThreadSeconds:
        """Of its threads so far, and of the caller in ``commit``; how long the caller waited in ``new_tile`` the caller
        knows."""
        pixels = self._pixels
        write = pixels.write_seconds + self._commit_seconds - pixels.waited_seconds
        return ThreadSeconds(encode=pixels.encode_seconds, write=write, wait=pixels.waited_seconds)

    def new_tile(self) -> UInt8Array:
        """Where the next tile has to be put: uint8 (px, px, 3), of undefined content.

        Fill it before the next call of ``new_tile`` or ``commit``, and do not touch it after that.
        Raises MachineError, also for tiles before this one, which threads pack and write meanwhile.
        """
        with machine_errors(self._target):
            return self._pixels.new_tile()

    def commit(self, xy: Int64Array, background: Float32Array, attributes: Json) -> int:
        """Make the store appear under its name, and return its size in bytes.

        xy: int64 (n, 2), top left of each tile in level 0 pixels. background: float32 (n,), 0..1.
        attributes: JSON for the group, ``key`` among it, and ``spec`` with ``pixels`` and ``codec`` as they were given
        to :func:`new_tile_store`, unless both are the defaults; ``content`` is added.
        Raises ValueError where n is 0 or something differs, MachineError.
        """
        began = time.perf_counter()
        n = self._pixels.n_tiles
        if n == 0 or xy.dtype != np.int64 or xy.shape != (n, 2):
            raise ValueError(f"xy must be int64 (n, 2) for n = {n} tiles, n above 0; got {xy.dtype} {xy.shape}")
        if background.dtype != np.float32 or background.shape != (n,):
            raise ValueError(f"background must be float32 ({n},), got {background.dtype} {background.shape}")
        check_attributes(attributes)
        if tile_arrays(attributes) != self._rules:
            raise ValueError("spec in the attributes has other pixels or another codec than the store was made with")
        with machine_errors(self._target):
            hashes = {
                **self._pixels.finish(),
                **write_array(self._folder, "xy", self._rules["xy"], xy),
                **write_array(self._folder, "background", self._rules["background"], background),
            }
            write_group_document(self._folder, attributes, hashes)
            nbytes = store_nbytes(self._folder)
        commit_directory(self._folder, self._target, lambda target: store_key(target) == attributes["key"])
        self._commit_seconds = time.perf_counter() - began
        return nbytes

    def close(self) -> None:
        """End the threads and close the file; called by :func:`new_tile_store`."""
        self._pixels.close()


@contextmanager
def new_tile_store(target: Path, tile_px: int, *, codec: str = "none", pixels: str = "store") -> Iterator[TileWriter]:
    """Write a new tile store: fill each ``new_tile``, then ``commit``. Leaving the block without it leaves nothing.

    codec, pixels: as in the [tile] table. Memory: 32 MiB of tiles, three of those larger than that, and as much packed.
    A store of the same key that is there already stays, one of another key is replaced. Raises MachineError.
    """
    rules = tile_arrays({"spec": {"codec": codec, "pixels": pixels}})
    with temporary_directory(target) as folder:
        with machine_errors(target):
            writer = TileWriter(target, folder, tile_px, rules)
        try:
            yield writer
        finally:
            with machine_errors(target):
                writer.close()


def open_tiles(path: Path) -> Tiles:
    """Open a tile store after checking all but its pixels, which :func:`read_pixels` does slice by slice.

    ``pixels`` of the result is None where the store keeps none. Raises SlideError (damaged-store), MachineError.
    """
    with reading_store(path):
        rules = tile_arrays(read_attributes(path))
        attributes, layouts = sound_store(path, rules)
        tiles = Tiles(
            slide_id=path.name.removesuffix(".zarr"),
            pixels=PixelsReader(path, rules["pixels"], layouts["pixels"][1]) if "pixels" in rules else None,
            xy=read_array(path / "xy", rules["xy"], layouts["xy"]),
            background=read_array(path / "background", rules["background"], layouts["background"]),
            attributes=attributes,
        )
        if read_attributes(path) != attributes:
            raise ValueError("it was replaced while it was read")
        return tiles


def read_pixels(tiles: Tiles, start: int, stop: int) -> UInt8Array:
    """Tiles ``start`` to ``stop`` (not included), uint8 (k, px, px, 3), of a store that keeps pixels.

    Raises SlideError (damaged-store) for what is not as it was written, or no longer the file that was opened,
    MachineError.
    """
    with reading_store(tiles.pixels.store):
        return np.asarray(tiles.pixels[start:stop])


def read_pixels_into(tiles: Tiles, start: int, stop: int, out: UInt8Array) -> int:
    """The same into the first rows of ``out``, which may be more than stop - start; how many rows were written, as
    ``PixelsReader.read_into`` does it. Raises as :func:`read_pixels`."""
    with reading_store(tiles.pixels.store):
        return int(tiles.pixels.read_into(start, stop, out))
