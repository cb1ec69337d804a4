"""How far tiles lie apart, whatever grids they are on."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.imports.spacing import is_overlapping, pitch


def test_the_distance_of_most_tiles_counts() -> None:
    grid = np.array([(x * 150, y * 150) for x in range(6) for y in range(4)], dtype=np.int64)
    other = grid + np.array([17, 610])  # a second piece of tissue, whose grid begins elsewhere
    nearest = [np.sort(np.abs(both - one).max(axis=1))[1] for both in [np.vstack([grid, other])] for one in both]
    assert pitch(np.vstack([grid, other])) == np.median(nearest) == 150
    assert not is_overlapping(np.vstack([grid, other]), 150.0)


@pytest.mark.parametrize(
    ("side_l0", "is_so"), [(74.0, False), (75.0, False), (77.0, False), (80.0, True), (None, False)]
)
def test_rounded_sides_are_no_overlap(side_l0: float | None, is_so: bool) -> None:
    grid = np.array([(x * 75, 0) for x in range(9)], dtype=np.int64)
    assert is_overlapping(grid, side_l0) is is_so
    assert not is_overlapping(grid[:1], side_l0)
