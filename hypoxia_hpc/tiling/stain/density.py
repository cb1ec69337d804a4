"""Optical density of gray levels, the pixels that a fit goes by, and tables of what the gray levels bring to sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float64Array, Int64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.stain import FIELD, FIELD_BITS, glass_pixels, tissue_pixels

# Macenko et al. 2009: paler pixels than this (natural logarithm) say little of the dyes.
LEAST_DENSITY = 0.15
NO_GLASS = 256  # a gray that no pixel reaches
# Of an image in which there is hardly any glass to go by: the light that the published normalisation assumes.
USUAL_LIGHT = 240.0
LEAST_GLASS = 0.001


def density_table(white: Float64Array, added: int = 0) -> Float64Array:
    """Optical density of each gray level in each channel, float64 (256, 3), natural logarithm, below zero where a
    pixel is lighter than ``white``, float64 (3,). ``added`` is added to each gray level; without it 0 counts as 1."""
    levels = np.maximum(np.arange(256.0) + added, 1.0)
    table: Float64Array = -np.log(levels[:, None] / white)
    return table


def as_pixels(rgb: UInt8Array) -> UInt8Array:
    """uint8 (n, 3) of uint8 (..., 3), a view where it can be one."""
    return np.ascontiguousarray(rgb).reshape(-1, 3)


def light_of_glass(rgb: UInt8Array, glass: int) -> Float64Array:
    """The median of each channel of uint8 (..., 3) over what the tiling rule calls background (gray ``glass`` or more),
    float64 (3,); ``USUAL_LIGHT`` where that is less than ``LEAST_GLASS`` of the image."""
    pixels = as_pixels(rgb)
    bare = glass_pixels(pixels, glass)
    if len(bare) < LEAST_GLASS * len(pixels) or not len(bare):
        return np.full(3, USUAL_LIGHT)
    light: Float64Array = np.median(bare, axis=0).astype(np.float64)
    return light


@dataclass(frozen=True, slots=True)
class Stained:
    """Pixels that a fit goes by: uint8 (n, 3), their densities' mean, float64 (3,), and covariance, float64 (3, 3)."""

    pixels: UInt8Array
    mean: Float64Array
    covariance: Float64Array


def stained(rgb: UInt8Array, densities: Float64Array, glass: int) -> Stained:
    """The pixels of uint8 (..., 3) that the tiling rule does not call background (gray below ``glass``) and whose
    density is ``LEAST_DENSITY`` at least in each channel; of ``density_table``."""
    pixels, sums, products = tissue_pixels(as_pixels(rgb), densities, LEAST_DENSITY, glass)
    n = max(len(pixels), 2)
    return Stained(pixels, sums / n, (products - np.outer(sums, sums) / n) / (n - 1))


@dataclass(frozen=True, slots=True)
class Sums:
    """Up to three weighted sums of densities as the kernels read them: int64 (256, 3), what each gray level of a
    channel brings, in fields of 21 bits; a field f is the sum ``low + f · step``."""

    fields: Int64Array
    low: float
    step: float


def weighted_sums(weights: Float64Array, densities: Float64Array, added: Float64Array | float = 0.0) -> Sums:
    """Tables of ``weights @ density + added`` for float64 (k, 3) and (k,) or a number, k at most 3, of densities
    float64 (256, 3); no sum of any pixel leaves its field."""
    parts = densities[:, :, None] * weights.T  # gray level, channel, sum
    least = parts.min(axis=0)
    lows = least.sum(axis=0) + added
    low, high = lows.min(), (parts.max(axis=0).sum(axis=0) + added).max()
    step = max(high - low, 1e-9) / (FIELD - 4)  # four parts of a sum, each half a step too large at most
    fields = np.rint((parts - least) / step).astype(np.int64)
    fields[:, 0] += np.rint((lows - low) / step).astype(np.int64)
    shifts = FIELD_BITS * np.arange(len(weights))
    return Sums(np.ascontiguousarray((fields << shifts).sum(axis=2)), float(low), float(step))
