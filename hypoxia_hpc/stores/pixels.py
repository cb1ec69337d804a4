"""The array ``pixels`` of a tile store: tiles on their way into its shard, and out of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path

import numpy as np

from hypoxia_hpc.records import ThreadSeconds, UInt8Array
from hypoxia_hpc.stores.codecs import Packed
from hypoxia_hpc.stores.integrity import open_shard
from hypoxia_hpc.stores.layout import ArrayRule, chunk_nbytes_of, rows_per_chunk, write_array_document
from hypoxia_hpc.stores.shards import ShardWriter, crc32c_of

DTYPE = "uint8"
# Small chunks go to the threads together: 6 % more tiles of 299 px a second for jpeg, whose chunks are one tile.
BUFFER_BYTES = 2 * 2**20
# Tiles come in bursts, whenever a row of native tiles is decoded (100 tiles of 299 px on a slide of 30,000 px), and the
# threads go on with them while the next row is decoded. The least is three: one is filled, one packed, one written.
# The buffer that was written last is filled next: as long as the threads keep up, their buffers stay in the caches.
BUFFERED_BYTES = 32 * 2**20
LEAST_BUFFERS = 3


class PixelsWriter:
    """Writes the tiles of one slide, in order, as the array ``pixels`` of the store in ``folder``.

    The caller fills one buffer of tiles while a thread packs the one before and another thread hashes and writes the
    one before that. An error of a thread is raised by one of the next calls, and by every call after it.
    ``waited_seconds``: of the caller for these threads, in ``finish``.
    """

    def __init__(self, folder: Path, rule: ArrayRule, tile_px: int) -> None:
        self._store = folder
        self._rule = rule
        self._tile_shape = (tile_px, tile_px, 3)
        (folder / "pixels").mkdir()
        self._shard = ShardWriter(folder / "pixels" / rule.chunk_name)
        self._chunk_rows, chunk_nbytes = _chunk_size(rule, self._tile_shape)
        chunks = max(1, BUFFER_BYTES // chunk_nbytes)  # in a buffer
        self._buffer_rows = chunks * self._chunk_rows
        self._n_unmade = max(LEAST_BUFFERS, BUFFERED_BYTES // max(BUFFER_BYTES, chunks * chunk_nbytes))
        self._free: list[UInt8Array] = []
        self._writes: deque[Future[None]] = deque([_done()])
        self._buffer = self._free_buffer()
        self._packing = ThreadPoolExecutor(1, "pack")
        self._writing = ThreadPoolExecutor(1, "write")
        self._pack_seconds = self.waited_seconds = 0.0
        self.n_tiles = 0

    @property
    def encode_seconds(self) -> float:
        """Of packing and of checksums so far, of two threads."""
        return self._pack_seconds + self._shard.hash_seconds

    @property
    def write_seconds(self) -> float:
        """Of writing so far."""
        return self._shard.write_seconds

    def new_tile(self) -> UInt8Array:
        """Where the next tile has to be put, uint8 (px, px, 3), before the next call. Raises OSError."""
        place = self.n_tiles % self._buffer_rows
        if place == 0 and self.n_tiles:
            self._send(self._buffer_rows)
            self._buffer = self._free_buffer()
        self.n_tiles += 1
        tile: UInt8Array = self._buffer[place]
        return tile

    def finish(self) -> dict[str, str]:
        """Write what is left, the last chunk padded with zeros; the SHA-256 (hex) of the files by path. Raises OSError.

        There has to be a tile.
        """
        filled = (self.n_tiles - 1) % self._buffer_rows + 1
        padded = -(-filled // self._chunk_rows) * self._chunk_rows
        self._buffer[filled:padded] = 0
        self._send(padded)
        began = time.perf_counter()
        self._writes[-1].result()
        self.waited_seconds += time.perf_counter() - began
        shape = (self.n_tiles, *self._tile_shape)
        shard = {f"pixels/{self._rule.chunk_name}": self._shard.finish()}
        return {**shard, **write_array_document(self._store, "pixels", self._rule, DTYPE, shape)}

    def close(self) -> None:
        """End the threads and close the file, finished or not. Raises OSError."""
        self._packing.shutdown(cancel_futures=True)
        self._writing.shutdown(cancel_futures=True)
        self._shard.close()

    def _send(self, rows: int) -> None:
        packed = self._packing.submit(self._pack, self._buffer[:rows])
        self._writes.append(self._writing.submit(self._write, packed, self._writes[-1], self._buffer))

    def _pack(self, tiles: UInt8Array) -> list[tuple[Packed, bytes]]:
        began = time.perf_counter()
        starts = range(0, len(tiles), self._chunk_rows)
        chunks = [self._rule.codec.pack(tiles[start : start + self._chunk_rows]) for start in starts]
        packed = [(chunk, crc32c_of(chunk)) for chunk in chunks]
        self._pack_seconds += time.perf_counter() - began
        return packed

    def _write(self, packed: Future[list[tuple[Packed, bytes]]], before: Future[None], buffer: UInt8Array) -> None:
        before.result()  # that one is finished; where it failed this one fails too, and so does every later one
        self._shard.extend(packed.result())
        self._free.append(buffer)

    def _free_buffer(self) -> UInt8Array:
        """A buffer to fill, as soon as one is written; raises the first error of the writes so far."""
        while self._writes[0].done() and len(self._writes) > 1:
            self._writes.popleft().result()
        if not self._free and self._n_unmade:
            self._n_unmade -= 1
            self._free.append(np.empty((self._buffer_rows, *self._tile_shape), np.uint8))
        while not self._free:
            self._writes[0].result()
            self._writes.popleft()
        return self._free.pop()


class NoPixels:
    """Counts the tiles of a store that keeps none of their pixels."""

    encode_seconds = write_seconds = waited_seconds = 0.0

    def __init__(self, tile_px: int) -> None:
        self._tile = np.empty((tile_px, tile_px, 3), dtype=np.uint8)
        self.n_tiles = 0

    def new_tile(self) -> UInt8Array:
        """The same tile each time, for the caller to fill or not."""
        self.n_tiles += 1
        return self._tile

    def finish(self) -> dict[str, str]:
        """No file was written."""
        return {}

    def close(self) -> None:
        """There is nothing to close."""


class PixelsReader:
    """Pixels of a tile store, uint8 (n, px, px, 3), readable by slices ``[start:stop]``, or into place; several threads
    may read at once. ``shape`` is that of the array, which was checked. ``seconds``: of these threads so far, read from
    the file, checksums included, and decoded.

    Raises ValueError where the array or a chunk that is read is not what was written, OSError.
    """

    def __init__(self, store: Path, rule: ArrayRule, shape: tuple[int, ...]) -> None:
        self.store = store
        self._codec = rule.codec
        self.shape = shape
        self._rows = rows_per_chunk(rule, DTYPE, self.shape)
        self._shard = open_shard(store / "pixels", rule, DTYPE, self.shape)
        self._spare = threading.local()
        self._counting = threading.Lock()
        self.seconds = ThreadSeconds()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> UInt8Array:
        start, stop, _ = rows.indices(len(self))
        tiles = np.empty((max(0, stop - start), *self.shape[1:]), dtype=np.uint8)
        self.read_into(start, max(start, stop), tiles)
        return tiles

    def nbytes(self, start: int, stop: int) -> int:
        """Bytes in the file of the chunks that hold tiles ``start`` to ``stop`` (not included)."""
        return self._shard.nbytes(start // self._rows, -(-stop // self._rows))

    def read_into(self, start: int, stop: int, out: UInt8Array) -> int:
        """Read tiles ``start`` to ``stop`` (not included), of those there are, into the first rows of ``out``, uint8
        (at least stop - start, px, px, 3) in C order; the number of rows that were written.

        More rows than asked for are written where there is room: the rest of the last chunk too, since chunks are
        decoded in place.
        """
        if not 0 <= start <= stop <= len(self) or len(out) < stop - start or out.shape[1:] != self.shape[1:]:
            raise IndexError(f"tiles {start} to {stop} of {self.shape} do not go into {out.shape}")
        written = 0
        with self._shard.opened() as file:
            for first in range(start - start % self._rows, stop, self._rows):
                place = first - start
                if place >= 0 and place + self._rows <= len(out):
                    self._unpack(file, first, out[place : place + self._rows])
                    written = place + self._rows
                else:
                    written = self._copy_part(file, first, start, stop, out)
        return written

    def _copy_part(self, file: BufferedReader, first: int, start: int, stop: int, out: UInt8Array) -> int:
        """Copy from a chunk that begins before ``out`` or ends behind it, through a chunk buffer of this thread."""
        if not hasattr(self._spare, "tiles"):
            self._spare.tiles = np.empty((self._rows, *self.shape[1:]), dtype=np.uint8)
        self._unpack(file, first, self._spare.tiles)
        begin, end = max(start, first), min(stop, first + self._rows)
        out[begin - start : end - start] = self._spare.tiles[begin - first : end - first]
        return end - start

    def _unpack(self, file: BufferedReader, first: int, tiles: UInt8Array) -> None:
        number, began = first // self._rows, time.perf_counter()
        if self._codec.fixed:
            self._shard.read_chunk(file, number, tiles.reshape(-1))
            read = time.perf_counter()
        else:
            packed = self._shard.chunk(file, number)
            read = time.perf_counter()
            self._codec.unpack(packed, tiles)
        with self._counting:
            self.seconds += ThreadSeconds(read - began, time.perf_counter() - read)


def _chunk_size(rule: ArrayRule, tile_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Tiles of a chunk, and their bytes."""
    one_tile = (1, *tile_shape)
    return rows_per_chunk(rule, DTYPE, one_tile), chunk_nbytes_of(rule, DTYPE, one_tile)


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future
