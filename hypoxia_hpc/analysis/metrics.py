"""Binary metrics with percentile bootstrap intervals over patients, which few patients do not suffice for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array, Int64Array

COUNT_METRICS = ("accuracy", "f1_0", "f1_1", "f1_micro", "f1_macro")
MOST_NAMED = 10  # values in an error


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric over ``n`` rows and its interval. None where it is not defined: no rows, no area under the
    curve with one class, no interval with one patient."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def binary_metrics(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    patient_ids: Sequence[str] | NDArray[np.object_] | pd.Series,
    *,
    threshold: float,
    bootstrap: int,
    confidence: float,
    seed: int,
) -> dict[str, Interval]:
    """accuracy, f1_0, f1_1, f1_micro, f1_macro and roc_auc of n rows (tiles, slides or patients).

    ``labels`` 0 or 1, ``probabilities`` of label 1 in 0..1, ``patient_ids``: all (n,). A probability above
    ``threshold`` is called 1. The interval holds the middle ``confidence`` of the metric over ``bootstrap``
    resamplings of patients with all their rows (Efron's percentile interval); resamples with one class have no area
    under the curve and are left out of its interval. An F1 of a class that neither occurs nor is called is 0. The
    order of the rows does not matter. Raises InputError for labels or probabilities outside their range.
    """
    from hypoxia_hpc.analysis.bootstrap import patient_weights, rank_order, twice_concordant

    check_rows(labels, probabilities)
    if len(labels) == 0:
        return dict.fromkeys((*COUNT_METRICS, "roc_auc"), Interval(None, None, None, 0))
    patients, ids = pd.factorize(np.asarray(patient_ids, dtype=object), sort=True)
    order, begins = rank_order(labels, probabilities)
    ranked = (labels[order] == 1, begins, patients[order])
    tallies = _tallies(labels, probabilities > threshold, patients, len(ids))

    def measure(weights: Float64Array) -> Float64Array:
        counts = weights.T @ tallies
        return np.column_stack([_count_metrics(counts), _area(twice_concordant(*ranked, weights), counts)])

    point = measure(np.ones((len(ids), 1)))[0]
    drawn = [measure(weights) for weights in patient_weights(len(ids), bootstrap if len(ids) > 1 else 0, seed)]
    resampled = np.concatenate(drawn) if drawn else np.empty((0, len(point)))
    names = (*COUNT_METRICS, "roc_auc")
    return {
        name: _interval(value, column, confidence, len(labels))
        for name, value, column in zip(names, point, resampled.T, strict=True)
    }


def confusion(labels: NDArray[np.integer], probabilities: NDArray[np.floating], threshold: float) -> Int64Array:
    """(2, 2) counts: rows the label, columns what was called (1 for a probability above ``threshold``)."""
    called = probabilities > threshold
    return np.bincount(2 * np.asarray(labels, dtype=np.int64) + called, minlength=4).reshape(2, 2)


def roc_points(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Float64Array:
    """The ROC curve's corners, (m, 2) of false and true positive rate, (0, 0) to (1, 1); m = 0 with one class."""
    from sklearn.metrics import roc_curve

    if len(np.unique(labels)) < 2:
        return np.empty((0, 2))
    false_positive, true_positive, _ = roc_curve(labels, probabilities, drop_intermediate=True)
    return np.column_stack([false_positive, true_positive])


def check_rows(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> None:
    """Raises InputError for labels, (n,), that are not 0 or 1 and probabilities, (n,), that are not in 0..1, with those
    that are not."""
    offending = [
        f"{np.count_nonzero(bad)} {what}: {_some(values[bad])}"
        for values, bad, what in (
            (labels, ~np.isin(labels, (0, 1)), "labels are not 0 or 1"),
            (probabilities, ~((probabilities >= 0) & (probabilities <= 1)), "probabilities are not in 0..1"),
        )
        if bad.any()
    ]
    if offending:
        raise InputError(
            "metrics cannot be computed from these predictions",
            offending=offending,
            remedy="mend the values that were given; in a run, mend the labels in patients.csv, or train again",
        )


def _some(values: NDArray[Any]) -> str:
    """The different values, as they come, MOST_NAMED at most."""
    found = list(dict.fromkeys(map(repr, values.tolist())))
    return ", ".join([*found[:MOST_NAMED], *(["..."] if len(found) > MOST_NAMED else [])])


def _tallies(labels: NDArray[np.integer], called: NDArray[np.bool_], patients: Int64Array, n: int) -> Float64Array:
    """(n patients, 4): true negatives, false positives, false negatives, true positives."""
    cells = 4 * patients + 2 * np.asarray(labels, dtype=np.int64) + called
    return np.bincount(cells, minlength=4 * n).reshape(n, 4).astype(np.float64)


def _count_metrics(counts: Float64Array) -> Float64Array:
    """(resamples, 4) counts to (resamples, 5) metrics in the order of COUNT_METRICS."""
    true_0, false_1, false_0, true_1 = counts.T
    wrong = false_0 + false_1
    accuracy = (true_0 + true_1) / (true_0 + true_1 + wrong)
    f1_0, f1_1 = (2 * true / np.maximum(2 * true + wrong, 1) for true in (true_0, true_1))
    # Micro-averaged over both classes, every wrong call is one false positive and one false negative: the accuracy.
    return np.column_stack([accuracy, f1_0, f1_1, accuracy, (f1_0 + f1_1) / 2])


def _area(twice_concordant: Float64Array, counts: Float64Array) -> Float64Array:
    """Area under the ROC curve, NaN with one class."""
    pairs = (counts[:, 0] + counts[:, 1]) * (counts[:, 2] + counts[:, 3])
    return np.where(pairs > 0, twice_concordant / np.maximum(2 * pairs, 1), np.nan)


def _interval(value: float, resampled: Float64Array, confidence: float, n: int) -> Interval:
    defined = resampled[~np.isnan(resampled)]
    if np.isnan(value):
        return Interval(None, None, None, n)
    if len(defined) == 0:
        return Interval(float(value), None, None, n)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(value), float(low), float(high), n)
