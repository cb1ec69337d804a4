"""Pixels packed by shuffles: the same bytes as one by one, and none beyond."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from hypoxia_hpc.tiling.cutting import BlockGrid, TileGrid, cut_tiles
from hypoxia_hpc.tiling.kernels.assembly import _copy_run
from hypoxia_hpc.tiling.kernels.planes import PACKED
from hypoxia_hpc.tiling.kernels.state import CutRule
from hypoxia_hpc.tiling.kernels.vectors import PIXELS, prefetch


@pytest.mark.parametrize("n", [*range(2 * PIXELS + 2), 47, 48, 49, 299])
def test_a_run_of_pixels_is_copied_and_nothing_beside_it(n: int) -> None:
    rng = np.random.default_rng(n)
    source = rng.integers(0, 2**32, n + 5, dtype=np.uint32)
    target = np.full(3 * n + 11, 77, dtype=np.uint8)
    _copy_run(source, 3, target, 7, n)
    expected = source.view(np.uint8).reshape(-1, 4)[3 : 3 + n, :3].reshape(-1)
    np.testing.assert_array_equal(target[7 : 7 + 3 * n], expected)
    assert (target[:7] == 77).all()
    assert (target[7 + 3 * n :] == 77).all()


def test_what_lies_outside_may_be_fetched() -> None:
    @numba.njit
    def fetch(array: NDArray[np.uint32], index: int) -> None:
        prefetch(array, index)

    for index in (0, 7, 10**12, -(10**12)):
        fetch(np.zeros(8, dtype=np.uint32), index)


@pytest.mark.parametrize(("side", "width", "height"), [(299, 240, 240), (224, 256, 256), (64, 1000, 8), (40, 17, 33)])
def test_tiles_do_not_line_up_with_blocks(side: int, width: int, height: int) -> None:
    rng = np.random.default_rng(side)
    plane = rng.integers(0, 200, (3 * side, 4 * side, 4), dtype=np.uint8)
    padded = np.pad(plane, ((0, height), (0, width), (0, 0)))

    class Source:
        grid = BlockGrid(0, 0, width, height, -(-plane.shape[1] // width), -(-plane.shape[0] // height))

        def read(self, number: int, out: NDArray[np.uint8]) -> int:
            row, column = divmod(number, self.grid.columns)
            out[:] = padded[row * height : (row + 1) * height, column * width : (column + 1) * width]
            return PACKED

    tiles: list[NDArray[np.uint8]] = []

    def new_tile() -> NDArray[np.uint8]:
        tiles.append(np.zeros((side, side, 3), dtype=np.uint8))
        return tiles[-1]

    rule = CutRule(220, 0, False)
    cut_tiles([Source(), Source()], TileGrid(side, side, 4, 3), rule, np.ones(12, dtype=bool), new_tile)
    for number, tile in enumerate(tiles):
        y, x = number // 4 * side, number % 4 * side
        np.testing.assert_array_equal(tile, plane[y : y + side, x : x + side, :3])
    assert len(tiles) == 12
