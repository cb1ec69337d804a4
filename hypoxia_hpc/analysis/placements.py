"""How each row stands among those of the other class: what variances and covariances of areas under the ROC curve are
made of (DeLong 1988; for rows that belong to units, Obuchowski 1997)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Float64Array, Int64Array


@dataclass(frozen=True, slots=True)
class Covariance:
    """Covariance of the areas of k models, (k, k), and of the parts that either class has in it. NaN where a class has
    one unit. ``n_positive``, ``n_negative``: units that have rows of the class; ``independent``: one row a unit;
    ``mixed``: some unit has rows of both."""

    matrix: Float64Array
    of_positive: Float64Array
    of_negative: Float64Array
    n_positive: int
    n_negative: int
    n_units: int
    independent: bool
    mixed: bool

    def freedom(self, model: int) -> float:
        """Degrees of freedom of a model's variance (Welch and Satterthwaite); of units that have both classes, their
        number less 1."""
        if self.mixed:
            return self.n_units - 1.0
        parts = ((self.of_positive, self.n_positive), (self.of_negative, self.n_negative))
        below = sum(float(part[model, model]) ** 2 / (n - 1) for part, n in parts)
        least = min(self.n_positive, self.n_negative) - 1.0
        return float(self.matrix[model, model]) ** 2 / below if below > 0 else least


def placements(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Float64Array:
    """(n,) in 0..1: for a positive row the share of the negative rows that rank below it, for a negative row that of
    the positive rows above it, ties half. Either class's mean is the area under the ROC curve. Both classes are there.
    """
    from scipy.stats import rankdata

    positive = np.asarray(labels) == 1
    overall, placed = rankdata(probabilities), np.empty(len(positive))
    for own in (positive, ~positive):
        below = overall[own] - rankdata(np.asarray(probabilities)[own])
        placed[own] = below / np.count_nonzero(~own)
    placed[~positive] = 1 - placed[~positive]
    return placed


def auc_covariance(labels: NDArray[np.integer], placed: Float64Array, units: Int64Array, n_units: int) -> Covariance:
    """The covariance of the areas of k models, whose `placements` are the columns of ``placed`` (n, k).

    A unit contributes the sum of its rows' deviations, each over the size of its class; the sums over units of either
    class are scaled by I / (I - 1), I being the units that have it (Obuchowski 1997). With one row a unit this is
    DeLong's.
    """
    zeros, has_0 = _shares(np.asarray(labels) == 0, placed, units, n_units)
    ones, has_1 = _shares(np.asarray(labels) == 1, placed, units, n_units)
    n_0, n_1, mixed = int(has_0.sum()), int(has_1.sum()), bool((has_0 & has_1).any())
    of_0, of_1 = _scale(n_0) * (zeros.T @ zeros), _scale(n_1) * (ones.T @ ones)
    both = _scale(n_units) * (zeros.T @ ones) if mixed else np.zeros_like(of_0)
    independent = len(units) == n_units
    return Covariance(of_0 + of_1 + both + both.T, of_1, of_0, n_1, n_0, n_units, independent, mixed)


def _scale(n: int) -> float:
    return n / (n - 1) if n > 1 else np.nan


def _shares(
    own: NDArray[np.bool_], placed: Float64Array, units: Int64Array, n_units: int
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """(n_units, k): sums over a class's rows of the deviation from its mean over its size; and which units have it."""
    deviations = (placed[own] - placed[own].mean(axis=0)) / np.count_nonzero(own)
    columns = [np.bincount(units[own], weights=column, minlength=n_units) for column in deviations.T]
    return np.column_stack(columns), np.bincount(units[own], minlength=n_units) > 0
