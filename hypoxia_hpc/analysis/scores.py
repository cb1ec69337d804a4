"""A predicted score against the true one: rank correlation, explained variance, error, with intervals over patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.rows import Statistic, divided, sums_by_unit
from hypoxia_hpc.records import Float64Array, Int64Array

SCORE_METRICS = ("spearman", "r2", "mae")


def score_statistic(
    truth: NDArray[np.floating], predicted: NDArray[np.floating], units: Int64Array, n_units: int
) -> Statistic:
    """The metrics of SCORE_METRICS of rows (n,): Spearman's correlation of ranks, R² (1 less squared errors over
    squared deviations from the mean of the truth; below 0 where the mean would do better), mean absolute error in the
    unit of the score. NaN: Spearman where either is constant, R² where the truth is."""
    order = np.lexsort((predicted, truth, units))
    truth, predicted = (np.asarray(each, dtype=np.float64)[order] for each in (truth, predicted))
    units = units[order]
    # Around the mean: sums of squares of far away numbers have no digits left for their differences.
    centred = truth - truth.mean() if len(truth) else truth
    error = truth - predicted
    columns = np.column_stack([np.ones(len(truth)), centred, centred**2, error**2, np.abs(error)])
    sums = sums_by_unit(columns, units, n_units)
    true_ranks, predicted_ranks = _Ranks(truth), _Ranks(predicted)

    def measure(weights: Float64Array) -> Float64Array:
        n, total, squares, squared_error, absolute_error = (weights.T @ sums).T
        r2 = 1 - divided(squared_error, squares - divided(total**2, n))
        rows = weights[units]
        spearman = _correlation(true_ranks.of(rows), predicted_ranks.of(rows), rows)
        return np.column_stack([spearman, r2, divided(absolute_error, n)])

    return measure


class _Ranks:
    """Ranks of values among themselves, each counting as often as its weight says."""

    def __init__(self, values: Float64Array) -> None:
        self.order = np.argsort(values, kind="stable")
        ranked = values[self.order]
        self.starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(ranked)])
        self.step_of = np.searchsorted(self.starts, np.arange(len(ranked)), side="right") - 1

    def of(self, weights: Float64Array) -> Float64Array:
        """(n, lanes): the middle rank of each row, ties sharing it, up to a constant."""
        totals = np.add.reduceat(weights[self.order], self.starts, axis=0)
        middles = np.cumsum(totals, axis=0) - totals / 2
        ranks = np.empty_like(weights)
        ranks[self.order] = middles[self.step_of]
        return ranks


def _correlation(one: Float64Array, other: Float64Array, weights: Float64Array) -> Float64Array:
    """Pearson's, (lanes,), of two (n, lanes) with weights (n, lanes)."""
    total = weights.sum(axis=0)
    one, other = (each - divided((weights * each).sum(axis=0), total) for each in (one, other))
    spreads = (weights * one**2).sum(axis=0) * (weights * other**2).sum(axis=0)
    return divided((weights * one * other).sum(axis=0), np.sqrt(spreads))
