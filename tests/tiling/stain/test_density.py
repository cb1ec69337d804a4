"""Optical densities and the pixels that fits go by; the kernel behind them has tests of its own."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from dyed import GLASS, WHITE, dyed

from hypoxia_hpc.tiling.stain.density import LEAST_DENSITY, USUAL_LIGHT, density_table, light_of_glass, stained


@pytest.mark.parametrize("added", [0, 1])
def test_densities_are_those_of_the_twin(added: int) -> None:
    table = density_table(WHITE, added)
    for level in (0, 1, 2, 100, 254, 255):
        expected = [naive.density(level, white, added) for white in WHITE]
        assert table[level] == pytest.approx(expected, rel=1e-12)


def test_mean_and_covariance_are_those_of_numpy() -> None:
    densities = density_table(WHITE)
    found = stained(dyed(), densities, GLASS)
    rows = np.stack([densities[found.pixels[:, c], c] for c in range(3)], axis=1)
    assert rows.min() >= LEAST_DENSITY
    assert found.mean == pytest.approx(rows.mean(axis=0)) and found.covariance == pytest.approx(np.cov(rows.T))


def test_the_light_of_the_glass_is_its_median_or_the_usual_one() -> None:
    rgb = dyed()
    bare = [pixel for pixel in rgb.reshape(-1, 3).tolist() if naive.gray(*pixel) >= GLASS]
    assert light_of_glass(rgb, GLASS) == pytest.approx(np.median(bare, axis=0))
    assert light_of_glass(dyed(glass=0.0) // 2, GLASS) == pytest.approx([USUAL_LIGHT] * 3)
