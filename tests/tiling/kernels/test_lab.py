"""CIE L*a*b*: the slow twin, published values, and there and back."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from hypoxia_hpc.tiling.kernels.lab import lab_moments, lab_of, move_lab

# Of sRGB's corners, two decimals: Lindbloom's calculator (brucelindbloom.com), D65.
CORNERS = {
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
}


def test_colours_are_those_of_the_formulas_and_of_the_tables() -> None:
    for colour in np.random.default_rng(0).integers(0, 256, (200, 3)).tolist():
        assert lab_of(*colour) == pytest.approx(naive.lab(*colour), abs=1e-9)
    for colour, expected in CORNERS.items():
        assert lab_of(*colour) == pytest.approx(expected, abs=0.05)


def test_moments_are_those_of_numpy_and_every_colour_comes_back() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4000, 3), dtype=np.uint8)
    values = np.array([lab_of(*pixel) for pixel in pixels])
    means, deviations = lab_moments(pixels)
    assert means == pytest.approx(values.mean(axis=0)) and deviations == pytest.approx(values.std(axis=0))
    out = np.zeros_like(pixels)
    move_lab(pixels, np.ones(3), np.zeros(3), 256, out)
    assert np.array_equal(out, pixels)
