"""Tiles decided again from coarse counts: the tiling rule in whole numbers, and exact counts where there are some."""

from __future__ import annotations

from fractions import Fraction

import naive
import numpy as np
import pytest

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Pyramid
from hypoxia_hpc.tiling.plan import plan_tiles
from hypoxia_hpc.tiling.redeciding import (
    DROPPED,
    UNKNOWN,
    CoarseCounts,
    TileSettings,
    exact_counts,
    grid_borders,
    light_counts,
    redecided,
)

WHITES = (180, 200, 220)


def counts_of(light: list[list[int]], tissue: list[float]) -> CoarseCounts:
    """Tiles of 3 x 3 pixels in a row."""
    n = len(light)
    return CoarseCounts(
        (3 * n, 3),
        np.arange(n + 1) * 3,
        np.array([0, 3]),
        np.arange(n),
        WHITES,
        np.array(light),
        np.array(tissue, dtype=np.float32),
    )


def test_light_pixels_of_each_tile_are_counted_at_each_white() -> None:
    image = np.random.default_rng(1).integers(150, 256, (13, 17, 3), dtype=np.uint8)
    columns, rows = np.array([1, 5, 6, 16]), np.array([0, 7, 12])
    found = light_counts(image, columns, rows, WHITES)
    assert found.tolist() == naive.light_of_tiles(image, columns, rows, WHITES)


@pytest.mark.parametrize("l0_per_px", [8.0, 8.0003, 5.3])
def test_a_pixel_is_of_the_tile_that_its_middle_lies_in(l0_per_px: float) -> None:
    pyramid = Pyramid(((1000, 700),), (1.0,), mpp_x=0.5, mpp_y=0.5, bounds_l0=(30, 17, 900, 600))
    plan = plan_tiles(pyramid, TileTable(tile_px=64), None)
    size = int(1000 / l0_per_px), int(700 / l0_per_px)
    borders = grid_borders(plan, l0_per_px, size)
    for found, corner, most in zip(borders, (30, 17), size, strict=True):
        for pixel in range(most):
            place = ((pixel + 0.5) * l0_per_px - corner) // 64
            tile = int(np.searchsorted(found, pixel, side="right")) - 1
            inside = 0 <= place < len(found) - 1
            assert (tile == place) if inside else not 0 <= tile < len(found) - 1


@pytest.mark.parametrize("share", [0.0, 0.22, 0.222, 0.223, 1 / 3, 0.47, 1.0])
def test_the_rule_is_that_of_tiling(share: float) -> None:
    counts = counts_of([[9, light, 0] for light in range(10)], [1.0] * 10)
    kept, is_exact = redecided(counts, TileSettings(200, share, False, 0.5))
    assert kept.tolist() == [light <= Fraction(str(share)) * 9 for light in range(10)]
    assert not is_exact.any()


def test_what_a_store_counted_decides_at_its_own_white_alone() -> None:
    counts = counts_of([[0, 9, 9], [0, 0, 0], [9, 9, 9], [0, 0, 0]], [1.0, 1.0, 1.0, 0.2])
    made_with = TileSettings(200, 0.25, True, 0.5)
    exact = exact_counts(counts, made_with, 10, np.array([0]), np.array([0.11], dtype=np.float32))
    assert exact.background_px.tolist() == [11, DROPPED, DROPPED, UNKNOWN]

    def decided(white: int, share: float, min_tissue: float) -> list[str]:
        kept, is_exact = redecided(counts, TileSettings(white, share, True, min_tissue), exact)
        words = np.where(kept, "kept", "dropped")
        return [f"{word}{'!' if sure else ''}" for word, sure in zip(words.tolist(), is_exact.tolist(), strict=True)]

    assert decided(200, 0.25, 0.5) == ["kept!", "dropped!", "dropped!", "dropped!"]
    assert decided(200, 0.1, 0.5) == ["dropped!", "dropped!", "dropped!", "dropped!"]
    assert decided(200, 0.5, 0.1) == ["kept!", "kept", "dropped", "kept"], "what was dropped is guessed"
    assert decided(180, 0.25, 0.5) == ["kept", "kept", "dropped", "dropped!"]
