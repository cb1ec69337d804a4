"""A saved model is held against its own head before it is used: names, shapes, types and values of its arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hypoxia_hpc.config import CLUSTERINGS
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.networks.heads.registry import find_clustering, find_head
from hypoxia_hpc.networks.heads.result import Columns, Shapes, TileOutputs, wrong_values
from hypoxia_hpc.networks.heads.saved import SavedModel, damaged, load_model
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import AnyArray, Float32Array


def load_sound_model(folder: Path) -> SavedModel:
    """A model whose arrays are those that its head makes for its settings and feature length. Raises NotReadyError that
    names every array that is not, and what :func:`load_model` raises."""
    model = load_model(folder)
    problems = list(_shape_problems(model))
    if problems:
        raise damaged(folder, f"{len(problems)} of its arrays are not those of {model.record.head}", problems)
    return model


def _shape_problems(model: SavedModel) -> Iterator[str]:
    """What differs in names, shapes and types. A head of another package may say nothing of its arrays."""
    head = model.record.head
    shapes_of = (find_clustering if head in CLUSTERINGS else find_head)(head).shapes
    if shapes_of is None:
        return
    shapes: Shapes = shapes_of(model.table, model.record.feature_length, model.record.asked)
    yield from (f"missing: {name}" for name in sorted(shapes.keys() - model.arrays.keys()))
    yield from (f"not of this head: {name}" for name in sorted(model.arrays.keys() - shapes.keys()))
    for name in sorted(shapes.keys() & model.arrays.keys()):
        array, (shape, dtype) = model.arrays[name], shapes[name]
        if array.shape != shape or array.dtype.name != dtype:
            yield f"{name} is {array.dtype.name} {array.shape}, not {dtype} {shape}"


def checked(said: TileOutputs, name: str, feature_length: int, train: str, outcome: Outcome) -> TileOutputs:
    """The outputs of a model, refused where they are none. ``train`` is the command that trains it again.

    Raises:
        NotReadyError: features of another length, a probability outside 0..1 or NaN, another value that is not finite.
    """

    def say(values: Float32Array) -> Columns:
        if values.shape[1] != feature_length:
            raise NotReadyError(
                f"{name} was trained on {feature_length} features a tile, and these have {values.shape[1]}",
                remedy=f"extract the features that it was trained on, or train it again: {train}",
            )
        columns = said(values)
        require_numbers(name, columns, train, outcome)
        return columns

    return say


def require_numbers(name: str, columns: Columns, train: str, outcome: Outcome) -> None:
    """Raises NotReadyError where a model says something that is no number, or no probability."""
    wrong = sum(wrong_values(columns[column], outcome) for column in outcome.outputs)
    wrong += sum(_not_finite(values) for column, values in columns.items() if column not in outcome.outputs)
    if wrong:
        n_tiles = len(columns[outcome.outputs[0]])
        raise NotReadyError(
            f"{name} gives {wrong} values for {n_tiles} tiles of a slide that are no probabilities or no "
            "finite numbers: that is no call of either class",
            remedy=f"delete the model's folder and train it again: {train}",
        )


def _not_finite(values: AnyArray) -> int:
    return int((~np.isfinite(values)).sum())
