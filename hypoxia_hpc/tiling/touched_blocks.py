"""Which blocks of a reader the tiles of a plan lie on. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.tiling.cutting import BlockGrid, TileGrid


def blocks_under(of_blocks: BlockGrid, grid: TileGrid, selected: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The blocks that the selected tiles, bool (n,), lie on: bool (blocks,)."""
    # Selected tiles above and to the left of each corner of the grid: four of these give how many a block touches.
    sums = np.zeros((grid.rows + 1, grid.columns + 1), dtype=np.int32)
    selected.reshape(grid.rows, grid.columns).cumsum(0, dtype=np.int32, out=sums[1:, 1:])
    sums.cumsum(1, out=sums)
    top, bottom = _tiles_touched(of_blocks.top, of_blocks.height, of_blocks.rows, grid.side, grid.rows)
    left, right = _tiles_touched(of_blocks.left, of_blocks.width, of_blocks.columns, grid.side, grid.columns)
    lower, upper = sums[bottom], sums[top]
    under: NDArray[np.bool_] = (lower[:, right] - lower[:, left] > upper[:, right] - upper[:, left]).ravel()
    return under


def _tiles_touched(first: int, size: int, n_blocks: int, side: int, n_tiles: int) -> tuple[Int64Array, Int64Array]:
    """Along one axis: number of the first tile that each block touches, and of the one behind its last."""
    starts = first + size * np.arange(n_blocks, dtype=np.int64)
    return (starts // side).clip(0, n_tiles), (-(-(starts + size) // side)).clip(0, n_tiles)
