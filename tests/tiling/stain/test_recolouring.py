"""New colours: those of the slow twin within a gray level, the reference's, and glass byte for byte."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from dyed import GLASS, OTHER, SLIDE, WHITE, dyed

from hypoxia_hpc.tiling.stain.density import NO_GLASS, weighted_sums
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.recolouring import colours, recoloured
from hypoxia_hpc.tiling.stain.stains import Stains


@pytest.mark.parametrize(("source", "target"), [(SLIDE, OTHER), (OTHER, SLIDE), (SLIDE, SLIDE)])
def test_every_colour_is_that_of_the_twin_within_a_gray_level(source: Stains, target: Stains) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 3), dtype=np.uint8)
    out = recoloured(pixels, colours(source, target), NO_GLASS)
    expected = np.array([naive.restained_pixel(pixel, source, target) for pixel in pixels.tolist()])
    assert np.abs(out - expected).max() < 1


def test_glass_stays_and_tissue_gets_the_dyes_of_the_reference() -> None:
    rgb = dyed()
    fit = fit_macenko(rgb, WHITE, GLASS)
    assert fit.found is not None
    out = recoloured(rgb, colours(fit.found, OTHER), GLASS)
    is_glass = np.array([naive.gray(*pixel) >= GLASS for pixel in rgb.reshape(-1, 3).tolist()]).reshape(rgb.shape[:2])
    assert is_glass.mean() > 0.15
    assert np.array_equal(out[is_glass], rgb[is_glass])
    again = fit_macenko(out, OTHER.white, GLASS)
    assert again.found is not None
    assert again.found.directions == pytest.approx(
        OTHER.directions / np.linalg.norm(OTHER.directions, axis=0), abs=0.05
    )
    assert again.found.strongest == pytest.approx(OTHER.strongest, rel=0.05)


def test_no_sum_leaves_its_field() -> None:
    """Of extreme weights, all 16.7 million colours' sums lie between those of the two extreme ones of each."""
    rng = np.random.default_rng(0)
    densities = rng.normal(size=(256, 3)) * 5
    weights, added = rng.normal(size=(3, 3)) * 30, np.array([-7.0, 0.0, 4.0])
    sums = weighted_sums(weights, densities, added)
    for pick in (np.argmin, np.argmax):
        for made in range(3):
            levels = [int(pick(densities[:, c] * weights[made, c])) for c in range(3)]
            place = sum(int(sums.fields[level, c]) for c, level in enumerate(levels))
            fields = [(place >> (21 * k)) & (2**21 - 1) for k in range(3)]
            assert place < 2**63
            expected = weights @ [densities[level, c] for c, level in enumerate(levels)] + added
            assert [sums.low + sums.step * field for field in fields] == pytest.approx(expected, abs=4 * sums.step)
