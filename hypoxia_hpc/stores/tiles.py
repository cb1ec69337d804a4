"""Tile stores, ``RUN/tiles/<slide_id>.zarr``: pixels, their coordinates and background fractions, one store a slide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hypoxia_hpc.records import Float32Array, Int64Array, Json, Tiles, UInt8Array
from hypoxia_hpc.stores.commit import commit_directory, machine_errors, temporary_directory
from hypoxia_hpc.stores.integrity import check_array, read_attributes, reading_store, sound_attributes, store_key
from hypoxia_hpc.stores.layout import (
    TILE_ARRAYS,
    check_attributes,
    store_nbytes,
    write_array,
    write_array_document,
    write_group_document,
)
from hypoxia_hpc.stores.shards import ShardWriter

PIXELS = TILE_ARRAYS["pixels"]


class TileWriter:
    """Takes the tiles of one slide in order, then commits; made by :func:`new_tile_store`."""

    def __init__(self, target: Path, folder: Path, tile_px: int) -> None:
        self._target = target
        self._folder = folder
        self._n_tiles = 0
        self._buffer = np.zeros((PIXELS.rows_per_chunk, tile_px, tile_px, 3), dtype=np.uint8)
        (folder / "pixels").mkdir()
        self._shard = ShardWriter(folder / "pixels" / PIXELS.chunk_name)

    def append(self, pixels: UInt8Array) -> None:
        """Add tiles, uint8 (k, px, px, 3), any k. Raises ValueError for another type or shape, MachineError."""
        if pixels.dtype != np.uint8 or pixels.shape[1:] != self._buffer.shape[1:]:
            raise ValueError(f"tiles must be uint8 (k, {self._buffer.shape[1:]}), got {pixels.dtype} {pixels.shape}")
        with machine_errors(self._target):
            while len(pixels):
                filled = self._n_tiles % len(self._buffer)
                part = pixels[: len(self._buffer) - filled]
                self._buffer[filled : filled + len(part)] = part
                self._n_tiles += len(part)
                pixels = pixels[len(part) :]
                if self._n_tiles % len(self._buffer) == 0:
                    self._shard.append(self._buffer)

    def commit(self, xy: Int64Array, background: Float32Array, attributes: Json) -> int:
        """Make the store appear under its name, and return its size in bytes.

        xy: int64 (n, 2), top left of each tile in level 0 pixels. background: float32 (n,), 0..1.
        attributes: JSON for the group, ``key`` among it; ``content`` is added.
        Raises ValueError where n is 0 or differs, MachineError.
        """
        n = self._n_tiles
        if n == 0 or xy.dtype != np.int64 or xy.shape != (n, 2):
            raise ValueError(f"xy must be int64 (n, 2) for n = {n} tiles, n above 0; got {xy.dtype} {xy.shape}")
        if background.dtype != np.float32 or background.shape != (n,):
            raise ValueError(f"background must be float32 ({n},), got {background.dtype} {background.shape}")
        check_attributes(attributes)
        with machine_errors(self._target):
            hashes = {
                f"pixels/{PIXELS.chunk_name}": self._finish_pixels(),
                **write_array_document(self._folder, "pixels", PIXELS, "uint8", (n, *self._buffer.shape[1:])),
                **write_array(self._folder, "xy", TILE_ARRAYS["xy"], xy),
                **write_array(self._folder, "background", TILE_ARRAYS["background"], background),
            }
            write_group_document(self._folder, attributes, hashes)
            nbytes = store_nbytes(self._folder)
        commit_directory(self._folder, self._target, lambda target: store_key(target) == attributes["key"])
        return nbytes

    def close(self) -> None:
        """Close the shard's file; called by :func:`new_tile_store`."""
        self._shard.close()

    def _finish_pixels(self) -> str:
        filled = self._n_tiles % len(self._buffer)
        if filled:
            self._buffer[filled:] = 0
            self._shard.append(self._buffer)
        return self._shard.finish()


@contextmanager
def new_tile_store(target: Path, tile_px: int) -> Iterator[TileWriter]:
    """Write a new tile store: ``append`` tiles, then ``commit``. Leaving the block without commit leaves nothing.

    Memory: one chunk of tiles. A store of the same key that is there already stays, one of another key is replaced.
    Raises MachineError.
    """
    with temporary_directory(target) as folder:
        with machine_errors(target):
            writer = TileWriter(target, folder, tile_px)
        try:
            yield writer
        finally:
            with machine_errors(target):
                writer.close()


def open_tiles(path: Path) -> Tiles:
    """Open a tile store after checking all but its pixels, which :func:`read_pixels` does slice by slice.

    Raises SlideError (damaged-store), MachineError.
    """
    import zarr

    with reading_store(path):
        attributes = sound_attributes(path, TILE_ARRAYS)
        arrays = {name: zarr.open_array(path / name, mode="r") for name in TILE_ARRAYS}
        return Tiles(
            slide_id=path.name.removesuffix(".zarr"),
            pixels=arrays["pixels"],
            xy=np.asarray(arrays["xy"][:], dtype=np.int64),
            background=np.asarray(arrays["background"][:], dtype=np.float32),
            attributes=attributes,
        )


def read_pixels(tiles: Tiles, start: int, stop: int) -> UInt8Array:
    """Tiles ``start`` to ``stop`` (not included), uint8 (k, px, px, 3).

    A plain slice of ``tiles.pixels`` would not do: Zarr reads what is missing as zeros. So the array is checked after
    every reading, and that no other store has taken its place (0.1 ms, however many tiles).
    Raises SlideError (damaged-store), MachineError.
    """
    store = Path(tiles.pixels.store.root).parent
    with reading_store(store):
        pixels = np.asarray(tiles.pixels[start:stop], dtype=np.uint8)
        check_array(store / "pixels", PIXELS)
        if read_attributes(store) != tiles.attributes:
            raise ValueError("it was replaced while it was read")
        return pixels
