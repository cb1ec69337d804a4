"""Tiles as the pixels of a small picture: which column and row each one has (pure)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Float64Array, Int64Array

# Places were rounded to whole pixels of level 0, each by half a pixel at most; the rest is float arithmetic.
MOST_SPREAD_L0 = 1 + 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class TileGrid:
    """``at`` int64 (n, 2): column and row of each tile; ``origin_l0`` float64 (2,): top left corner of column 0, row 0
    in level 0 pixels; ``side_l0``: side of a tile; ``columns`` and ``rows``: as many as reach from tile to tile."""

    at: Int64Array
    origin_l0: Float64Array
    side_l0: float
    columns: int
    rows: int


def tile_grid(slide_id: str, xy_l0: Int64Array, side_l0: float) -> TileGrid:
    """The grid that tiles lie on; ``xy_l0`` int64 (n, 2) in level 0 pixels. The corner of a column and a row, rounded,
    is the place of its tile to the pixel. Raises SlideError ``no-tile-grid`` for tiles that overlap or lie between
    places of a grid."""
    at = np.rint((xy_l0 - xy_l0.min(axis=0)) / side_l0).astype(np.int64) if side_l0 > 0 else np.zeros_like(xy_l0)
    corners = xy_l0 - at * side_l0
    low, high = corners.min(axis=0), corners.max(axis=0)
    if side_l0 <= 0 or (high - low > MOST_SPREAD_L0).any() or len(np.unique(at, axis=0)) < len(at):
        raise SlideError(
            "no-tile-grid",
            f"the tiles of {slide_id} do not lie side by side at distances of {side_l0:g} px, and in this format a "
            "pixel is a tile",
            remedy="take --to qupath, which has tiles wherever they lie",
        )
    columns, rows = (at.max(axis=0) + 1).tolist()
    return TileGrid(at, (low + high) / 2, side_l0, columns, rows)
