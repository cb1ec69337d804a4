"""Views of tiles for contrastive training, made on the device from numbers that the host draws, as in `augmentation`.

Of the study of small cell lung cancer: flips and quarter turns, contrast, saturation and hue, and in view B a random
crop or a rotation. Its noise has a number for every value of a pixel: a layer of the network draws it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypoxia_hpc.networks.data.augmentation import COLOUR, SYMMETRY, augment
from hypoxia_hpc.networks.runtime import start_keras
from hypoxia_hpc.records import Float32Array, Float64Array

PLACE, HUE = "place", "hue"
# What one tile's random numbers look like.
VIEW_SHAPES: Mapping[str, tuple[int, ...]] = {SYMMETRY: (3,), PLACE: (8,), COLOUR: (3,), HUE: (1,)}
# Of a crop's width to its height, as torchvision's RandomResizedCrop has it by default.
MOST_STRETCH = 4 / 3


@dataclass(frozen=True, slots=True)
class ViewStrengths:
    """The largest changes: contrast and saturation in 0..1; hue in whole turns, rotation in degrees, to either side;
    the least share of the tile that a crop keeps, 1 for no crop."""

    contrast: float
    saturation: float
    hue: float
    crop: float
    rotation: float


def view_draws(strengths: ViewStrengths, n: int, px: int, seed: int, step: int, view: int) -> dict[str, Float32Array]:
    """Random numbers for view number ``view`` of the ``n`` tiles of a step, float32 (n, ...) by the names of
    `VIEW_SHAPES`; for all of them, also where nothing is changed.

    ``symmetry`` and ``colour`` are as of `augmentation.draws`, brightness 1. ``hue`` (n, 1) is an angle in radians.
    ``place`` (n, 8) says where in the tile, of ``px`` pixels, each pixel of the view comes from: from column
    a0 x + a1 y + a2 and row b0 x + b1 y + b2, as ``keras.ops.image.affine_transform`` takes it.
    """
    rng = np.random.default_rng([seed, step, 1 + view, 2])  # apart from the order of the tiles, [seed, epoch, window]
    uniform = rng.random((n, 12))
    around_zero = 2 * uniform - 1
    changes = np.stack([np.zeros(n), strengths.contrast * around_zero[:, 3], strengths.saturation * around_zero[:, 4]])
    drawn = {
        SYMMETRY: uniform[:, :3] < 0.5,
        COLOUR: 1 + changes.T,
        HUE: 2 * math.pi * strengths.hue * around_zero[:, 5:6],
        PLACE: _places(strengths, px, uniform[:, 6:]),
    }
    return {name: values.astype(np.float32) for name, values in drawn.items()}


def view_of(pixels: Any, drawn: Mapping[str, Any]) -> Any:
    """Tiles float32 (b, px, px, 3) in 0..255, changed by the numbers of :func:`view_draws`; the same shape and
    range."""
    ops = start_keras().ops
    pixels = augment(pixels, {SYMMETRY: drawn[SYMMETRY]})
    placed = ops.image.affine_transform(pixels, drawn[PLACE], interpolation="bilinear", fill_mode="reflect")
    return hue_turned(augment(placed, {COLOUR: drawn[COLOUR]}), drawn[HUE])


def hue_turned(pixels: Any, angles: Any) -> Any:
    """Colours turned about the axis of grays by angles in radians (b, 1): grays stay, a third of a turn makes red
    green. Sums of red, green and blue stay too, but for what is cut off at 0 and 255."""
    ops = start_keras().ops
    cosine, sine = (function(angles)[:, :, None, None] for function in (ops.cos, ops.sin))
    gray = ops.mean(pixels, axis=-1, keepdims=True)
    across = (ops.roll(pixels, 1, axis=-1) - ops.roll(pixels, -1, axis=-1)) / math.sqrt(3)
    return ops.clip(gray + cosine * (pixels - gray) + sine * across, 0.0, 255.0)


def _places(strengths: ViewStrengths, px: int, uniform: Float64Array) -> Float64Array:
    """A crop or a rotation for each tile, float64 (n, 8); of both each comes as often."""
    crops, turns = _crops(strengths.crop, px, uniform[:, :4]), _turns(strengths.rotation, px, uniform[:, 4])
    if strengths.crop == 1:
        return turns
    return crops if not strengths.rotation else np.where(uniform[:, 5:6] < 0.5, crops, turns)


def _crops(least: float, px: int, uniform: Float64Array) -> Float64Array:
    area = least + (1 - least) * uniform[:, 0]
    stretch = MOST_STRETCH ** (2 * uniform[:, 1] - 1) if least < 1 else np.ones(len(uniform))
    shares = np.minimum(np.sqrt(np.stack([area * stretch, area / stretch])), 1)
    starts = px * (1 - shares) * uniform[:, 2:4].T + (shares - 1) / 2
    (width, height), (left, top), none = shares, starts, np.zeros(len(uniform))
    return np.stack([width, none, left, none, height, top, none, none], axis=1)


def _turns(most: float, px: int, uniform: Float64Array) -> Float64Array:
    angles = np.radians(most) * (2 * uniform - 1)
    cosine, sine, centre, none = np.cos(angles), np.sin(angles), (px - 1) / 2, np.zeros(len(uniform))
    left, top = centre * (1 - cosine + sine), centre * (1 - cosine - sine)
    return np.stack([cosine, -sine, left, sine, cosine, top, none, none], axis=1)
