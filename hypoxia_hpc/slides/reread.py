"""Pixels of chosen tiles straight from a slide, for runs whose stores keep none (``[tile] pixels = "none"``)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Int64Array, ThreadSeconds, TilePlan, UInt8Array
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.timing import TimedSource, read_and_decode
from hypoxia_hpc.tiling.cutting import read_tiles
from hypoxia_hpc.tiling.plan import plan_tiles


@contextmanager
def slide_pixels(path: Path, table: TileTable, manifest_mpp: float | None, xy_l0: Int64Array) -> Iterator[ReadInOrder]:
    """A function ``read(start, stop)`` that gives tiles ``start`` to ``stop`` (not included) of those at ``xy_l0``,
    int64 (n, 2) in reading order, uint8 (k, px, px, 3): the pixels that a store would hold. The calls go
    from the first tile to the last, each tile once.

    Raises:
        SlideError: what opening and reading a slide raise, and ``slide-changed`` where its plan has no such tiles.
    """
    with opened_slide(path) as opened:
        plan = plan_tiles(opened.pyramid, table, manifest_mpp)
        reading = opened.reading(plan, table.reduce)
        chosen = _chosen(path, plan, xy_l0)
        source = TimedSource(*opened.sources(plan, reading, chosen))
        yield ReadInOrder(read_tiles(source, reading.tiles, chosen), source)


def _chosen(path: Path, plan: TilePlan, xy_l0: Int64Array) -> NDArray[np.bool_]:
    """Which tiles of the plan lie at ``xy_l0``, bool (n,)."""
    planned = {(int(x), int(y)): number for number, (x, y) in enumerate(plan.xy_l0)}
    numbers = [planned.get((int(x), int(y)), -1) for x, y in xy_l0]
    if min(numbers) < 0:
        raise SlideError(
            "slide-changed", f"{path} has no tile where its store says one is", remedy="run tile again, then extract"
        )
    chosen = np.zeros(plan.n_tiles, dtype=bool)
    chosen[numbers] = True
    return chosen


class ReadInOrder:
    """Made by :func:`slide_pixels`: cuts a stream of arrays into slices of any length."""

    def __init__(self, parts: Iterator[UInt8Array], source: TimedSource) -> None:
        self._parts, self._source = parts, source
        self._rest: UInt8Array | None = None
        self._seconds = 0.0

    @property
    def seconds(self) -> ThreadSeconds:
        """Of all calls so far."""
        return ThreadSeconds(*read_and_decode([self._source]), self._seconds - self._source.seconds)

    def __call__(self, start: int, stop: int) -> UInt8Array:
        """Tiles ``start``, where the last call ended, to ``stop`` (not included), uint8 (k, px, px, 3)."""
        began = time.perf_counter()
        try:
            return self._read(start, stop)
        finally:
            self._seconds += time.perf_counter() - began

    def _read(self, start: int, stop: int) -> UInt8Array:
        taken: list[UInt8Array] = []
        missing = stop - start
        while missing:
            part = next(self._parts) if self._rest is None else self._rest
            taken.append(part[:missing])
            self._rest = part[missing:] if len(part) > missing else None
            missing -= len(taken[-1])
        return np.concatenate(taken)
