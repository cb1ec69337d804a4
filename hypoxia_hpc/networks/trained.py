"""What every head gives back: arrays by name, and how its training went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from hypoxia_hpc.networks.loop import History
from hypoxia_hpc.records import Float32Array, Float64Array

Arrays = Mapping[str, NDArray[Any]]
Predictor = Callable[[Float32Array], Float64Array]


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A model is a dictionary of arrays and nothing else; ``history`` has a number per epoch under each name."""

    arrays: Arrays
    history: History
