"""Sharpness by the Laplacian: as its definition, falling with blur, whatever the strength of the stain."""

from __future__ import annotations

from pathlib import Path

import naive
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.tiling.quality.blur import LEAST_SHARPNESS, sharpness
from hypoxia_hpc.tiling.windows import plan_window


@pytest.fixture(scope="module")
def real(real_slide: Path) -> np.ndarray:
    """256 px of dense tissue at 1 µm/px."""
    slide = Slide("cmu", real_slide, "p", cost=1)
    with opened_slide(slide.path) as opened:
        return opened.read_window(plan_window(opened.pyramid, (900, 1800), (256, 256), 1 / 0.499))


def test_it_is_what_it_is_defined_as() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert sharpness(rgb) == pytest.approx(naive.sharpness(rgb))


def test_a_real_square_is_sharp_and_blurred_it_is_not(real: np.ndarray) -> None:
    sharp = sharpness(real)
    pale = sharpness((255 - (255 - real.astype(np.float64)) * 0.4).astype(np.uint8))
    assert sharp is not None and pale is not None
    assert sharp > LEAST_SHARPNESS and pale == pytest.approx(sharp, rel=0.1)
    found = [sharpness(gaussian_filter(real, (sigma, sigma, 0))) for sigma in (1.0, 2.0, 3.0)]
    assert all(one is not None for one in found) and found == sorted(found, reverse=True)
    assert found[1] < LEAST_SHARPNESS


def test_of_glass_nothing_is_said() -> None:
    glass = np.random.default_rng(0).normal(240, 1.5, (64, 64, 1)).repeat(3, axis=2).astype(np.uint8)
    assert sharpness(glass) is None
