"""Stains by the plane of the densities (Macenko et al. 2009, "A method for normalizing histology slides for
quantitative analysis"): the two outermost directions in it are the dyes."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.stain import (
    BIN_BITS,
    FIELD_BITS,
    angle_histogram,
    field_histograms,
    quantile_of_counts,
)
from hypoxia_hpc.tiling.stain.density import Stained, density_table, stained, weighted_sums
from hypoxia_hpc.tiling.stain.stains import Fit, Stains, ordered, trusted

OUTER = 0.01  # the share of angles that is left out at either end
STRONG = 0.99  # the quantile that stands for the strongest concentration
LEAST_PIXELS = 100


def fit_macenko(rgb: UInt8Array, white: Float64Array, glass: int) -> Fit[Stains]:
    """The dyes of the tissue in uint8 (..., 3), where the bare glass has the light ``white``, float64 (3,), and what
    has gray ``glass`` (1 to 256) or more is background."""
    densities = density_table(white)
    tissue = stained(rgb, densities, glass)
    n = len(tissue.pixels)
    if n < LEAST_PIXELS:
        return Fit(None, f"it has {n} stained pixels, at least {LEAST_PIXELS} are needed")
    directions = outermost_directions(tissue, densities)
    return trusted(Stains(directions, strongest_concentrations(tissue.pixels, densities, directions), white))


def outermost_directions(tissue: Stained, densities: Float64Array) -> Float64Array:
    """The two directions, float64 (3, 2), haematoxylin first, outside which a hundredth of the pixels lies at either
    end, in the plane of their densities' two largest variances. ``densities`` is float64 (256, 3)."""
    plane = np.linalg.eigh(tissue.covariance)[1][:, :0:-1]  # the largest first
    plane = plane * np.where(tissue.mean @ plane < 0, -1.0, 1.0)  # so that tissue lies ahead, far from 180 degrees
    sums = weighted_sums(plane.T, densities)
    counts = angle_histogram(tissue.pixels, sums.fields, sums.step, sums.low)
    angles = [_radians(quantile_of_counts(counts, share) * 4 / 2**BIN_BITS - 2) for share in (OUTER, 1 - OUTER)]
    return ordered(plane @ np.array([np.cos(angles), np.sin(angles)]))


def _radians(diamond: float) -> float:
    """The angle, -pi to pi, of a diamond angle from -2 to 2."""
    x = 1.0 - abs(diamond)
    y = diamond if abs(diamond) <= 1.0 else np.sign(diamond) * (2.0 - abs(diamond))
    return float(np.arctan2(y, x))


def strongest_concentrations(pixels: UInt8Array, densities: Float64Array, directions: Float64Array) -> Float64Array:
    """The 99th percentile of both concentrations, float64 (2,), of uint8 (n, 3) by least squares."""
    sums = weighted_sums(np.asarray(np.linalg.pinv(directions), dtype=np.float64), densities)
    width = sums.step * 2 ** (FIELD_BITS - BIN_BITS)
    places = [quantile_of_counts(counts, STRONG) for counts in field_histograms(pixels, sums.fields)]
    return np.array([sums.low + width * place for place in places])
