"""How far the tiles of a slide lie apart."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import Int64Array

# Tiles may be that much nearer than their side: sides and places are rounded.
ROUNDING_PX, ROUNDING = 2.0, 0.05


def pitch(xy_l0: Int64Array) -> float:
    """The median over tiles of the distance to the nearest other one, along the axis in which it is longer, in level 0
    pixels; infinite for one tile. ``xy_l0`` (n, 2). Where a tool begins a grid anew for each piece of tissue, few tiles
    of two pieces are nearer."""
    from scipy.spatial import KDTree

    if len(xy_l0) < 2:
        return float("inf")
    distances, _ = KDTree(xy_l0).query(xy_l0, k=2, p=np.inf)
    return float(np.median(distances[:, 1]))


def is_overlapping(xy_l0: Int64Array, side_l0: float | None) -> bool:
    """Whether tiles lie nearer to each other than a side, in level 0 pixels; False where that is not known."""
    return side_l0 is not None and pitch(xy_l0) < side_l0 - max(ROUNDING_PX, ROUNDING * side_l0)
