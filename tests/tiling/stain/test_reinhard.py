"""Reinhard's transfer reaches the moments of its target, and leaves glass as it is."""

from __future__ import annotations

import numpy as np
import pytest
from dyed import GLASS, OTHER, WHITE, dyed

from hypoxia_hpc.tiling.kernels.lab import lab_moments
from hypoxia_hpc.tiling.stain.density import density_table, stained
from hypoxia_hpc.tiling.stain.methods import METHODS
from hypoxia_hpc.tiling.stain.reinhard import LabMoments, fit_reinhard


def test_mean_and_deviation_of_the_tissue_become_those_of_the_target() -> None:
    rgb = dyed()
    source = fit_reinhard(rgb, WHITE, GLASS).found
    target = fit_reinhard(dyed(OTHER, seed=1), OTHER.white, GLASS).found
    assert source is not None and target is not None
    out = _painted(rgb, source, target, 256)
    is_tissue = _stained(rgb)
    means, deviations = lab_moments(np.ascontiguousarray(out[is_tissue]))
    assert means == pytest.approx(target.mean, rel=0.005) and deviations == pytest.approx(target.deviation, rel=0.005)
    assert np.array_equal(_painted(rgb, source, target, GLASS)[: len(rgb) // 5], rgb[: len(rgb) // 5])


def _painted(rgb: np.ndarray, source: LabMoments, target: LabMoments, glass: int) -> np.ndarray:
    out = rgb.copy()
    METHODS["reinhard"].paint(source, target, glass)(out)
    return out


def _stained(rgb: np.ndarray) -> np.ndarray:
    """Which pixels the fit goes by, one by one."""
    densities = density_table(WHITE)
    found = [len(stained(pixel, densities, GLASS).pixels) == 1 for pixel in rgb.reshape(-1, 1, 3)]
    return np.reshape(found, rgb.shape[:2])


def test_what_has_no_tissue_or_one_colour_is_not_trusted() -> None:
    assert "stained pixels" in fit_reinhard(np.full((9, 9, 3), 255, np.uint8), WHITE, GLASS).why_not
    flat = fit_reinhard(np.full((50, 50, 3), (120, 60, 140), np.uint8), WHITE, GLASS)
    assert flat.found is None and "one colour" in flat.why_not
