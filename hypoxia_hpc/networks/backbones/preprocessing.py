"""Pixels 0..255 -> what a network was trained on: Keras' own rules, neutral to the backend.

Each takes Keras and RGB pixels (..., 3), uint8 or float of 0..255, and gives float32 of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Preprocess = Callable[[Any, Any], Any]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)
# Of ImageNet as Caffe read it: blue, green, red, 0..255.
CAFFE_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)


def unchanged(keras: Any, pixels: Any) -> Any:
    """0..255: the network does the rest itself (EfficientNet, ConvNeXt, MobileNetV3; one's own)."""
    return keras.ops.cast(pixels, "float32")


def scaled_to_one(keras: Any, pixels: Any) -> Any:
    """-1..1 (mode "tf" of keras.applications.imagenet_utils.preprocess_input)."""
    return unchanged(keras, pixels) * (1 / 127.5) - 1.0


def less_mean(keras: Any, pixels: Any) -> Any:
    """BGR less ImageNet's mean (mode "caffe")."""
    return keras.ops.subtract(keras.ops.flip(unchanged(keras, pixels), axis=-1), CAFFE_MEAN)


def standardised(mean: Sequence[float], sd: Sequence[float]) -> Preprocess:
    """0..1, less ``mean`` over ``sd`` of each channel (mode "torch" with ImageNet's)."""
    scale = (1 / (255 * np.array(sd, dtype=np.float64))).astype(np.float32)
    offset = (np.array(mean, dtype=np.float64) / np.array(sd, dtype=np.float64)).astype(np.float32)

    def preprocess(keras: Any, pixels: Any) -> Any:
        return keras.ops.subtract(keras.ops.multiply(unchanged(keras, pixels), scale), offset)

    return preprocess
