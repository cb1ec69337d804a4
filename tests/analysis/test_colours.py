"""Mean colours, and what is no haematoxylin and eosin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hypoxia_hpc.analysis.colours import SlideColour, evenly_spaced, mean_colour, no_h_and_e
from hypoxia_hpc.synthetic.slides import SyntheticSlide, render_slide


@pytest.mark.parametrize(("n", "expected"), [(0, []), (1, [0]), (3, [0, 1, 2]), (8, [1, 3, 5, 7]), (10, [1, 3, 6, 8])])
def test_evenly_spaced(n: int, expected: list[int]) -> None:
    assert evenly_spaced(n, 4).tolist() == expected


def test_evenly_spaced_over_many() -> None:
    places = evenly_spaced(100_000)
    assert len(places) == 64
    assert set(np.diff(places).tolist()) <= {1562, 1563}


def test_mean_colour_of_several_tiles() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (5, 7, 9, 3)).astype(np.uint8)
    expected = [np.mean([int(value) for value in tiles[..., channel].flat]) for channel in range(3)]
    assert mean_colour([tiles[:2], tiles[2:]]) == pytest.approx(expected)
    assert all(map(math.isnan, mean_colour([])))


# Measured on real H&E: the darkest, the greenest, the least coloured, the bluest and the reddest image of 99, a slide.
REAL = [(67, 28, 62), (242, 244, 243), (207, 200, 215), (90, 69, 111), (152, 46, 74), (162, 111, 147), (237, 235, 237)]


@pytest.mark.parametrize("rgb", REAL)
def test_real_colours_pass(rgb: tuple[int, int, int]) -> None:
    assert no_h_and_e(SlideColour(*map(float, rgb), 0.1)) == ""


def test_colours_of_synthetic_slides_pass() -> None:
    slide = SyntheticSlide(seed=1, difference=0.3, hypoxic=True, size_px=(600, 600))
    assert no_h_and_e(SlideColour(*mean_colour([render_slide(slide)[None]]), 0.1)) == ""


@pytest.mark.parametrize(
    ("rgb", "words"),
    [
        ((1, 1, 1), "dark"),
        ((2, 4, 53), "dark"),  # DAPI
        ((21, 33, 158), "blue"),  # the same, bright
        ((20, 110, 60), "green"),  # FITC
        ((35, 59, 42), "green"),  # a negative
        ((45, 45, 45), "without colour"),  # one channel, saved as gray
        ((169, 169, 169), "without colour"),
    ],
)
def test_black_and_fluorescence_are_named_with_their_colour(rgb: tuple[int, int, int], words: str) -> None:
    said = no_h_and_e(SlideColour(*map(float, rgb), 0.0))
    assert words in said
    assert f"red {rgb[0]}, green {rgb[1]}, blue {rgb[2]}" in said


def test_an_unknown_colour_is_not_judged() -> None:
    assert no_h_and_e(SlideColour(math.nan, math.nan, math.nan, 0.2)) == ""
