"""Whether a square of tissue is out of focus: how much of its contrast is in the finest details.

The variance of the Laplacian (Pech-Pacheco et al. 2000, ICPR 3:314) falls with blur, and also with pale stain. Divided
by the variance of the gray levels themselves it says how fine the contrast is, whatever its strength.
"""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import Float64Array, UInt8Array

# Squares are looked at with pixels of 1 µm. Of 127 real ones in focus (colon of two laboratories, skin) one is below
# the limit; blurred by a Gaussian of 1.5 µm nine in ten are, by one of 2 µm all.
BLUR_UM_PER_PX = 1.0
LEAST_SHARPNESS = 0.15
# Where hardly anything is to be seen, noise decides: standard deviation of gray levels.
LEAST_CONTRAST = 3.0


def gray_levels(rgb: UInt8Array) -> Float64Array:
    """Gray of the tiling rule, 0 to 255, float64 (...), of uint8 (..., 3)."""
    wide = rgb.astype(np.uint32)
    gray = (19595 * wide[..., 0] + 38470 * wide[..., 1] + 7471 * wide[..., 2] + 32768) >> 16
    return gray.astype(np.float64)


def sharpness(rgb: UInt8Array) -> float | None:
    """Variance of the Laplacian (4 neighbours) by the variance of the gray levels, 0 or more, of uint8 (h, w, 3) at
    ``BLUR_UM_PER_PX``; None where there is too little contrast to say."""
    gray = gray_levels(rgb)
    contrast = gray.var()
    if contrast < LEAST_CONTRAST**2:
        return None
    middle = gray[1:-1, 1:-1]
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * middle
    return float(laplacian.var() / contrast)
