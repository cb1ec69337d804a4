"""Tiles of many stores in random order, for training: read in runs as they lie on disk, shuffled in a window.

Reading single tiles at random would read every chunk of a store eight times. So short runs of tiles are read in random
order, and the tiles of `WINDOW_RUNS` runs are mixed in memory. All of it is a function of seed and epoch.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config import Balance
from hypoxia_hpc.records import Int64Array, UInt8Array

RUN_TILES = 8  # a chunk of a tile store
# 1,024 tiles are mixed, and as many read ahead: 2 x 275 MB of 299 px.
WINDOW_RUNS = 128
# Reading and unpacking release the interpreter lock. With fewer threads the next window may come late; more of them
# help only where the disk answers as many at once.
TILE_READERS = 4

TileBatch = tuple[UInt8Array, Int64Array]
ReadTiles = Callable[[int, int], UInt8Array]


@dataclass(frozen=True, slots=True)
class TileSource:
    """``n`` tiles, all of class ``label``, from 0; ``read(start, stop)`` gives pixels uint8 (stop - start, px, px, 3),
    in any thread."""

    read: ReadTiles
    n: int
    label: int


class TileStream:
    """Batches of ``batch_size`` tiles, or of all there are where they are fewer; tiles that fill no batch at the end of
    an epoch are left out of it. Memory: two windows of tiles."""

    def __init__(
        self, sources: Sequence[TileSource], tile_px: int, *, balance: Balance, batch_size: int, seed: int
    ) -> None:
        self._sources = sources
        self._tile_px = tile_px
        self._balance = balance
        self._seed = seed
        n_tiles = int(_n_tiles(self._runs(0)).sum())
        self.batch_size = min(batch_size, n_tiles)
        self.steps_per_epoch = n_tiles // self.batch_size

    def batches(self, epoch: int, first: int) -> Generator[TileBatch, None, None]:
        """Pixels uint8 (batch_size, px, px, 3) and labels int64 (batch_size,) from step ``first`` of an epoch on.
        Raises what a ``read`` raises."""
        runs = self._runs(epoch)
        starts = np.concatenate([[0], np.cumsum(_n_tiles(runs))])[:-1:WINDOW_RUNS]
        begin = first * self.batch_size
        window = int(np.searchsorted(starts, begin, side="right")) - 1
        with ThreadPoolExecutor(TILE_READERS, "read-tiles") as readers:
            try:
                windows = self._windows(readers, runs, epoch, window)
                batches = _rebatched(windows, self.batch_size, begin - int(starts[window]))
                yield from itertools.islice(batches, self.steps_per_epoch - first)
            finally:
                readers.shutdown(cancel_futures=True)

    def _runs(self, epoch: int) -> Int64Array:
        return epoch_runs(self._sources, self._balance, np.random.default_rng([self._seed, epoch]))

    def _windows(self, readers: ThreadPoolExecutor, runs: Int64Array, epoch: int, first: int) -> Iterator[TileBatch]:
        """Windows from number ``first`` on, mixed; the next one is read while one is used."""
        ahead: deque[_Window] = deque()
        for number in range(first, -(-len(runs) // WINDOW_RUNS)):
            part = runs[number * WINDOW_RUNS : (number + 1) * WINDOW_RUNS]
            rng = np.random.default_rng([self._seed, epoch, 1 + number])
            ahead.append(_Window(self._sources, part, self._tile_px, rng, readers))
            if len(ahead) == 2:
                yield ahead.popleft().tiles()
        while ahead:
            yield ahead.popleft().tiles()


class _Window:
    """The tiles of some runs on their way into one array, each to a place drawn at random."""

    def __init__(
        self,
        sources: Sequence[TileSource],
        runs: Int64Array,
        tile_px: int,
        rng: np.random.Generator,
        readers: ThreadPoolExecutor,
    ) -> None:
        ends = np.cumsum(_n_tiles(runs))
        places = np.split(rng.permutation(int(ends[-1])), ends[:-1])
        self._pixels = np.empty((int(ends[-1]), tile_px, tile_px, 3), dtype=np.uint8)
        self._labels = np.empty(len(self._pixels), dtype=np.int64)
        self._reads = [
            readers.submit(self._read, sources[index], start, stop, to)
            for (index, start, stop), to in zip(runs.tolist(), places, strict=True)
        ]

    def tiles(self) -> TileBatch:
        """All of them, once they are read. Raises what a ``read`` raised."""
        for read in self._reads:
            read.result()
        return self._pixels, self._labels

    def _read(self, source: TileSource, start: int, stop: int, places: Int64Array) -> None:
        self._pixels[places] = source.read(start, stop)
        self._labels[places] = source.label


def _rebatched(windows: Iterable[TileBatch], size: int, skipped: int) -> Iterator[TileBatch]:
    """Tiles of windows in batches of ``size``, the first ``skipped`` tiles left out; the rest is dropped."""
    parts: list[TileBatch] = []
    missing = size
    for pixels, labels in windows:
        at, skipped = skipped, 0
        while at < len(labels):
            part = slice(at, at + missing)
            parts.append((pixels[part], labels[part]))
            at += len(parts[-1][1])
            missing -= len(parts[-1][1])
            if not missing:
                yield _joined(parts)
                parts, missing = [], size


def _joined(parts: list[TileBatch]) -> TileBatch:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([pixels for pixels, _ in parts]), np.concatenate([labels for _, labels in parts])


def one_after_another(sources: Sequence[TileSource]) -> ReadTiles:
    """All tiles of the sources as those of one."""
    ends = np.cumsum([source.n for source in sources])

    def read(start: int, stop: int) -> UInt8Array:
        parts = []
        for source, end in zip(sources, ends.tolist(), strict=True):
            begin = end - source.n
            if start < end and begin < stop:
                parts.append(source.read(max(start, begin) - begin, min(stop, end) - begin))
        return np.concatenate(parts)

    return read


def epoch_runs(sources: Sequence[TileSource], balance: Balance, rng: np.random.Generator) -> Int64Array:
    """What an epoch reads, in random order: source, first tile, tile after the last, int64 (k, 3).

    Every tile once; with ``balance`` "sample" those of smaller classes are repeated evenly (whole runs, the last one
    cut short) until there are as many of them.
    """
    runs = [_runs_of(index, source.n) for index, source in enumerate(sources)]
    if balance != "sample":
        return rng.permutation(np.concatenate(runs))
    classes = [
        np.concatenate([part for part, source in zip(runs, sources, strict=True) if source.label == label])
        for label in sorted({source.label for source in sources})
    ]
    most = max(int(_n_tiles(part).sum()) for part in classes)
    return rng.permutation(np.concatenate([_repeated(rng.permutation(part), most) for part in classes]))


def _runs_of(index: int, n: int) -> Int64Array:
    starts = np.arange(0, n, RUN_TILES, dtype=np.int64)
    return np.stack([np.full_like(starts, index), starts, np.minimum(starts + RUN_TILES, n)], axis=1)


def _n_tiles(runs: Int64Array) -> Int64Array:
    return runs[:, 2] - runs[:, 1]


def _repeated(runs: Int64Array, n: int) -> Int64Array:
    """The runs over and over until they hold ``n`` tiles, the last one cut short."""
    times = -(-n // int(_n_tiles(runs).sum()))
    repeated = np.tile(runs, (times, 1))
    ends = np.cumsum(_n_tiles(repeated))
    last = int(np.searchsorted(ends, n))
    repeated[last, 2] -= ends[last] - n
    return repeated[: last + 1]
