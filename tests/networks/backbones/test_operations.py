"""The operations of a network are those that its papers give, or are said to be unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.backbones.operations import count_operations, multiply_adds
from hypoxia_hpc.networks.runtime import start_keras

# Multiply-adds of the papers, and of tables that follow them; without the top, which has two million at most.
PUBLISHED = {
    ("inception_v3", 299): (5.7e9, 0.01),
    ("resnet50", 224): (3.86e9, 0.01),  # He et al. 2016 say 3.8, with the stride where Keras has it
    ("vgg16", 224): (15.5e9, 0.02),  # with its top, which has 0.12
    ("densenet121", 224): (2.9e9, 0.03),
    ("mobilenet", 224): (0.569e9, 0.01),
    ("mobilenet_v2", 224): (0.3e9, 0.01),
    ("efficientnet_lite0", 224): (0.407e9, 0.06),
    ("xception", 299): (8.4e9, 0.01),
}
QUICK = [("vgg16", 224), ("resnet50", 224), ("mobilenet", 224)]


@pytest.mark.parametrize(
    ("name", "px"), [pytest.param(*one, marks=[] if one in QUICK else pytest.mark.long) for one in PUBLISHED]
)
def test_a_network_has_the_operations_of_its_paper(name: str, px: int) -> None:
    published, tolerance = PUBLISHED[name, px]
    assert count_operations(name, px) == pytest.approx(published, rel=tolerance)


def products_one_by_one(values: np.ndarray, kernel: np.ndarray, stride: int) -> int:
    """A convolution without padding, written out: how many times two numbers are multiplied."""
    height, width = values.shape[:2]
    side = kernel.shape[0]
    count = 0
    for y in range(0, height - side + 1, stride):
        for x in range(0, width - side + 1, stride):
            for _ in range(kernel.shape[3]):
                count += values[y : y + side, x : x + side, : kernel.shape[2]].size
    return count


@pytest.mark.parametrize(
    ("side", "stride", "depth", "filters"), [(1, 1, 3, 4), (3, 1, 2, 5), (3, 2, 4, 2), (5, 3, 1, 1)]
)
def test_a_convolution_counts_as_it_multiplies(side: int, stride: int, depth: int, filters: int) -> None:
    keras = start_keras()
    layer = keras.layers.Conv2D(filters, side, strides=stride)
    model = keras.Sequential([keras.Input((11, 9, depth)), layer, keras.layers.BatchNormalization()])
    assert multiply_adds(model) == products_one_by_one(np.zeros((11, 9, depth)), np.asarray(layer.kernel), stride)


def network(*layers: Any) -> Any:
    keras = start_keras()
    return keras.Sequential([keras.Input((8, 8, 4)), *layers])


def test_each_kind_of_layer_counts() -> None:
    layers = start_keras().layers
    kinds = {
        "depthwise": (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 64 * 9 * 8),
        "separable": (layers.SeparableConv2D(6, 3, padding="same"), 64 * (9 * 4 + 4 * 6)),
        "groups": (layers.Conv2D(6, 3, padding="same", groups=2), 64 * 9 * 2 * 6),
        "dense": (layers.Dense(5), 64 * 4 * 5),
        "pooling": (layers.GlobalAveragePooling2D(), 0),
        "inner": (network(layers.Conv2D(3, 1)), 64 * 4 * 3),
    }
    assert {name: multiply_adds(network(layer)) for name, (layer, _) in kinds.items()} == {
        name: n for name, (_, n) in kinds.items()
    }


def test_what_is_not_known_is_not_guessed() -> None:
    keras = start_keras()
    pixels = keras.Input((8, 8, 4))
    attention = keras.layers.MultiHeadAttention(2, 3)
    assert multiply_adds(keras.Model(pixels, attention(pixels, pixels))) is None
    twice = keras.layers.Conv2D(4, 1)
    assert multiply_adds(keras.Model(pixels, twice(twice(pixels)))) is None
    assert multiply_adds(keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])) is None
    with pytest.raises(InputError):
        count_operations("no_such_network", 224)
