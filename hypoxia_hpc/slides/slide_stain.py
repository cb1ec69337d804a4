"""The sample of a slide's tiles that its stain is fitted on: of those that the background rule keeps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.slides.opening import OpenedSlide
from hypoxia_hpc.slides.planning import SlidePlan
from hypoxia_hpc.slides.stain_fit import SEED, Sample, n_sampled
from hypoxia_hpc.tiling.cutting import cut_tiles
from hypoxia_hpc.tiling.kernels.state import CutRule


def sample_tissue(opened: OpenedSlide, planned: SlidePlan, selected: NDArray[np.bool_], table: TileTable) -> Sample:
    """Tiles that the background rule keeps, of the selected ones, bool (n,), drawn in rounds until there are enough or
    all were drawn. Tiles that do not decode are left out. Raises what sources raise."""
    sample, wanted = Sample(), n_sampled(table)
    for drawn in _rounds(np.flatnonzero(selected), wanted):
        chosen = np.zeros_like(selected)
        chosen[drawn] = True
        for tile in _read(opened, planned, chosen, table):
            sample.add(tile, table)
        if len(sample.tiles) >= wanted // 2:
            break
    del sample.tiles[wanted:]
    return sample


def _rounds(numbers: Int64Array, first: int) -> Iterator[Int64Array]:
    """All numbers, shuffled: ``first`` of them, then twice as many each time."""
    shuffled, size = np.random.default_rng(SEED).permutation(numbers), first
    while len(shuffled):
        yield shuffled[:size]
        shuffled, size = shuffled[size:], 2 * size


def _read(opened: OpenedSlide, planned: SlidePlan, chosen: NDArray[np.bool_], table: TileTable) -> Iterator[UInt8Array]:
    """All chosen tiles that decode, background too, in reading order."""
    tiles: list[UInt8Array] = []

    def new_tile() -> UInt8Array:
        tiles.append(np.empty((table.tile_px, table.tile_px, 3), dtype=np.uint8))
        return tiles[-1]

    [source] = opened.sources(planned.plan, planned.reading, chosen)
    cut_tiles([source], planned.reading.tiles, CutRule(255, table.tile_px**2, screen=False), chosen, new_tile)
    return iter(tiles)
