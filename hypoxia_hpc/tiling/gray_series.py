"""Gray slices of a series on one scale of 8 bits, and which of them are near-empty. Pure.

The scale goes from black to white between two values that the series itself has: those at two percentiles of its pixels
that are not zero. So what the air around a head is, zero in most files, moves no scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config.series import SeriesTable
from hypoxia_hpc.records import UInt8Array

GraySlice = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """``low`` and what is below becomes 0, ``high`` and what is above 255."""

    low: float
    high: float


def series_scale(slices: Sequence[GraySlice], table: SeriesTable) -> Scale:
    """Of the slices of a series, integers or finite floats of any shape; (0, 0) where all pixels are zero.

    A percentile q of n values is the value at place q / 100 · (n - 1) of their order, rounded to a whole place, halves
    up: a value of the series, so that no arithmetic enters it.
    """
    values = np.concatenate([one[one != 0] for one in slices])
    if not values.size:
        return Scale(0.0, 0.0)
    places = [int(q / 100 * (len(values) - 1) + 0.5) for q in (table.low_percentile, table.high_percentile)]
    values.partition(sorted(set(places)))
    low, high = (float(values[place]) for place in places)
    return Scale(low, high)


def scaled(pixels: GraySlice, scale: Scale) -> UInt8Array:
    """uint8 of the same shape, halves rounded up. Where both ends are one value, that and what is above is white."""
    values = pixels.astype(np.float64)
    if scale.high <= scale.low:
        return np.where((values >= scale.low) & (values != 0), 255, 0).astype(np.uint8)
    share = (values - scale.low) / (scale.high - scale.low)
    return np.floor(np.clip(share, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def content_of(gray: UInt8Array, table: SeriesTable) -> float:
    """Share 0..1 of the pixels of a scaled slice that are above ``content_level``."""
    return float(np.count_nonzero(gray > table.content_level * 255) / gray.size)


def as_colour(gray: UInt8Array) -> UInt8Array:
    """uint8 (height, width, 4): three times the same, and a byte that means nothing."""
    return np.repeat(gray[..., None], 4, axis=2)
