"""The result of training a head: its arrays by name, and the course of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.heads.loop import History
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float32Array, Float64Array

Arrays = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # shape and type of each array, by its name
Predictor = Callable[[Float32Array], Float64Array]
Columns = dict[str, Float64Array]  # a value for each tile, (n,) each, by the names of an outcome's outputs
TileOutputs = Callable[[Float32Array], Columns]


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A model is a dictionary of arrays and nothing else; ``history`` has a number per epoch under each name."""

    arrays: Arrays
    history: History


def named_outputs(said: Float64Array, outcome: Outcome) -> Columns:
    """What a predictor says, (n,) or (n, k), as columns by their names."""
    return dict(zip(outcome.outputs, said.reshape(len(said), -1).T, strict=True))


def wrong_values(said: NDArray[np.floating[Any]], outcome: Outcome) -> int:
    """How many are no probabilities, or, of a score or a log hazard, no finite numbers."""
    sound = (said >= 0) & (said <= 1) if isinstance(outcome, NamedClasses) else np.isfinite(said)
    return int((~sound).sum())


def check_said(said: NDArray[np.floating[Any]], outcome: Outcome) -> None:
    """Check predictions of a newly trained model for some training tiles. Every loss is computed before an update, so
    no loss shows the effect of the last update. Raises InputError where one is no probability, or no number."""
    wrong = wrong_values(said, outcome)
    if wrong:
        what = "probabilities" if isinstance(outcome, NamedClasses) else "numbers"
        raise InputError(
            f"training diverged in its last steps: {wrong} of {said.size} predictions for training tiles are no {what}",
            remedy="lower this model's learning_rate",
        )
