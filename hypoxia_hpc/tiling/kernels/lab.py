"""Kernels of CIE L*a*b* (sRGB, D65): moments of an image in it, and new ones given to it."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float64Array, UInt8Array
from hypoxia_hpc.tiling.kernels.stain import is_glass

# IEC 61966-2-1: linear light of sRGB's gray levels, and XYZ of linear light relative to D65's white.
_LEVELS = np.arange(256) / 255
LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
XYZ_OF_RGB = _XYZ / _XYZ.sum(axis=1, keepdims=True)
RGB_OF_XYZ = np.linalg.inv(XYZ_OF_RGB)
_BEND = 6 / 29  # CIE 15: below its cube the cube root becomes a line


@kernel()
def _root(value: float) -> float:
    return np.cbrt(value) if value > _BEND**3 else value / (3 * _BEND**2) + 4 / 29


@kernel()
def _cube(value: float) -> float:
    return value**3 if value > _BEND else 3 * _BEND**2 * (value - 4 / 29)


@kernel()
def lab_of(red: int, green: int, blue: int) -> tuple[float, float, float]:
    """L* (0 to 100), a* and b* of an sRGB colour."""
    r, g, b = LINEAR[red], LINEAR[green], LINEAR[blue]
    x = _root(XYZ_OF_RGB[0, 0] * r + XYZ_OF_RGB[0, 1] * g + XYZ_OF_RGB[0, 2] * b)
    y = _root(XYZ_OF_RGB[1, 0] * r + XYZ_OF_RGB[1, 1] * g + XYZ_OF_RGB[1, 2] * b)
    z = _root(XYZ_OF_RGB[2, 0] * r + XYZ_OF_RGB[2, 1] * g + XYZ_OF_RGB[2, 2] * b)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@kernel()
def _level(linear: float) -> np.uint8:
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return np.uint8(min(255.0, max(0.0, 255 * value + 0.5)))


@kernel()
def lab_moments(pixels: UInt8Array) -> tuple[Float64Array, Float64Array]:
    """Means and standard deviations (of the population) of L*, a*, b*, float64 (3,) each, of uint8 (n, 3), n > 0."""
    sums, squares = np.zeros(3), np.zeros(3)
    for i in range(pixels.shape[0]):
        lab = lab_of(pixels[i, 0], pixels[i, 1], pixels[i, 2])
        for c in range(3):
            sums[c] += lab[c]
            squares[c] += lab[c] * lab[c]
    means = sums / pixels.shape[0]
    return means, np.sqrt(np.maximum(squares / pixels.shape[0] - means * means, 0.0))


@kernel()
def move_lab(pixels: UInt8Array, factor: Float64Array, added: Float64Array, glass: int, out: UInt8Array) -> None:
    """L*, a*, b* of uint8 (n, 3) times ``factor`` plus ``added``, float64 (3,) each, into ``out``, uint8; what has gray
    ``glass`` or more is copied."""
    for i in range(pixels.shape[0]):
        red, green, blue = pixels[i, 0], pixels[i, 1], pixels[i, 2]
        if is_glass(np.int32(red), np.int32(green), np.int32(blue), glass):
            out[i, 0], out[i, 1], out[i, 2] = red, green, blue
        else:
            lightness, a, b = lab_of(red, green, blue)
            y = (lightness * factor[0] + added[0] + 16) / 116
            x = _cube(y + (a * factor[1] + added[1]) / 500)
            z = _cube(y - (b * factor[2] + added[2]) / 200)
            y = _cube(y)
            for c in range(3):
                out[i, c] = _level(RGB_OF_XYZ[c, 0] * x + RGB_OF_XYZ[c, 1] * y + RGB_OF_XYZ[c, 2] * z)
