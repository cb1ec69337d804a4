"""How many multiply-adds a network takes for a tile, counted from its layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hypoxia_hpc.networks.backbones.resolve import find_network
from hypoxia_hpc.networks.runtime import start_keras

if TYPE_CHECKING:
    import keras

# Layers whose arrays count values, not products: they cost next to nothing.
LIGHT_RANK = 1


def multiply_adds(model: keras.Model) -> int | None:
    """Multiply-adds of convolutions and dense layers for one input, as papers count the operations of a network; None
    where it has other layers with matrices (attention, layers of other packages), of which nothing is known here."""
    total = 0
    for layer in _innermost(model):
        counted = _products(layer)
        if counted is None:
            return None
        total += counted
    return total


def count_operations(name: str, tile_px: int) -> int | None:
    """Multiply-adds of the network of this name for a tile, or None: see :func:`multiply_adds`. Builds it, which takes
    seconds. Raises InputError, MachineError: it is not known or cannot be built here."""
    network = find_network(name)
    network.length_at(name, tile_px)
    start_keras()
    return multiply_adds(network.build(tile_px))


def _innermost(model: keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        inner = getattr(layer, "layers", None)
        if inner:
            yield from _innermost(layer)
        else:
            yield layer


def _products(layer: Any) -> int | None:
    """Of one layer: values that come out, times what is multiplied for each."""
    from keras import layers

    if isinstance(layer, layers.SeparableConv2D):
        shape, positions = layer.depthwise_kernel.shape, _positions(layer)
        per_position = math.prod(shape) + math.prod(layer.pointwise_kernel.shape)
        return None if positions is None else positions * per_position
    if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D | layers.Dense):
        # A kernel has one entry for each product at a position; groups are smaller kernels.
        positions = _positions(layer)
        return None if positions is None else positions * math.prod(layer.kernel.shape)
    return 0 if all(len(array.shape) <= LIGHT_RANK for array in layer.weights) else None


def _positions(layer: Any) -> int | None:
    """Places at which the layer's kernel is applied to one input; None where the layer is used more than once, or the
    size of what comes out is not known."""
    if len(getattr(layer, "_inbound_nodes", ())) != 1:  # Keras 3 has no public name for it
        return None
    places = layer.output.shape[1:-1]
    return None if None in places else math.prod(places)
