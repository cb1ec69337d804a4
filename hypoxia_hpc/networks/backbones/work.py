"""The cost of a network for a tile, where it is known: seconds of a core, bytes of intermediate results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# InceptionV3 of 299 px, float32: TensorFlow 2.21 on two Zen 5 cores, 24-29 images/s together.
INCEPTION_SECONDS, INCEPTION_PX = 0.08, 299
INCEPTION_PRODUCTS = 5.7e9  # multiply-adds for such a tile


class Work(NamedTuple):
    """Of a pixel: ``products``, multiply-adds against InceptionV3's; ``outputs``, values that its convolutions give."""

    products: float
    outputs: float


# From the papers' and timm's counts: InceptionV3 5.7 G and 9.0 M at 299 px; at 224 px ResNet50 4.1 G and 11.1 M, VGG16
# 15.5 G and 13.6 M, DenseNet121 2.9 G and 6.9 M, EfficientNet-Lite0 0.4 G and 6.7 M. The last one's depthwise
# convolutions wait for memory: by its operations it would take 0.13 of InceptionV3's time, it takes 0.36.
WORK: Mapping[str, Work] = {
    "inception_v3": Work(1.0, 101),
    "resnet50": Work(1.3, 221),
    "vgg16": Work(5.0, 271),
    "densenet121": Work(0.9, 138),
    "efficientnet_lite0": Work(0.36, 134),
}


def core_seconds_a_tile(name: str, px: int) -> float | None:
    """For a tile of ``px`` to go through the network, by its operations; None where they are not known."""
    work = WORK.get(name)
    return None if work is None else INCEPTION_SECONDS * work.products * (px / INCEPTION_PX) ** 2


def output_bytes(name: str, px: int) -> float | None:
    """Float32 values that the convolutions give for a tile of ``px``; None where they are not known."""
    work = WORK.get(name)
    return None if work is None else 4 * work.outputs * px**2
