"""Numba kernels over packed pixels, without the GIL: background count, alpha, exact averaging.

The background rule is all integers, so that every machine agrees:
``L = (19595 R + 38470 G + 7471 B + 32768) >> 16`` (ITU-R 601-2 luma as Pillow's ``convert("L")`` computes it);
a pixel is background iff ``L >= white``.

Pixels travel *packed*: RGBA as one little-endian uint32. A loop over packed pixels vectorises (9,000 Mpx/s on one
Zen 4 core with 299 px tiles in cache); the same loop over three bytes does not (850 Mpx/s), nor does one over a slice
whose inner stride the compiler cannot know, which is why squares are given as a band and a column.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.vectors import prefetch

PackedArray = NDArray[np.uint32]

U32 = np.uint32
BYTE = U32(255)
# Pixels of a run, of a line of the cache, and how far ahead lines are fetched: behind the page that the processor
# fetches ahead by itself. Out of cache the count runs at 1.5 to 2 times the speed.
RUN_PX, LINE_PX, AHEAD_PX = 256, 16, 1024


@kernel(inline="always")
def _is_light(pixel: np.uint32, limit: np.uint32) -> np.uint32:
    """1 where a packed pixel is background, else 0; ``limit`` is white with the rounding half and the shift moved into
    it. It is the sign of what is lacking: to compare and then to add 1 takes a third longer where there are masks
    (AVX-512)."""
    red = U32(U32(19595) * U32(pixel & BYTE))
    green = U32(U32(19235) * U32(U32(pixel >> U32(7)) & U32(510)))  # 38470 and green, halved and doubled: fits a word
    blue = U32(U32(7471) * U32(U32(pixel >> U32(16)) & BYTE))
    return U32(U32(U32(limit - U32(1)) - U32(U32(red + green) + blue)) >> U32(31))


@kernel()
def count_background(band: PackedArray, left: int, width: int, white: int) -> int:
    """Background pixels in columns left .. left + width of a packed, C-contiguous band, uint32 (height, columns)."""
    # Numba widens uint32 arithmetic to 64 bits unless every step is narrowed again, here and in _is_light, and the loop
    # then runs at a tenth of the speed.
    limit = U32((white << 16) - 32768)
    total, pixels = 0, band.reshape(-1)
    for y in range(band.shape[0]):
        row = band[y][left : left + width]
        for start in range(0, width, RUN_PX):
            run = row[start : start + RUN_PX]
            for line in range(0, len(run), LINE_PX):
                prefetch(pixels, y * band.shape[1] + left + start + line + AHEAD_PX)
            in_run = U32(0)
            for x in range(len(run)):
                in_run = U32(in_run + _is_light(run[x], limit))
            total += int(in_run)
    return total


@kernel()
def count_columns(band: PackedArray, white: int, counts: PackedArray) -> None:
    """Background pixels in each column of a packed, C-contiguous band, uint32 (h, w), into uint32 (w,).

    No row is cut at the borders of tiles: 10 % faster than counting each tile's part of it.
    """
    limit = U32((white << 16) - 32768)
    counts[:] = 0
    for y in range(band.shape[0]):
        row = band[y]
        for x in range(counts.shape[0]):
            counts[x] = U32(counts[x] + _is_light(row[x], limit))


@kernel()
def composite_on_white(rgba: UInt8Array) -> None:
    """Lay pixels with straight alpha, uint8 (height, width, 4), on white, in place:
    ``(c·a + 255·(255 - a) + 127) // 255``."""
    for y in range(rgba.shape[0]):
        for x in range(rgba.shape[1]):
            alpha = np.int32(rgba[y, x, 3])
            if alpha != 255:
                for channel in range(3):
                    blended = np.int32(rgba[y, x, channel]) * alpha + 255 * (255 - alpha) + 127
                    rgba[y, x, channel] = np.uint8(blended // 255)
                rgba[y, x, 3] = 255


@kernel()
def light_shares(image: PackedArray, white: int, corners: Float64Array, side: float) -> Float64Array:
    """How much of each square is covered by background pixels of a packed image, 0..1, float64 (n,).

    ``corners`` float64 (n, 2): x, y of the squares' upper left corners, and ``side`` their side, in the image's pixels;
    a pixel that is cut counts in part, what lies outside the image is none.
    """
    shares = np.zeros(len(corners), dtype=np.float64)
    limit = U32((white << 16) - 32768)
    for square in range(len(corners)):
        left, top = corners[square]
        first, last = max(0, math.floor(left)), min(image.shape[1], math.ceil(left + side))
        for y in range(max(0, math.floor(top)), min(image.shape[0], math.ceil(top + side))):
            in_row = 0.0
            for x in range(first, last):
                if _is_light(image[y, x], limit) != 0:
                    in_row += min(x + 1.0, left + side) - max(float(x), left)
            shares[square] += in_row * (min(y + 1.0, top + side) - max(float(y), top))
    return shares / side**2


@kernel()
def average_square(band: PackedArray, left: int, tile: PackedArray) -> None:
    """Reduce a square of a band, as wide as the band is high, to a packed tile, uint32 (px, px), px <= side, as
    :func:`average_rectangle` does."""
    average_rectangle(band, left, band.shape[0], tile)


@kernel()
def average_rectangle(band: PackedArray, left: int, width: int, out: PackedArray) -> None:
    """Reduce columns left .. left + width of a band to packed pixels, uint32 (h, w), not more than there are, by exact
    area averaging, halves rounded up.

    Lengths are counted in 1/w (down: 1/h) of a source pixel, so that a source pixel is w long, one of ``out``
    ``width``, and every overlap is an integer: the weights of one pixel of ``out`` sum to width · height. Rows are
    summed into one first, which vectorises; its numbers fit 32 bits for any height below 10^7, and sums of them are
    exact floats for any side below 10^6.
    """
    height, out_height = band.shape[0], out.shape[0]
    row_sums = np.empty(4 * width, dtype=np.uint32)
    for out_y in range(out_height):
        top, bottom = out_y * height, (out_y + 1) * height
        row_sums[:] = 0
        for y in range(top // out_height, (bottom + out_height - 1) // out_height):
            weight = U32(min((y + 1) * out_height, bottom) - max(y * out_height, top))
            row = band[y][left : left + width].view(np.uint8)
            for x in range(row_sums.shape[0]):
                row_sums[x] = U32(row_sums[x] + U32(weight * U32(row[x])))
        _average_along(row_sums, height, out[out_y])


@kernel(inline="always")
def _average_along(row_sums: PackedArray, height: int, out: PackedArray) -> None:
    """One row of averages, of the sums of red, green, blue and alpha of each source column."""
    width, out_width = row_sums.shape[0] // 4, out.shape[0]
    # Half of the area rounds. A quarter more never changes a mean, whose numerator is whole or a half, and keeps a
    # product that is a rounding error too small from losing a level: a division takes longer than all the rest.
    more, share = 0.5 * width * height + 0.25, 1.0 / (width * height)
    x, length_left = 0, out_width
    for out_x in range(out_width):
        red = green = blue = more
        lacking = width
        while lacking > 0:
            length = min(length_left, lacking)
            red += float(length) * row_sums[4 * x]
            green += float(length) * row_sums[4 * x + 1]
            blue += float(length) * row_sums[4 * x + 2]
            lacking -= length
            length_left -= length
            if length_left == 0:
                x, length_left = x + 1, out_width
        colour = U32(U32(red * share) | U32(U32(green * share) << U32(8)))
        out[out_x] = U32(colour | U32(U32(U32(blue * share) << U32(16)) | U32(0xFF000000)))


def most_background_px(tile_px: int, max_background: float) -> int:
    """Most background pixels of a kept tile: floor(max_background · tile_px²), for the decimal number that was written
    (0.47 of 20² pixels are 188, though 0.47 * 20 * 20 is 187.99999999999997)."""
    return most_background_of(tile_px**2, max_background)


@lru_cache
def most_background_of(n_px: int, max_background: float) -> int:
    """The same of a tile that has ``n_px`` pixels of an image, the others filled up."""
    return math.floor(Fraction(str(max_background)) * n_px)
