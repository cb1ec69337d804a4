"""Packed pixels averaged by powers of two."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.tiling.kernels.reduce import reduce_block

# The kernel that averages adds up to 256 pixels in 16 bits.
MOST_REDUCED = 16


def averaged(pixels: UInt8Array, factor: int) -> UInt8Array:
    """uint8 (h, w, 4) averaged by ``factor``, a power of two: beyond 16 in two steps, each rounded. A remainder of the
    division is left out."""
    while factor > 1:
        step = min(factor, MOST_REDUCED)
        out = np.empty((pixels.shape[0] // step, pixels.shape[1] // step, 4), dtype=np.uint8)
        average_into(pixels, step, out)
        pixels, factor = out, factor // step
    return pixels


def average_into(pixels: UInt8Array, factor: int, out: UInt8Array) -> None:
    """Average uint8 (factor · h, factor · w, 4) by ``factor`` (1, 2, 4, 8 or 16) into (h, w, 4)."""
    if factor == 1:
        out[:] = pixels
    else:
        reduce_block(pixels.view("<u4")[..., 0], factor, out.view("<u4")[..., 0])
