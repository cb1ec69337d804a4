"""Colours of an image moved to those of another one: the mean and the spread of each channel of CIE L*a*b* (Reinhard et
al. 2001, "Color transfer between images"; there in the space l-alpha-beta)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.lab import lab_moments
from hypoxia_hpc.tiling.stain.density import density_table, stained
from hypoxia_hpc.tiling.stain.macenko import LEAST_PIXELS
from hypoxia_hpc.tiling.stain.stains import Fit

LEAST_SPREAD = 0.1  # of L*, a* or b*: less is one colour, and its noise would be blown up


@dataclass(frozen=True, slots=True)
class LabMoments:
    """Mean and standard deviation of L*, a*, b*, float64 (3,) each."""

    mean: Float64Array
    deviation: Float64Array


def fit_reinhard(rgb: UInt8Array, white: Float64Array, glass: int) -> Fit[LabMoments]:
    """Moments of the tissue in uint8 (..., 3), the pixels that the other fits go by."""
    pixels = stained(rgb, density_table(white), glass).pixels
    if len(pixels) < LEAST_PIXELS:
        return Fit(None, f"it has {len(pixels)} stained pixels, at least {LEAST_PIXELS} are needed")
    moments = LabMoments(*lab_moments(pixels))
    if moments.deviation.min() < LEAST_SPREAD:
        return Fit(None, "its tissue has one colour alone")
    return Fit(moments, "")


def median_moments(found: Sequence[LabMoments]) -> LabMoments:
    """The median of each number of several."""
    return LabMoments(
        np.median([one.mean for one in found], axis=0), np.median([one.deviation for one in found], axis=0)
    )


def moving(source: LabMoments, target: LabMoments) -> tuple[Float64Array, Float64Array]:
    """Factor and offset of L*, a*, b*, float64 (3,) each, that turn the moments of ``source`` into ``target``'s."""
    factor = target.deviation / source.deviation
    return factor, target.mean - source.mean * factor
