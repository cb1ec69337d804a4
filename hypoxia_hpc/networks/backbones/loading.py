"""Weights from a file into a network: all of them, of the right shape and finite, or an error that names every one."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.backbones.hdf5_weights import differences, float_weights, snake_case, surplus
from hypoxia_hpc.networks.backbones.weights import SAFETENSORS
from hypoxia_hpc.records import Float32Array

if TYPE_CHECKING:
    import keras

Shapes = Mapping[str, tuple[int, ...]]
SAVED_BY_KERAS = "name the weights file of this network ([extract] backbone), saved with include_top=False"
NOT_FINITE = "not finite: "


def load_weights(model: keras.Model, path: Path, name: str, *, published: bool = False) -> None:
    """Fill every weight of a Keras model from ``path`` (checked by `weights.find_weights` before). Raises
    InputError where the file holds those of another network, lacks some, or has others beside them. In a file that the
    network's makers ``published``, further weights are ignored."""
    if path.suffix == SAFETENSORS:
        variables = named_weights(model)
        shapes = {one: tuple(variable.shape) for one, variable in variables.items()}
        for one, values in read_tensors(path, shapes, name).items():
            variables[one].assign(values)
        settle_constants(model)
    else:
        _load_hdf5(model, path, name)
        if not published and (more := surplus(model, path)):
            raise wrong_weights(path, name, more)


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """A model's weights by names that do not depend on what was built before in this process. Keras numbers unnamed
    layers over the whole process (conv2d_94); here the count begins at the model's first layer (conv2d). Raises
    InputError where two weights share a name."""
    counts: Counter[str] = Counter()
    names: dict[str, keras.Variable] = {}
    for layer in model.layers:
        kind = snake_case(type(layer).__name__)
        stable = layer.name
        if re.fullmatch(rf"{kind}(_\d+)?", layer.name):
            stable = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
        names |= {weight.path.replace(layer.name, stable, 1): weight for weight in layer.weights}
    if len(names) != len(model.weights):
        raise InputError(
            f"the network {model.name} has {len(model.weights)} weights with {len(names)} names",
            remedy="give its layers names of their own, and let it be a functional or sequential model",
        )
    return names


def read_tensors(
    path: Path,
    shapes: Shapes,
    name: str,
    *,
    may_lack: Collection[str] = (),
    may_have: Sequence[str] = (),
    remedy: str = SAVED_BY_KERAS,
) -> dict[str, Float32Array]:
    """Tensors of a safetensors file, float32, by name: exactly those of ``shapes``.

    Those in ``may_lack`` need not be there; those whose name is in ``may_have``, or begins with one of them and a dot,
    are ignored. Raises InputError that names all that are missing, surplus, of another shape or not finite; ``remedy``
    is the remedy for weights of another network.
    """
    import ml_dtypes  # noqa: F401 - NumPy knows bfloat16 by it
    from safetensors import safe_open

    prefixes = tuple(f"{one}." for one in may_have)
    tensors: dict[str, Float32Array] = {}
    problems: list[str] = []
    with safe_open(path, framework="numpy") as file:
        there = {one for one in file.keys() if one not in may_have and not one.startswith(prefixes)}  # noqa: SIM118
        problems += [f"missing: {one}" for one in sorted(set(shapes) - there - set(may_lack))]
        problems += [f"not of this network: {one}" for one in sorted(there - set(shapes))]
        for one in sorted(there & set(shapes)):
            found = tuple(file.get_slice(one).get_shape())
            if found != shapes[one]:
                problems.append(f"{one} has the shape {found}, not {shapes[one]}")
                continue
            tensors[one] = file.get_tensor(one).astype(np.float32)
            if not np.isfinite(tensors[one]).all():
                problems.append(NOT_FINITE + one)
    if problems:
        raise wrong_weights(path, name, problems, remedy)
    return tensors


def wrong_weights(path: Path, name: str, problems: list[str], remedy: str = SAVED_BY_KERAS) -> InputError:
    """The error for weights that are not those of this network, or are no numbers."""
    if all(one.startswith(NOT_FINITE) for one in problems):
        problem = f"{path} holds weights of {name} that are infinite or no numbers"
        remedy = "take a copy from before its training failed, or fetch the file again"
    else:
        problem = f"{path} does not hold the weights of {name} without its top"
    return InputError(problem, offending=problems, remedy=remedy)


def _load_hdf5(model: keras.Model, path: Path, name: str) -> None:
    """Load the file, and make sure that it filled every weight: Keras only warns of a layer that it does not
    find, and leaves its weights unchanged."""
    for weight in float_weights(model):
        weight.assign(np.full(weight.shape, np.nan, dtype=np.float32))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        problems = differences(model, path) or [str(error).split("\n", maxsplit=1)[0]]
        raise wrong_weights(path, name, problems) from error
    left = [weight.path for weight in float_weights(model) if not np.isfinite(as_numpy(weight)).all()]
    if left:
        raise wrong_weights(path, name, differences(model, path) or [NOT_FINITE + one for one in left])


def as_numpy(weight: keras.Variable) -> Float32Array:
    """A variable's values, on any backend."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(weight))


def settle_constants(model: keras.Model) -> None:
    """To be called after weights were set one by one: a Normalization layer derives constants from its weights."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
