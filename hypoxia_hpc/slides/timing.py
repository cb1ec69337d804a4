"""Seconds of what a slide's threads call again and again: one call of the clock before and one after."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides.sources import NativeSource
from hypoxia_hpc.tiling.cutting import BlockSource


class TimedSource:
    """A source of blocks for one thread, and the ``seconds`` that its blocks took so far."""

    def __init__(self, source: BlockSource) -> None:
        self._source, self._read = source, source.read
        self.grid = source.grid
        self.seconds = 0.0

    def read(self, number: int, out: UInt8Array) -> int:
        """As that source does it."""
        began = time.perf_counter()
        try:
            return self._read(number, out)
        finally:
            self.seconds += time.perf_counter() - began

    @property
    def read_seconds(self) -> float:
        """Those of them in which the file was read; 0 where a library reads and decodes at once."""
        return self._source.read_seconds if isinstance(self._source, NativeSource) else 0.0


class TimedNewTile:
    """What gives room for tiles, for one thread, and the ``seconds`` that this took so far."""

    def __init__(self, new_tile: Callable[[], UInt8Array]) -> None:
        self._new_tile = new_tile
        self.seconds = 0.0

    def __call__(self) -> UInt8Array:
        """As that one does it."""
        began = time.perf_counter()
        try:
            return self._new_tile()
        finally:
            self.seconds += time.perf_counter() - began


def read_and_decode(sources: Sequence[TimedSource]) -> tuple[float, float]:
    """Seconds of reading the file, and of decoding, of all threads."""
    read = sum(source.read_seconds for source in sources)
    return read, sum(source.seconds for source in sources) - read
