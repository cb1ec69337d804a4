"""Slow, obvious twin of the drawing of kept tiles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def covered_pixels(
    height: int, width: int, size_l0: tuple[int, int], xy_l0: list[tuple[int, int]], side_l0: float
) -> NDArray[np.bool_]:
    """True where a thumbnail's pixel belongs to a tile: one pixel and one tile at a time."""
    covered = np.zeros((height, width), dtype=bool)
    for row in range(height):
        for column in range(width):
            for x, y in xy_l0:
                left = math.floor(x * width / size_l0[0] + 0.5)
                right = max(left + 1, math.floor((x + side_l0) * width / size_l0[0] + 0.5))
                top = math.floor(y * height / size_l0[1] + 0.5)
                bottom = max(top + 1, math.floor((y + side_l0) * height / size_l0[1] + 0.5))
                covered[row, column] |= left <= column < right and top <= row < bottom
    return covered
