"""Numba kernels over blocks whose pixels are still in the planes of their JPEG: Y, Cb and Cr, chroma perhaps
subsampled, or R, G and B.

libjpeg-turbo spends a quarter of its time on upsampling chroma and on converting colours. That time is saved wherever
luma alone is enough: it mostly decides what is background, and a tile that is not kept needs nothing else. Colours that
are computed are libjpeg's to the bit: "fancy" upsampling (jdsample.c) and JFIF's matrix (jdcolor.c).

A block's planes lie behind each other, each with room for width · height samples, in the 4 · width · height bytes of
the block: ``block`` is the address where they begin. Width and height are multiples of 16. Vectors read up to LANES
samples behind a row, and chroma one before it: that is memory of the pool too, and its values are not used.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.tiling.kernels.packed import U32, PackedArray
from hypoxia_hpc.tiling.kernels.vectors import (
    CHROMA,
    LANES,
    at_least,
    copy_bytes,
    count_light_rgb,
    count_light_ycbcr,
    count_surely,
    interleave_rgb,
    interleave_rgb_packed,
    interleave_ycbcr,
    interleave_ycbcr_packed,
    upsample,
)

# How the pixels of a block lie: packed, in planes of R, G, B, or in planes of Y, Cb, Cr, with chroma whole (4:4:4),
# half as wide (4:2:2), half as wide and high (4:2:0).
PACKED, RGB, YCBCR_444, YCBCR_422, YCBCR_420 = 0, 1, 2, 3, 4
FULL_BYTE = 255
ALL = U32(0xFFFFFFFF)
GRAY_WEIGHTS = (0.299, 0.587, 0.114)


class LumaRule(NamedTuple):
    """What luma alone decides of the background rule. Below ``maybe`` a pixel of any colour is no background; from
    ``surely`` on it is background if both chroma lie within ``spread`` of 128. ``spread`` is -1 where luma alone never
    decides that."""

    maybe: int
    surely: int
    spread: int


def luma_rule(white: int) -> LumaRule:
    """The rule of luma where background is gray of ``white`` (0..255) or more.

    Gray equals luma up to rounding, 1 at most, as long as no channel is clipped at 0 or 255. Clipping at 255 lowers
    gray, so ``spread`` keeps the channels below 255. Clipping at 0 raises gray, by at most what a channel can lie below
    0 at the extremes of chroma. (The tests compare all colours.)
    """
    lowest = [math.ceil(128 * factor) for factor in (1.402, 0.34414 + 0.71414, 1.772)]
    maybe = 0
    for luma in range(256):
        lifted = sum(weight * max(0, low - luma) for weight, low in zip(GRAY_WEIGHTS, lowest, strict=True))
        if luma + 1 + lifted < white:
            maybe = luma + 1
    surely = white + 1
    room = min(FULL_BYTE - surely, surely) - 1
    return LumaRule(min(maybe, FULL_BYTE), min(surely, FULL_BYTE), math.floor(room / 1.772) if room > 0 else -1)


def nbytes_of_rows(width: int) -> int:
    """Bytes of scratch memory, ``rows``, that the kernels below need for two rows of chroma of a block, and for LANES
    pixels."""
    return int(2 * _row_nbytes(width) + 4 * LANES)


@kernel()
def _row_nbytes(width: int) -> int:
    return width + 2 * CHROMA


@kernel()
def _near_row(y: int, n: int) -> int:
    """Of ``n`` rows of 4:2:0 chroma the one that is next nearest to row ``y`` of luma."""
    return min(max(y // 2 + (1 if y % 2 else -1), 0), n - 1)


@kernel()
def _upsample_row(plane: int, form: int, width: int, height: int, x: int, y: int, n: int, rows: int) -> None:
    """Chroma of ``n`` pixels of row ``y`` from column ``x`` on, of the plane at the address ``plane``, to the address
    ``rows``, where the even column at or before ``x`` comes first."""
    columns, first = width // 2, x // 2
    row, near, even, odd = y, y, 4, 8
    if form == YCBCR_420:
        row, near, even, odd = y // 2, _near_row(y, height // 2), 8, 7
    current, other = plane + row * columns, plane + near * columns
    for column in range(first, (x + n + 1) // 2, CHROMA):
        upsample(
            current + column, other + column, -column, columns - 1 - column, even, odd, rows + 2 * (column - first)
        )


@kernel()
def unpack_run(
    block: int, form: int, width: int, height: int, x: int, y: int, n: int, rows: int, is_packed: bool, target: int
) -> None:
    """Make pixels of ``n`` of row ``y``, from column ``x`` on, at the address ``target``: 3 bytes each, or 4 where
    ``is_packed``. ``rows`` is the address of scratch memory."""
    area, size = width * height, 4 if is_packed else 3
    luma = block + y * width + x
    cb, cr = luma + area, luma + 2 * area
    if form >= YCBCR_422:
        half = _row_nbytes(width)
        _upsample_row(block + area, form, width, height, x, y, n, rows)
        _upsample_row(block + 2 * area, form, width, height, x, y, n, rows + half)
        cb, cr = rows + x % 2, rows + half + x % 2
    if n < LANES:
        spare = rows + 2 * _row_nbytes(width)
        _interleave(form, is_packed, luma, cb, cr, spare)
        copy_bytes(spare, target, size * n)
        return
    for at in range(0, n, LANES):
        first = min(at, n - LANES)  # may repeat some pixels: faster than fewer than LANES
        _interleave(form, is_packed, luma + first, cb + first, cr + first, target + size * first)


@kernel()
def _interleave(form: int, is_packed: bool, luma: int, cb: int, cr: int, target: int) -> None:
    if is_packed and form == RGB:
        interleave_rgb_packed(luma, cb, cr, target)
    elif is_packed:
        interleave_ycbcr_packed(luma, cb, cr, target)
    elif form == RGB:
        interleave_rgb(luma, cb, cr, target)
    else:
        interleave_ycbcr(luma, cb, cr, target)


@kernel()
def _count_row(
    block: int, form: int, width: int, height: int, y: int, maybe: int, surely: int, limit: int, rows: int, counts: int
) -> None:
    area, half = width * height, _row_nbytes(width)
    for x in range(0, width, LANES):
        luma = block + y * width + x
        if form == RGB:
            count_light_rgb(luma, luma + area, luma + 2 * area, limit, ALL, counts + x)
            continue
        doubtful = count_surely(luma, maybe, surely, counts + x)
        if doubtful == 0:
            continue
        cb, cr = luma + area, luma + 2 * area
        if form >= YCBCR_422:
            n = min(LANES, width - x)
            _upsample_row(block + area, form, width, height, x, y, n, rows)
            _upsample_row(block + 2 * area, form, width, height, x, y, n, rows + half)
            cb, cr = rows, rows + half
        count_light_ycbcr(luma, cb, cr, limit, doubtful, counts + x)


@kernel()
def _is_pale(row: int, n: int, spread: int) -> bool:
    """Whether ``n`` samples of chroma from the address ``row`` on, and some behind them, are within ``spread`` of
    128."""
    for i in range(0, n, LANES):
        if at_least(row + i, 129 + spread) != 0 or at_least(row + i, 128 - spread) != ALL:
            return False
    return True


@kernel()
def _pale_rows(block: int, form: int, width: int, height: int, y0: int, y1: int, spread: int) -> UInt8Array:
    """1 for each row of chroma, uint8 (n,), both planes of which are within ``spread`` of 128; of those alone that rows
    ``y0`` to ``y1`` are made of."""
    area = width * height
    columns = width if form == YCBCR_444 else width // 2
    pale = np.zeros(height // 2 if form == YCBCR_420 else height, dtype=np.uint8)
    if form == RGB or spread < 0:
        return pale
    first, stop = (y0 // 2 - 1, y1 // 2 + 1) if form == YCBCR_420 else (y0, y1)
    for row in range(max(0, first), min(stop, len(pale))):
        at = block + area + row * columns
        pale[row] = _is_pale(at, columns, spread) and _is_pale(at + area, columns, spread)
    return pale


@kernel()
def count_planes(
    block: int,
    form: int,
    width: int,
    height: int,
    y0: int,
    y1: int,
    white: int,
    rule: LumaRule,
    rows: int,
    counts: PackedArray,
) -> None:
    """Background pixels, gray of ``white`` or more, in each column of rows ``y0`` to ``y1`` of a block in planes, into
    uint32 (width,). ``rule`` is :func:`luma_rule` of ``white``, ``rows`` the address of scratch memory."""
    limit = (white << 16) - 32768
    pale = _pale_rows(block, form, width, height, y0, y1, rule.spread)
    few = np.empty(width + LANES, dtype=np.uint8)
    few_at = few.ctypes.data
    counts[:] = 0
    for first in range(y0, y1, FULL_BYTE):
        few[:] = 0
        for y in range(first, min(first + FULL_BYTE, y1)):
            row = near = y
            if form == YCBCR_420:
                row, near = y // 2, _near_row(y, len(pale))
            surely = rule.surely if pale[row] and pale[near] else FULL_BYTE + 1
            _count_row(block, form, width, height, y, rule.maybe, surely, limit, rows, few_at)
        for x in range(len(counts)):
            counts[x] = U32(counts[x] + U32(few[x]))
