"""What synthetic tissue is painted of: random fields, nuclei on a lattice, and the densities of two stains."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float32Array, Float64Array, UInt8Array

# Optical density of the two stains per channel (Ruifrok and Johnston 2001), unit vectors.
HAEMATOXYLIN = np.array([0.650, 0.704, 0.286], dtype=np.float32)
EOSIN = np.array([0.072, 0.990, 0.105], dtype=np.float32)
BACKGROUND_GRAY = 241.0
SENSOR_SD = 2.0  # gray levels
RADIUS_PER_SPACING = 0.30  # of nuclei, where nothing else is asked for


def background(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    """Near-white background with sensor noise; uint8 (h, w, 3), every pixel lighter than gray 220."""
    gray = BACKGROUND_GRAY + SENSOR_SD * rng.standard_normal((height, width), dtype=np.float32)
    pixels: UInt8Array = np.repeat(np.clip(gray + 0.5, 226, 254).astype(np.uint8)[..., None], 3, axis=2)
    pixels[..., 1] -= 1
    pixels[..., 2] += 1
    return pixels


def to_uint8(light: Float32Array) -> UInt8Array:
    """Rounded and within 0..255."""
    pixels: UInt8Array = np.clip(light + 0.5, 0, 255).astype(np.uint8)
    return pixels


def clouds(rng: np.random.Generator, shape: tuple[int, ...], size_px: int) -> Float32Array:
    """Smooth random field of mean 0 and variance 1 whose features have about ``size_px``; float32 (h, w)."""
    coarse = rng.standard_normal(tuple(side // size_px + 4 for side in shape), dtype=np.float32)
    height, width = (side * size_px for side in coarse.shape)
    fine = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    field = fine[size_px : size_px + shape[0], size_px : size_px + shape[1]]
    return standardised(field)


def standardised(field: Float32Array) -> Float32Array:
    """At variance 1."""
    result: Float32Array = field / field.std()
    return result


def fibres(rng: np.random.Generator, shape: tuple[int, ...]) -> Float32Array:
    """Strands along one axis or the other, of mean 0 and variance 1; float32 (h, w)."""
    along = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (1.2, 6), truncate=2.5)
    across = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (6, 1.2), truncate=2.5)
    turn = np.clip(0.5 + clouds(rng, shape, 80), 0, 1)
    field = along * turn + across * (1 - turn)
    return standardised(field)


def nuclei(rng: np.random.Generator, shape: tuple[int, ...], spacing: float, radius_per_spacing: float) -> Float32Array:
    """Ellipses on a jittered lattice of ``spacing`` px, some left out: 0 outside, up to 1 inside; float32 (h, w)."""
    rows, columns = (int(side / spacing) + 3 for side in shape)
    y, x = np.mgrid[:rows, :columns].astype(np.float64) - 1
    x[::2] += 0.5
    n = y.size
    canvas = np.zeros(shape, dtype=np.float32)
    _stamp(
        canvas,
        spacing * (y.ravel() + rng.uniform(-0.3, 0.3, n)),
        spacing * (x.ravel() + rng.uniform(-0.3, 0.3, n)),
        spacing * radius_per_spacing * np.exp(rng.normal(scale=0.18, size=n)),
        rng.uniform(1, 1.7, n),
        rng.uniform(0, np.pi, n),
        rng.uniform(0.55, 1, n) * (rng.random(n) > 0.12),
    )
    return canvas


@kernel
def _stamp(
    canvas: Float32Array,
    y0: Float64Array,
    x0: Float64Array,
    radius: Float64Array,
    stretch: Float64Array,
    angle: Float64Array,
    shade: Float64Array,
) -> None:
    """Draw ellipses of the area of a disc of ``radius``, the darker one on top. The rim is soft over a share of the
    radius, not over pixels, so that the mean over the canvas does not depend on the size."""
    height, width = canvas.shape
    for one in range(len(y0)):
        long = radius[one] * np.sqrt(stretch[one])
        cos, sin = np.cos(angle[one]) / long, np.sin(angle[one]) / long
        for y in range(max(0, int(y0[one] - long)), min(height, int(y0[one] + long) + 2)):
            for x in range(max(0, int(x0[one] - long)), min(width, int(x0[one] + long) + 2)):
                dy, dx = y - y0[one], x - x0[one]
                u = cos * dx + sin * dy
                v = (cos * dy - sin * dx) * stretch[one]
                value = shade[one] * min(1.0, 2.5 * (1.0 - u * u - v * v))
                canvas[y, x] = max(canvas[y, x], value)
