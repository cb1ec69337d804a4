"""The tiles of a cohort with the highest values, chosen slide by slide: few of each patient, ties always alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.records import Float64Array, Int64Array


@dataclass(frozen=True, slots=True)
class ExtremeTile:
    """A tile at ``x_l0``, ``y_l0`` of a slide, and its ``value``; ``said``: what the model says of it."""

    slide_id: str
    patient_id: str
    x_l0: int
    y_l0: int
    value: float
    said: tuple[float, ...]


class Extremes:
    """Takes the tiles of each slide, and keeps the highest (``sign`` 1) or the lowest (-1) of each patient.

    ``shown`` are chosen: the first of each patient, in the order of their values; where patients are fewer, then the
    second of each, and so on, up to ``of_patient``. So no patient fills a gallery while there are others. Of equal
    values the first is the one of the slide with the lower name, then the upper one, then the one on the left.
    """

    def __init__(self, sign: int, shown: int, of_patient: int) -> None:
        self._sign, self._shown, self._of_patient = sign, shown, of_patient
        self._kept: dict[str, list[ExtremeTile]] = {}

    def add(self, slide_id: str, patient_id: str, xy_l0: Int64Array, values: Float64Array, said: Float64Array) -> None:
        """Tiles of a slide: ``xy_l0`` (n, 2), ``values`` (n,), NaN for tiles that are not to be chosen, and ``said``
        (n, m)."""
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.lexsort((xy_l0[known, 0], xy_l0[known, 1], -self._sign * values[known]))][: self._of_patient]
        found = []
        for row in order.tolist():
            x_l0, y_l0 = xy_l0[row].tolist()
            found.append(ExtremeTile(slide_id, patient_id, x_l0, y_l0, float(values[row]), tuple(said[row].tolist())))
        self._kept[patient_id] = self._sorted([*self._kept.get(patient_id, ()), *found])[: self._of_patient]

    def chosen(self) -> list[ExtremeTile]:
        """In the order of their values."""
        ranked: list[ExtremeTile] = []
        for rank in range(self._of_patient):
            ranked += self._sorted([own[rank] for own in self._kept.values() if len(own) > rank])
        return self._sorted(ranked[: self._shown])

    def _sorted(self, tiles: Sequence[ExtremeTile]) -> list[ExtremeTile]:
        return sorted(tiles, key=lambda one: (-self._sign * one.value, one.slide_id, one.y_l0, one.x_l0))
