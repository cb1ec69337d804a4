"""Kernels of stain normalisation. What a pixel's three values bring to up to three sums comes from one table: int64
(256, 3), a field of 21 bits for each sum, so that a pixel costs three loads and two additions."""

from __future__ import annotations

import math

import numpy as np

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float64Array, Int64Array, UInt8Array, UInt64Array

FIELD_BITS = 21
FIELD = (1 << FIELD_BITS) - 1
TABLE_BITS = 14  # of the table of colours: 16 KB, which a core's first cache holds beside the 6 KB of sums
BIN_BITS = 13  # of histograms


@kernel()
def is_glass(red: int, green: int, blue: int, glass: int) -> bool:
    """The background rule of tiling for one pixel: Pillow's gray is ``glass`` or lighter."""
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16 >= glass


@kernel()
def glass_pixels(pixels: UInt8Array, glass: int) -> UInt8Array:
    """Those of uint8 (n, 3) that the tiling rule calls background."""
    kept = np.empty_like(pixels)
    n = 0
    for i in range(pixels.shape[0]):
        if is_glass(np.int32(pixels[i, 0]), np.int32(pixels[i, 1]), np.int32(pixels[i, 2]), glass):
            kept[n] = pixels[i]
            n += 1
    return kept[:n]


@kernel()
def tissue_pixels(
    pixels: UInt8Array, densities: Float64Array, least_density: float, glass: int
) -> tuple[UInt8Array, Float64Array, Float64Array]:
    """Those of uint8 (n, 3) that are stained: each channel's density is ``least_density`` at least, and the tiling
    rule calls them no background (``glass`` 256: no pixel is). ``densities`` is float64 (256, 3). Also the sums of
    their densities, float64 (3,), and of products of those, float64 (3, 3)."""
    kept = np.empty_like(pixels)
    n = 0
    r = g = b = rr = rg = rb = gg = gb = bb = 0.0
    for i in range(pixels.shape[0]):
        red, green, blue = pixels[i, 0], pixels[i, 1], pixels[i, 2]
        x, y, z = densities[red, 0], densities[green, 1], densities[blue, 2]
        if min(x, y, z) >= least_density and not is_glass(np.int32(red), np.int32(green), np.int32(blue), glass):
            kept[n, 0], kept[n, 1], kept[n, 2] = red, green, blue
            n += 1
            r, g, b = r + x, g + y, b + z
            rr, rg, rb = rr + x * x, rg + x * y, rb + x * z
            gg, gb, bb = gg + y * y, gb + y * z, bb + z * z
    return kept[:n], np.array([r, g, b]), np.array([[rr, rg, rb], [rg, gg, gb], [rb, gb, bb]])


@kernel()
def diamond_angle(x: float, y: float) -> float:
    """Grows with the angle of (x, y) as atan2(y, x) does, from -2 to 2, by one division."""
    length = abs(x) + abs(y)
    part = y / length if length > 0.0 else 0.0
    if x >= 0.0:
        return part
    return 2.0 - part if y >= 0.0 else -2.0 - part


@kernel()
def angle_histogram(pixels: UInt8Array, sums: Int64Array, step: float, low: float) -> Int64Array:
    """Of the diamond angles of the points whose two coordinates uint8 (n, 3) have by ``sums``, in units of ``step``
    above ``low``. int64 (2**13,), from -2 to 2."""
    counts = np.zeros(1 << BIN_BITS, dtype=np.int64)
    scale = (1 << BIN_BITS) / 4.0
    for i in range(pixels.shape[0]):
        place = sums[pixels[i, 0], 0] + sums[pixels[i, 1], 1] + sums[pixels[i, 2], 2]
        angle = diamond_angle((place & FIELD) * step + low, (place >> FIELD_BITS) * step + low)
        counts[min((1 << BIN_BITS) - 1, int((angle + 2.0) * scale))] += 1
    return counts


@kernel()
def field_histograms(pixels: UInt8Array, sums: Int64Array) -> Int64Array:
    """Of the two sums of uint8 (n, 3): int64 (2, 2**13), from 0 to 2**21."""
    counts = np.zeros((2, 1 << BIN_BITS), dtype=np.int64)
    for i in range(pixels.shape[0]):
        place = sums[pixels[i, 0], 0] + sums[pixels[i, 1], 1] + sums[pixels[i, 2], 2]
        counts[0, (place & FIELD) >> (FIELD_BITS - BIN_BITS)] += 1
        counts[1, place >> (2 * FIELD_BITS - BIN_BITS)] += 1
    return counts


@kernel()
def quantile_of_counts(counts: Int64Array, share: float) -> float:
    """The place, in bins, below which ``share`` of what was counted lies, as NumPy's linear quantile has it where each
    bin's values are spread evenly over it. ``counts`` is int64 (bins,); NaN where it is empty."""
    place = share * (counts.sum() - 1) + 0.5
    below = 0
    for i in range(counts.shape[0]):
        if counts[i] > 0 and below + counts[i] >= place:
            return float(i + (place - below) / counts[i])
        below += counts[i]
    return math.nan


@kernel()
def recolour(pixels: UInt8Array, fields: UInt64Array, colours: UInt8Array, glass: int, out: UInt8Array) -> None:
    """New colours of uint8 (n, 3) into ``out``, which may be the same: those that stand in ``colours``, uint8 (2**14,),
    at the upper bits of a pixel's three sums, by ``fields``, uint64 (256, 3): with a sign a place would be checked.
    Pixels that the tiling rule calls background are copied (``glass`` 256: none is)."""
    mask, shift = np.uint64((1 << TABLE_BITS) - 1), FIELD_BITS - TABLE_BITS
    shift_red, shift_green = np.uint64(shift), np.uint64(shift + FIELD_BITS)
    shift_blue = np.uint64(shift + 2 * FIELD_BITS)
    glass_from = np.uint32((glass << 16) - 32768)  # of Pillow's gray before it is shifted
    for i in range(pixels.shape[0]):
        red, green, blue = pixels[i, 0], pixels[i, 1], pixels[i, 2]
        place = fields[red, 0] + fields[green, 1] + fields[blue, 2]
        gray = np.uint32(19595) * np.uint32(red) + np.uint32(38470) * np.uint32(green)
        gray += np.uint32(7471) * np.uint32(blue)
        new_red = colours[(place >> shift_red) & mask]
        new_green = colours[(place >> shift_green) & mask]
        new_blue = colours[place >> shift_blue]
        # Both are there, and one is chosen by a mask: a branch that goes by noise costs twice the whole of it.
        old = np.uint8(0) - np.uint8(gray >= glass_from)
        out[i, 0] = new_red ^ ((new_red ^ red) & old)
        out[i, 1] = new_green ^ ((new_green ^ green) & old)
        out[i, 2] = new_blue ^ ((new_blue ^ blue) & old)
