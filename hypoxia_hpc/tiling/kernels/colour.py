"""Decoded pixels, uint8 with three channels, to packed ones: RGB as it is, YCbCr by the matrix of JFIF."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import UInt8Array

# What chroma adds to a channel; green in 1/65536, half of one included for rounding.
_CHROMA = np.arange(256) - 128
RED_OF_CR = np.rint(1.402 * _CHROMA).astype(np.int64)
BLUE_OF_CB = np.rint(1.772 * _CHROMA).astype(np.int64)
GREEN_OF_CB = np.rint(65536 * (0.5 - 0.34414 * _CHROMA)).astype(np.int64)
GREEN_OF_CR = np.rint(-65536 * 0.71414 * _CHROMA).astype(np.int64)


@kernel()
def pack_rgb(pixels: UInt8Array, out: UInt8Array) -> None:
    """Copy uint8 RGB (h, w, 3) into uint8 (h, w, 4)."""
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            out[y, x, 0] = pixels[y, x, 0]
            out[y, x, 1] = pixels[y, x, 1]
            out[y, x, 2] = pixels[y, x, 2]


@kernel()
def _clamped(value: int) -> np.uint8:
    return np.uint8(min(255, max(0, value)))


@kernel()
def pack_ycbcr(pixels: UInt8Array, out: UInt8Array) -> None:
    """Convert uint8 YCbCr (h, w, 3) to RGB in uint8 (h, w, 4): JFIF's matrix, rounded as OpenSlide does it for
    JPEG 2000 (all 16.7 million colours were compared)."""
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            luma, cb, cr = np.int64(pixels[y, x, 0]), pixels[y, x, 1], pixels[y, x, 2]
            out[y, x, 0] = _clamped(luma + RED_OF_CR[cr])
            out[y, x, 1] = _clamped(luma + ((GREEN_OF_CB[cb] + GREEN_OF_CR[cr]) >> 16))
            out[y, x, 2] = _clamped(luma + BLUE_OF_CB[cb])
