"""Augmentation of tiles on the device: the same on every backend, a function of (pixels, seed, step) alone.

The host draws a few random numbers for each tile in NumPy; ``keras.ops`` applies them inside the network that is
trained. So training that continues after a kill sees the same tiles as without the kill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypoxia_hpc.networks.runtime import start_keras
from hypoxia_hpc.records import Float32Array, Float64Array

SYMMETRY, STAIN, COLOUR, CUTOUT = "symmetry", "stain", "colour", "cutout"
# What one tile's random numbers look like.
SHAPES: Mapping[str, tuple[int, ...]] = {SYMMETRY: (3,), STAIN: (2, 2), COLOUR: (3,), CUTOUT: (4,)}
# Optical density of haematoxylin and of eosin in red, green, blue: Ruifrok & Johnston 2001 (Anal. Quant. Cytol. Histol.
# 23:291), in the values that scikit-image's rgb_from_hed gives of it.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
# ITU-R BT.601, as Pillow's mode "L".
LUMA = np.array([[0.299], [0.587], [0.114]], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Strengths:
    """The largest changes: mirror and turn or not; colour and stain in 0..1, 0 for no change; ``light`` is of
    brightness and contrast alone, where ``colour`` is 0. ``cutout``: the side of the square that is painted over, as a
    share of the tile's, 0..1."""

    flips: bool
    colour: float
    stain: float
    light: float = 0.0
    cutout: float = 0.0


def draws(strengths: Strengths, n: int, seed: int, step: int) -> dict[str, Float32Array]:
    """Random numbers for the ``n`` tiles of a step, float32 (n, ...) by name; only for what is changed at all.

    ``symmetry`` (n, 3): 0 or 1 for mirrored across, mirrored down, transposed: each of the square's eight symmetries
    as often. ``stain`` (n, 2, 2): factor in 1 ± strength and shift in ± strength (optical density) of haematoxylin
    and eosin. ``colour`` (n, 3): factors in 1 ± strength of brightness, contrast, saturation. ``cutout`` (n, 4): top,
    left, bottom, right of a square as shares of the tile's side; its centre is in the tile, a part of it may not be.
    """
    rng = np.random.default_rng([seed, step, 0, 1])  # apart from the order of the tiles, [seed, epoch, window]
    uniform = rng.random((n, 10), dtype=np.float32)
    around_zero = 2 * uniform - 1
    drawn: dict[str, Float32Array] = {}
    if strengths.flips:
        drawn[SYMMETRY] = (uniform[:, :3] < 0.5).astype(np.float32)
    if strengths.stain:
        drawn[STAIN] = np.float32(strengths.stain) * around_zero[:, 3:7].reshape(n, 2, 2)
        drawn[STAIN][:, 0] += 1
    if strengths.colour:
        drawn[COLOUR] = 1 + np.float32(strengths.colour) * around_zero[:, 7:]
    elif strengths.light:
        drawn[COLOUR] = 1 + np.float32(strengths.light) * around_zero[:, 7:] * np.array([1, 1, 0], dtype=np.float32)
    if strengths.cutout:
        centres = rng.random((n, 2), dtype=np.float32)  # last: with it and without it the other numbers are the same
        half = np.float32(strengths.cutout / 2)
        drawn[CUTOUT] = np.concatenate([centres - half, centres + half], axis=1)
    return drawn


def augment(pixels: Any, drawn: Mapping[str, Any]) -> Any:
    """Tiles float32 (b, px, px, 3) in 0..255, changed by the numbers of :func:`draws`; the same shape and range."""
    if SYMMETRY in drawn:
        pixels = _turned(pixels, drawn[SYMMETRY])
    if STAIN in drawn:
        pixels = _restained(pixels, drawn[STAIN])
    if COLOUR in drawn:
        pixels = _recoloured(pixels, drawn[COLOUR])
    if CUTOUT in drawn:
        pixels = _cut_out(pixels, drawn[CUTOUT])
    return pixels


