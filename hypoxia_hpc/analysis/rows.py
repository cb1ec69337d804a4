"""Rows that are measured together: which unit each belongs to, and metrics of them as functions of the units' weights.

A *unit* is what is drawn as a whole: a patient with all tiles, or a site with all patients. A *statistic* takes weights
float64 (n_units, lanes), one column a resample, and gives float64 (lanes, metrics), NaN where a metric is not defined.
With weights of 1 it gives the metric itself, without one unit its jackknife value.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hypoxia_hpc.analysis.bootstrap import rank_order, twice_concordant
from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array

Statistic = Callable[[Float64Array], Float64Array]
Ids = Sequence[str] | NDArray[np.object_] | NDArray[np.integer] | pd.Series


def unit_codes(unit_ids: Ids) -> tuple[Int64Array, int]:
    """The number of each row's unit, by the sorted ids (int64, the length of ``unit_ids``), and how many there are."""
    codes, ids = pd.factorize(np.asarray(unit_ids, dtype=object), sort=True)
    return codes.astype(np.int64), len(ids)


def grouped(units: Ids | None) -> Ids | None:
    """``units`` as they are; None where each row is a unit by itself, for then the rows are independent."""
    return None if units is None or pd.Series(np.asarray(units, dtype=object)).is_unique else units


def in_order(units: Ids | None, *columns: AnyArray) -> tuple[Int64Array, int, list[AnyArray]]:
    """The units' numbers, how many there are, and the ``columns``, (n,) or (n, k), sorted by unit and then by each of
    them: sums over the rows, and draws of units, are then the same for any order of the rows, to the last bit. Without
    ``units`` every row is one, by its place after sorting."""
    codes, n_units = (
        (np.zeros(len(columns[0]), dtype=np.int64), len(columns[0])) if units is None else unit_codes(units)
    )
    keys = [key for column in columns for key in np.atleast_2d(np.asarray(column).T)]
    order = np.lexsort((*reversed(keys), codes))
    codes = np.arange(n_units) if units is None else codes[order]
    return codes, n_units, [np.asarray(column)[order] for column in columns]


def group_codes(groups: Sequence[Hashable]) -> Int64Array:
    """The number of each row's group, by first appearance: int64, the length of ``groups``. A tuple is one group."""
    return pd.factorize(as_objects(groups))[0].astype(np.int64)


def as_objects(groups: Sequence[Hashable]) -> NDArray[np.object_]:
    """One object a group, tuples not taken apart."""
    objects = np.empty(len(groups), dtype=object)
    for number, group in enumerate(groups):
        objects[number] = group
    return objects


def sums_by_unit(values: NDArray[Any], units: Int64Array, n_units: int) -> Float64Array:
    """(n_units, k): for each column of ``values`` (n, k) the sum over a unit's rows, smallest first, so that the order
    of the rows does not matter to the last bit."""
    columns = [np.asarray(column, dtype=np.float64) for column in np.asarray(values).T]
    sums = np.empty((n_units, len(columns)))
    for number, column in enumerate(columns):
        order = np.lexsort((column, units))
        sums[:, number] = np.bincount(units[order], weights=column[order], minlength=n_units)
    return sums


def class_counts(labels: NDArray[np.integer], units: Int64Array, n_units: int, n_classes: int = 2) -> Float64Array:
    """(n_units, n_classes): rows of each class in each unit."""
    cells = n_classes * units + np.asarray(labels, dtype=np.int64)
    return np.bincount(cells, minlength=n_classes * n_units).reshape(n_units, n_classes).astype(np.float64)


def mean_statistic(values: NDArray[Any], units: Int64Array, n_units: int) -> Statistic:
    """The mean over rows of each column of ``values`` (n, k): Brier score, mean absolute error."""
    sums = sums_by_unit(values, units, n_units)
    sizes = np.bincount(units, minlength=n_units).astype(np.float64)

    def measure(weights: Float64Array) -> Float64Array:
        return divided(weights.T @ sums, (weights.T @ sizes)[:, None])

    return measure


def auc_statistic(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Int64Array, n_units: int
) -> Statistic:
    """The area under the ROC curve (Mann-Whitney, a tie is half a pair), one metric; NaN with one class."""
    order, begins = rank_order(labels, probabilities)
    ranked = (np.asarray(labels)[order] == 1, begins, units[order])
    counts = class_counts(labels, units, n_units)

    def measure(weights: Float64Array) -> Float64Array:
        drawn = weights.T @ counts
        return divided(twice_concordant(*ranked, weights), 2 * drawn[:, 0] * drawn[:, 1])[:, None]

    return measure


def average_precision_statistic(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Int64Array, n_units: int
) -> Statistic:
    """Average precision as scikit-learn's: over the thresholds, gain of recall times precision, no interpolation. One
    metric; NaN without a positive row."""
    order, begins = rank_order(labels, probabilities)
    ranked = (np.asarray(labels)[order] == 1, begins, units[order])
    positives = class_counts(labels, units, n_units)[:, 1]

    def measure(weights: Float64Array) -> Float64Array:
        return divided(precision_by_gain(*ranked, weights), weights.T @ positives)[:, None]

    return measure


def stacked(*statistics: Statistic) -> Statistic:
    """Several statistics of the same units as one, their metrics side by side."""

    def measure(weights: Float64Array) -> Float64Array:
        return np.column_stack([each(weights) for each in statistics])

    return measure


def mean_of_parts(parts: Sequence[tuple[Statistic, Float64Array]]) -> Statistic:
    """The mean of the same metrics over parts of the rows (the folds of a cross-validation): ``parts`` are statistics
    of the same units, each with its rows in each unit, float64 (n_units,), by which it counts. A part in which a metric
    is not defined does not count."""

    def measure(weights: Float64Array) -> Float64Array:
        values = np.stack([statistic(weights) for statistic, _ in parts])
        sizes = np.stack([weights.T @ rows for _, rows in parts])[:, :, None]
        known = ~np.isnan(values)
        return divided((np.where(known, values, 0) * sizes).sum(axis=0), (known * sizes).sum(axis=0))

    return measure


def point(statistic: Statistic, n_units: int) -> Float64Array:
    """The metrics themselves, (metrics,): every unit once."""
    values: Float64Array = statistic(np.ones((n_units, 1)))[0]
    return values


def divided(above: NDArray[Any], below: NDArray[Any]) -> Float64Array:
    """The quotient, NaN where ``below`` is not above 0."""
    defined = below > 0
    quotient: Float64Array = np.where(defined, above / np.where(defined, below, 1), np.nan)
    return quotient


@kernel
def precision_by_gain(
    positive: NDArray[np.bool_], begins: NDArray[np.bool_], unit: Int64Array, weights: Float64Array
) -> Float64Array:
    """Per column of ``weights`` (n_units, lanes): over the thresholds from the highest, weight of the positive rows
    that it adds times the precision of all rows from it upwards. Rows in `rank_order`. Divided by the weight of the
    positive rows this is the average precision."""
    lanes = weights.shape[1]
    total, gained, hits, called = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    for row in range(len(unit) - 1, -1, -1):
        weight = weights[unit[row]]
        for lane in range(lanes):
            called[lane] += weight[lane]
        if positive[row]:
            for lane in range(lanes):
                gained[lane] += weight[lane]
                hits[lane] += weight[lane]
        if begins[row]:
            for lane in range(lanes):
                if gained[lane] > 0:
                    total[lane] += gained[lane] * hits[lane] / called[lane]
                gained[lane] = 0
    return total
