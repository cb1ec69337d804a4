"""More classes than two: confusion, top-1, F1 and one-against-rest areas, of weighted units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.rows import Statistic, auc_statistic, divided, sums_by_unit
from hypoxia_hpc.records import Float64Array, Int64Array


def confusion_of_classes(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Int64Array:
    """(K, K) counts: rows the class, columns the one called, which has the largest of the row's K probabilities (of
    equal ones the first). ``labels`` (n,) in 0..K-1, ``probabilities`` (n, K)."""
    n_classes = probabilities.shape[1]
    cells = n_classes * np.asarray(labels, dtype=np.int64) + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)


def class_call_names(n_classes: int) -> tuple[str, ...]:
    """Names of the metrics of `class_call_statistic`."""
    return ("top1", "balanced_accuracy", *(f"f1_{number}" for number in range(n_classes)), "f1_macro")


def class_call_statistic(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Int64Array, n_units: int
) -> Statistic:
    """Share of rows whose own class is called (top-1, which is F1 micro), mean recall over the classes, F1 of each (0
    where it neither occurs nor is called) and their mean. Balanced accuracy is NaN where a class has no row."""
    n_classes = probabilities.shape[1]
    cells = n_classes * np.asarray(labels, dtype=np.int64) + probabilities.argmax(axis=1)
    sums = sums_by_unit(np.eye(n_classes**2)[cells], units, n_units)

    def measure(weights: Float64Array) -> Float64Array:
        tables = (weights.T @ sums).reshape(-1, n_classes, n_classes)
        hits, true, called = np.einsum("kii->ki", tables), tables.sum(axis=2), tables.sum(axis=1)
        f1 = np.nan_to_num(divided(2 * hits, true + called))
        top1, recall = divided(hits.sum(axis=1), true.sum(axis=1)), divided(hits, true).mean(axis=1)
        return np.column_stack([top1, recall, f1, f1.mean(axis=1)])

    return measure


def class_auc_statistic(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Int64Array, n_units: int
) -> Statistic:
    """K + 1 areas under the ROC curve: each class against the rest, by its own probability, and their mean (macro; NaN
    where a class has no row)."""
    areas = [
        auc_statistic((np.asarray(labels) == number).astype(np.int64), column, units, n_units)
        for number, column in enumerate(probabilities.T)
    ]

    def measure(weights: Float64Array) -> Float64Array:
        found = np.column_stack([area(weights) for area in areas])
        return np.column_stack([found, found.mean(axis=1)])

    return measure
