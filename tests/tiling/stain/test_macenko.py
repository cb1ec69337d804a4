"""Macenko's fit finds the dyes that are there, as the slow twin does, and says when it cannot."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from dyed import GLASS, SLIDE, WHITE, dyed

from hypoxia_hpc.tiling.stain.density import density_table, stained
from hypoxia_hpc.tiling.stain.macenko import fit_macenko, strongest_concentrations
from hypoxia_hpc.tiling.stain.stains import angle_degrees


def test_planted_dyes_are_found_whatever_else_is_glass() -> None:
    for glass in (0.0, 0.5, 0.98):
        fit = fit_macenko(dyed(glass=glass), WHITE, GLASS)
        assert fit.found is not None, fit.why_not
        for dye in range(2):
            assert angle_degrees(fit.found.directions[:, dye], SLIDE.directions[:, dye]) < 4
        # Some degrees between two dyes that lie 45 apart are a quarter of the paler one's strength.
        assert fit.found.strongest == pytest.approx(SLIDE.strongest, rel=0.3)


def test_dyes_and_strengths_are_those_of_the_twin() -> None:
    rgb = dyed(side=60)
    densities = density_table(WHITE)
    tissue = stained(rgb, densities, GLASS)
    fit = fit_macenko(rgb, WHITE, GLASS)
    assert fit.found is not None
    expected = naive.macenko(tissue.pixels.tolist(), WHITE)
    assert fit.found.directions == pytest.approx(expected, abs=2e-3)
    found = strongest_concentrations(tissue.pixels, densities, expected)
    assert found == pytest.approx(naive.strongest(tissue.pixels.tolist(), WHITE, expected), abs=3e-3)


@pytest.mark.parametrize(
    ("rgb", "reason"),
    [
        (np.full((50, 50, 3), 255, np.uint8), "0 stained pixels"),
        (np.zeros((50, 50, 3), np.uint8), "degrees from"),
        (np.full((50, 50, 3), (120, 60, 140), np.uint8), "dyes lie 0.0 degrees apart"),
        (np.tile(np.array([[20, 60, 200], [10, 90, 180]], np.uint8), (50, 25, 1)), "degrees from"),  # blue ink
        (np.zeros((0, 3), np.uint8), "0 stained pixels"),
    ],
    ids=["glass", "black", "one colour", "ink", "nothing"],
)
def test_what_is_no_tissue_is_not_trusted(rgb: np.ndarray, reason: str) -> None:
    fit = fit_macenko(rgb, WHITE, GLASS)
    assert fit.found is None and reason in fit.why_not
