"""Kernels of stain normalisation against their slow twins."""

from __future__ import annotations

import itertools
import math

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.tiling.kernels.stain import diamond_angle, quantile_of_counts, tissue_pixels
from hypoxia_hpc.tiling.stain.density import density_table

LEVELS = st.integers(0, 255)
WHITE = (243.0, 240.0, 244.0)


@given(st.lists(st.tuples(LEVELS, LEVELS, LEVELS), max_size=30), st.integers(1, 256))
def test_stained_pixels_and_their_sums_are_those_of_the_twin(pixels: list[tuple[int, int, int]], glass: int) -> None:
    rgb = np.array(pixels, dtype=np.uint8).reshape(-1, 3)
    kept, sums, products = tissue_pixels(rgb, density_table(np.array(WHITE)), 0.15, glass)
    expected = [pixel for pixel in pixels if naive.is_stained(pixel, WHITE, 0.15, glass)]
    assert kept.tolist() == [list(pixel) for pixel in expected]
    densities = [[naive.density(*one) for one in zip(pixel, WHITE, strict=True)] for pixel in expected]
    for c in range(3):
        assert math.isclose(sums[c], math.fsum(row[c] for row in densities), rel_tol=1e-12, abs_tol=1e-12)
        for d in range(3):
            assert math.isclose(products[c, d], math.fsum(row[c] * row[d] for row in densities), rel_tol=1e-12)


def test_diamond_angles_grow_with_angles() -> None:
    angles = np.linspace(-math.pi + 1e-9, math.pi, 1001)
    found = [diamond_angle(3 * math.cos(angle), 3 * math.sin(angle)) for angle in angles]
    assert all(one < other for one, other in itertools.pairwise(found))
    assert found[0] == pytest.approx(-2) and found[-1] == pytest.approx(2)
    assert diamond_angle(0.0, 0.0) == 0.0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_a_quantile_of_counts_is_that_of_the_values(share: float) -> None:
    values = np.random.default_rng(0).gamma(3, 20, 5000)
    counts = np.bincount(values.astype(np.int64), minlength=400)
    assert quantile_of_counts(counts, share) == pytest.approx(np.quantile(values, share), abs=1.0)
    assert math.isnan(quantile_of_counts(np.zeros(4, dtype=np.int64), share))