def resize(pixels: Any, tile_px: int, input_px: int) -> Any:
    """Tiles (b, tile_px, tile_px, 3) as float32 (b, input_px, input_px, 3): bilinear, as Pillow's BILINEAR.

    Two matrix products, because ``keras.ops.image.resize`` reads four pixels and skips those between them, unless it
    averages, which TensorFlow does on the CPU alone.
    """
    ops = start_keras().ops
    pixels = ops.cast(pixels, "float32")
    if tile_px == input_px:
        return pixels
    weights = bilinear_weights(tile_px, input_px).astype(np.float32)
    for rows, columns in ((tile_px, tile_px), (tile_px, input_px)):
        resized = ops.matmul(weights, ops.reshape(pixels, (-1, rows, columns * 3)))
        pixels = ops.transpose(ops.reshape(resized, (-1, input_px, columns, 3)), (0, 2, 1, 3))
    return pixels


def bilinear_weights(tile_px: int, input_px: int) -> Float64Array:
    """The share that each of ``tile_px`` pixels of a row has in each of ``input_px``, float64 (input_px, tile_px): a
    triangle of one output pixel on either side, at least one input pixel; each row sums to 1."""
    scale = tile_px / input_px
    reach = max(scale, 1.0)
    centres = (np.arange(input_px)[:, None] + 0.5) * scale
    distances = np.abs(np.arange(tile_px) + 0.5 - centres) / reach
    triangle = np.maximum(1 - distances, 0)
    weights: Float64Array = triangle / triangle.sum(axis=1, keepdims=True)
    return weights


def _turned(pixels: Any, symmetry: Any) -> Any:
    ops = start_keras().ops
    across, down, transposed = (symmetry[:, index, None, None, None] > 0.5 for index in range(3))
    pixels = ops.where(across, ops.flip(pixels, axis=2), pixels)
    pixels = ops.where(down, ops.flip(pixels, axis=1), pixels)
    return ops.where(transposed, ops.transpose(pixels, (0, 2, 1, 3)), pixels)


def _restained(pixels: Any, stain: Any) -> Any:
    """Each stain's concentration c becomes factor · c + shift (Tellez et al. 2018, doi 10.1109/TMI.2018.2820199); what
    neither stain explains stays. Light is multiplied by the difference, so that factor 1 and shift 0 leave every pixel
    as it is."""
    ops = start_keras().ops
    density = ops.log(255 / ops.maximum(pixels, 1.0)) / math.log(10)
    concentrations = ops.tensordot(density, _unmixing(), axes=1)
    change = (stain[:, None, None, 0] - 1) * concentrations + stain[:, None, None, 1]
    passed = ops.exp(-math.log(10) * ops.tensordot(change, STAINS.astype(np.float32), axes=1))
    return ops.clip(pixels * passed, 0.0, 255.0)


def _unmixing() -> Float32Array:
    """Concentrations of both stains from optical densities, float32 (3, 2); the third direction is at right angles to
    both, as Ruifrok & Johnston take it where there are but two stains."""
    stains = np.vstack([STAINS, np.cross(*STAINS)])
    return np.linalg.inv(stains)[:, :2].astype(np.float32)


def _recoloured(pixels: Any, colour: Any) -> Any:
    """Brightness, contrast, saturation one after the other, each a blend with black, with the tile's mean gray, with
    each pixel's gray (Pillow's ImageEnhance)."""
    ops = start_keras().ops
    brightness, contrast, saturation = (colour[:, index, None, None, None] for index in range(3))
    pixels = ops.clip(pixels * brightness, 0.0, 255.0)
    mean = ops.mean(ops.tensordot(pixels, LUMA, axes=1), axis=(1, 2, 3), keepdims=True)
    pixels = ops.clip(mean + contrast * (pixels - mean), 0.0, 255.0)
    gray = ops.tensordot(pixels, LUMA, axes=1)
    return ops.clip(gray + saturation * (pixels - gray), 0.0, 255.0)


def _cut_out(pixels: Any, square: Any) -> Any:
    """Pixels whose centres are in the square get the tile's mean colour (DeVries & Taylor 2017, arXiv 1708.04552, where
    they become the mean of the data set)."""
    ops = start_keras().ops
    centres = (np.arange(pixels.shape[1], dtype=np.float32) + np.float32(0.5)) / np.float32(pixels.shape[1])
    rows, columns = (
        ops.logical_and(square[:, side, None] <= centres, square[:, side + 2, None] > centres) for side in range(2)
    )
    inside = ops.logical_and(rows[:, :, None], columns[:, None, :])[..., None]
    return ops.where(inside, ops.mean(pixels, axis=(1, 2), keepdims=True), pixels)
