"""The result of training a head: its arrays by name, and the course of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.heads.loop import History
from hypoxia_hpc.records import Float32Array, Float64Array

Arrays = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # shape and type of each array, by its name
Predictor = Callable[[Float32Array], Float64Array]
Columns = dict[str, Float64Array]  # a value for each tile, (n,) each; one column is the probability
TileOutputs = Callable[[Float32Array], Columns]


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A model is a dictionary of arrays and nothing else; ``history`` has a number per epoch under each name."""

    arrays: Arrays
    history: History


def check_probabilities(probabilities: NDArray[np.floating[Any]]) -> None:
    """Check predictions of a newly trained model for some training tiles. Every loss is computed before an update, so
    no loss shows the effect of the last update. Raises InputError where a probability is not a number of 0..1."""
    wrong = int((~((probabilities >= 0) & (probabilities <= 1))).sum())
    if wrong:
        raise InputError(
            f"training diverged in its last steps: {wrong} of {probabilities.size} probabilities of training tiles "
            "are not in 0..1",
            remedy="lower this model's learning_rate",
        )
