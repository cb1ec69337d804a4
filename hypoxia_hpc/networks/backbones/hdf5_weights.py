"""The content of an HDF5 weights file against a network. Keras reports the first difference only, and no surplus.

Two layouts: that of ``save_weights`` (a group ``layers/conv2d_3`` a layer, numbered by class), and the older one of the
files that keras.applications publishes (layers and weights listed in attributes, matched by their order). Values are
not read. Only floating-point values count: seeds and counters come and go with dropout and training.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py
    import keras

Shapes = list[tuple[int, ...]]
LAYERS = ("layers", "_layer_checkpoint_dependencies")
# What the weights file of a trained model holds beside its weights.
OF_TRAINING = ("optimizer", "optimizer_weights")


def differences(model: keras.Model, path: Path) -> list[str]:
    """Each layer whose weights in the file are not those of the network, in words. The file is sound HDF5."""
    import h5py

    with h5py.File(path, "r") as file:
        listed = _names(file, "layer_names")
        if listed:
            return _by_order(model, [(name, _listed_shapes(file[name])) for name in listed if name in file])
        return _by_place(model, _placed_shapes(file))


def surplus(model: keras.Model, path: Path) -> list[str]:
    """Weights in the file that the network has no place for, in words; none where it uses all."""
    import h5py

    with h5py.File(path, "r") as file:
        there = dict(_float_weights(file))
        listed = {
            f"{layer}/{one}" for layer in _names(file, "layer_names") for one in _names(file[layer], "weight_names")
        }
    if len(there) <= len(float_weights(model)):
        return []
    if listed:
        return [f"not of this network: {one}, of {there[one]}" for one in there if one not in listed]
    return [one for one in differences(model, path) if one.startswith("not of this network")]


def snake_case(name: str) -> str:
    """As Keras names layers: BatchNormalization -> batch_normalization, Conv2D -> conv2d."""
    apart = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()


def float_weights(model: keras.Model) -> list[Any]:
    """A model's weights, less counters."""
    return [weight for weight in model.weights if "float" in weight.dtype]


def _by_place(model: keras.Model, there: dict[str, Shapes]) -> list[str]:
    problems: list[str] = []
    counts: Counter[str] = Counter()
    for layer in model.layers:
        kind = snake_case(type(layer).__name__)
        place = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        expected, found = _shapes_of(layer), there.pop(place, [])
        if expected and not found:
            problems.append(f"missing: {place} ({layer.name}), of {_told(expected)}")
        elif len(found) > len(expected):
            problems.append(f"not of this network: {place} of {_told(found)}; {layer.name} has {_told(expected)}")
        elif sorted(found) != sorted(expected):
            problems.append(f"{place} has {_told(found)}; {layer.name} needs {_told(expected)}")
    return [*problems, *(f"not of this network: {place}, of {_told(found)}" for place, found in there.items())]


def _by_order(model: keras.Model, listed: list[tuple[str, Shapes]]) -> list[str]:
    there = [(name, shapes) for name, shapes in listed if shapes]
    needed = [(layer.name, shapes) for layer in model.layers if (shapes := _shapes_of(layer))]
    unlike = [
        f"{name} has {_told(found)}; {layer} needs {_told(expected)}"
        for (name, found), (layer, expected) in zip(there, needed, strict=False)
        if sorted(found) != sorted(expected)
    ]
    if len(there) == len(needed):
        return unlike
    return [f"{len(there)} layers have weights in it, {len(needed)} in the network", *unlike[:1]]


def _shapes_of(layer: keras.Layer) -> Shapes:
    return [tuple(weight.shape) for weight in layer.weights if "float" in weight.dtype]


def _told(shapes: Shapes) -> str:
    return " and ".join(f"{n} x {one}" if n > 1 else str(one) for one, n in Counter(shapes).items()) or "none"


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Names in an attribute, which Keras splits (weight_names0, weight_names1) where they are many."""
    pieces = (f"{attribute}{n}" for n in itertools.count())
    parts = [attribute] if attribute in group.attrs else itertools.takewhile(group.attrs.__contains__, pieces)
    return [one.decode() if isinstance(one, bytes) else str(one) for part in parts for one in group.attrs[part]]


def _listed_shapes(group: h5py.Group) -> Shapes:
    there = (group[name] for name in _names(group, "weight_names") if name in group)
    return [one.shape for one in there if _is_float(one)]


def _placed_shapes(file: h5py.File) -> dict[str, Shapes]:
    """By the layer's place in ``layers``; what lies elsewhere by its group."""
    places: dict[str, Shapes] = {}
    for name, shape in _float_weights(file):
        parts = name.split("/")
        place = parts[1] if parts[0] in LAYERS and len(parts) > 1 else parts[0]
        places.setdefault(place, []).append(shape)
    return places


def _float_weights(file: h5py.File) -> Iterator[tuple[str, tuple[int, ...]]]:
    import h5py

    found: list[tuple[str, tuple[int, ...]]] = []

    def look_at(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.split("/", maxsplit=1)[0] not in OF_TRAINING and _is_float(item):
            found.append((name, item.shape))

    file.visititems(look_at)
    yield from found


def _is_float(dataset: h5py.Dataset) -> bool:
    """bfloat16 comes as two bytes of no kind."""
    return dataset.dtype.kind in "fV"
