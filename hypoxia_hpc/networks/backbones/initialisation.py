"""A seeded random initialisation that is the same to the byte on every machine, backend and NumPy.

Its features mean nothing for tumours. With it the whole path runs where pretrained weights are missing, and still
separates textures that differ better than chance.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.records import Float32Array, Int64Array

if TYPE_CHECKING:
    import keras

RANDOM_RULE = 1  # raised when the weights made here change

BYTES = 2  # a weight is drawn as a 16-bit integer
UNIFORM_SD = 2**16 / math.sqrt(12)
# `RandomRule` says what was found at 1. The smaller it is, the less of what blocks see is left beside the trunk.
RESIDUAL_SCALE = 0.25


@dataclass(frozen=True, slots=True)
class RandomRule:
    """What keeps the magnitude of activations in a network of random weights.

    ``half_range``: about the largest size of a preprocessed pixel value. ``residual_ends``: layers, by a pattern of
    their names, whose result is added to a trunk; they enter with 1/4 of their amplitude. So the mean square of
    ResNet50's 16 grows by no more than (1 + 1/16)^16 < e; at full amplitude features came out near 150 with a maximum
    above 1,300. ``gain``: the factor of all other weights, where activations would otherwise shrink to nothing.
    """

    half_range: int = 1
    residual_ends: str = ""
    gain: float = 1.0


HE = RandomRule()


def fill_at_random(model: keras.Model, seed: int, rule: RandomRule) -> None:
    """Every kernel of the model from its own stream of ``seed``; weights with fewer than two axes stay as built."""
    for index, kernel in enumerate(weight for weight in model.weights if len(weight.shape) > 1):
        kernel.assign(random_kernel(tuple(kernel.shape), seed, index) * np.float32(_scale(kernel.path, index, rule)))


def _scale(path: str, index: int, rule: RandomRule) -> float:
    if rule.residual_ends and re.fullmatch(rule.residual_ends, path.partition("/")[0]):
        return RESIDUAL_SCALE
    return rule.gain / rule.half_range if index == 0 else rule.gain


def random_kernel(shape: tuple[int, ...], seed: int, index: int) -> Float32Array:
    """Weights ``index`` of a network: float32 of ``shape``, as (height, width, channels in, channels out); the last
    is 1 for a depthwise convolution.

    Uniform, of mean 0 and variance 2 / fan-in, which keeps the mean square of activations through any depth of ReLU
    (He et al. 2015); Keras' own Glorot initialisation leaves InceptionV3 a standard deviation of 1e-3. The first
    kernels sum to exactly 0 each: they see edges, not the colour of an even area, which otherwise drowns the rest
    (patients that differ by texture alone: tile AUC 0.986 without, 0.995 with). Drawn as integers from a raw bit
    stream, whose values, unlike those of distributions, NumPy promises to keep.
    """
    one_each = len(shape) == 4 and shape[-1] == 1 and shape[-2] > 1  # a depthwise convolution
    fan_in = math.prod(shape[:2] if one_each else shape[:-1])
    raw = np.random.PCG64([seed, index]).random_raw(-(-math.prod(shape) * BYTES // 8))
    whole = raw.astype("<u8").view("<i2")[: math.prod(shape)].reshape(shape).astype(np.int64)
    if index == 0:
        centred = whole * fan_in - whole.sum(axis=tuple(range(len(shape) - 1)))
        return _scaled(centred, fan_in * UNIFORM_SD * math.sqrt(fan_in))
    centred = 2 * whole + 1
    return _scaled(centred, 2 * UNIFORM_SD * math.sqrt(fan_in / 2))


def _scaled(integers: Int64Array, divisor: float) -> Float32Array:
    return (integers / divisor).astype(np.float32)
