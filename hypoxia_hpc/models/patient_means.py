"""The mean feature vector of each patient: summed while the features pass by on their way to the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hypoxia_hpc.records import Features, Float64Array
from hypoxia_hpc.runs.state import SlideState


class PatientMeans:
    """One vector of float64 a patient is held, whatever the number of tiles."""

    def __init__(self) -> None:
        self._sums: dict[str, Float64Array] = {}
        self._n: dict[str, int] = {}

    def passing(self, features: Iterable[tuple[SlideState, Features]]) -> Iterator[tuple[SlideState, Features]]:
        """The same features."""
        for state, found in features:
            name = state.slide.patient_id
            total = found.values.sum(axis=0, dtype=np.float64)
            self._sums[name] = self._sums[name] + total if name in self._sums else total
            self._n[name] = self._n.get(name, 0) + len(found.xy)
            yield state, found

    def means(self) -> dict[str, Float64Array]:
        """(d,) of each patient with a tile: the mean over the tiles of all its slides."""
        return {name: total / self._n[name] for name, total in self._sums.items() if self._n[name]}
