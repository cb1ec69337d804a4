"""Colours of an image moved to those of another one: the mean and the spread of each channel of CIE L*a*b* (Reinhard et
al. 2001, "Color transfer between images"; there in the space l-alpha-beta)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.lab import lab_moments, move_lab
from hypoxia_hpc.tiling.stain.density import as_pixels, density_table, stained
from hypoxia_hpc.tiling.stain.macenko import LEAST_PIXELS

LEAST_SPREAD = 0.1  # of L*, a* or b*: less is one colour, and its noise would be blown up


@dataclass(frozen=True, slots=True)
class LabMoments:
    """Mean and standard deviation of L*, a*, b*, float64 (3,) each."""

    mean: Float64Array
    deviation: Float64Array


@dataclass(frozen=True, slots=True)
class LabFit:
    """The moments of an image's tissue, or None and the reason why they are not trusted."""

    moments: LabMoments | None
    why_not: str


def fit_reinhard(rgb: UInt8Array, white: Float64Array, glass: int) -> LabFit:
    """Moments of the tissue in uint8 (..., 3), the pixels that the other fits go by."""
    pixels = stained(rgb, density_table(white), glass).pixels
    if len(pixels) < LEAST_PIXELS:
        return LabFit(None, f"it has {len(pixels)} stained pixels, at least {LEAST_PIXELS} are needed")
    moments = LabMoments(*lab_moments(pixels))
    if moments.deviation.min() < LEAST_SPREAD:
        return LabFit(None, "its tissue has one colour alone")
    return LabFit(moments, "")


def moved(rgb: UInt8Array, source: LabMoments, target: LabMoments, glass: int) -> UInt8Array:
    """uint8 (..., 3) with the moments of ``target`` where it has those of ``source``; what has gray ``glass`` or more
    as it was."""
    factor = target.deviation / source.deviation
    pixels = as_pixels(rgb)
    out = np.empty_like(pixels)
    move_lab(pixels, factor, target.mean - source.mean * factor, glass, out)
    return out.reshape(rgb.shape)
