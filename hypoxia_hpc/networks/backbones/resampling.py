"""Weights by which Pillow resizes an image, so that other code gives the same pixels to the bit. Pure.

Source: ``precompute_coeffs`` and ``normalize_coeffs_8bpc`` of Pillow's Resample.c. Each row of pixels becomes a row of
the new length, in whole numbers; then each column.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np

from hypoxia_hpc.records import Float64Array

Interpolation = Literal["bilinear", "bicubic"]
# Of a weight behind its point, in binary: a sum of 255 times weights that add up to about 1 stays below 2**31.
BITS = 22
ONE = float(1 << BITS)
SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}


def _bilinear(x: Float64Array) -> Float64Array:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _bicubic(x: Float64Array) -> Float64Array:
    """Keys' cubic with a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((x - 5) * x + 8) * x - 4
    return np.where(x < 1, near, np.where(x < 2, -0.5 * far, 0.0))


@functools.lru_cache(maxsize=16)
def weights(n_from: int, n_to: int, interpolation: Interpolation) -> Float64Array:
    """float64 (n_to, n_from), whole numbers: the new value at ``i`` is ``(weights[i] @ values + ONE / 2) // ONE``,
    within 0..255."""
    scale = n_from / n_to
    stretch = max(scale, 1.0)
    support = SUPPORT[interpolation] * stretch
    curve = _bilinear if interpolation == "bilinear" else _bicubic
    found = np.zeros((n_to, n_from))
    for row in range(n_to):
        center = (row + 0.5) * scale
        first, end = max(0, int(center - support + 0.5)), min(n_from, int(center + support + 0.5))
        share = curve((np.arange(first, end, dtype=np.float64) - center + 0.5) * (1.0 / stretch))
        found[row, first:end] = share / share.sum()
    return np.trunc(found * ONE + np.copysign(0.5, found))
