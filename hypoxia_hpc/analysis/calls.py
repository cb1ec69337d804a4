"""What calls at a threshold are worth: counts and the metrics made of them; thresholds chosen on validation patients;
the net benefit of acting on calls."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hypoxia_hpc.analysis.rows import Statistic, divided, sums_by_unit
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.records import Float64Array, Int64Array

CALL_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "f1_0",
    "f1_1",
    "f1_micro",
    "f1_macro",
    "mcc",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
)


def call_cells(labels: NDArray[np.integer], called: NDArray[np.bool_]) -> Float64Array:
    """(n, 4) of 0 and 1: is a row a true negative, false positive, false negative, true positive?"""
    return np.eye(4)[2 * np.asarray(labels, dtype=np.int64) + np.asarray(called, dtype=np.int64)]


def call_metrics(cells: Float64Array) -> Float64Array:
    """(m, 4) weights of `call_cells` to (m, 11) metrics in the order of CALL_METRICS.

    NaN: a share of no rows (sensitivity without positive ones, PPV without positive calls), balanced accuracy with one
    class. 0, as in scikit-learn: F1 of a class that neither occurs nor is called, MCC where only one class occurs or is
    called.
    """
    true_0, false_1, false_0, true_1 = cells.T
    wrong = false_0 + false_1
    accuracy = divided(true_0 + true_1, true_0 + true_1 + wrong)
    f1_0, f1_1 = (np.nan_to_num(divided(2 * true, 2 * true + wrong)) for true in (true_0, true_1))
    sensitivity, specificity = divided(true_1, true_1 + false_0), divided(true_0, true_0 + false_1)
    ppv, npv = divided(true_1, true_1 + false_1), divided(true_0, true_0 + false_0)
    margins = (true_1 + false_1) * (true_1 + false_0) * (true_0 + false_1) * (true_0 + false_0)
    mcc = np.nan_to_num(divided(true_1 * true_0 - false_1 * false_0, np.sqrt(margins)))
    # Micro-averaged over both classes, every wrong call is one false positive and one false negative: the accuracy.
    shares = (accuracy, (sensitivity + specificity) / 2, f1_0, f1_1, accuracy, (f1_0 + f1_1) / 2, mcc)
    return np.column_stack([*shares, sensitivity, specificity, ppv, npv])


def call_statistic(
    labels: NDArray[np.integer], called: NDArray[np.bool_], units: Int64Array, n_units: int
) -> Statistic:
    """The metrics of `call_metrics`."""
    sums = sums_by_unit(call_cells(labels, called), units, n_units)

    def measure(weights: Float64Array) -> Float64Array:
        return call_metrics(weights.T @ sums)

    return measure


def youden_threshold(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float | None:
    """The threshold in 0..1 above which a patient is called 1, so that sensitivity + specificity is largest (Youden
    1950); of several, the one nearest 1/2. Halfway between two neighbouring probabilities. None where none is better
    than calling everyone the same, as where all probabilities are equal. For validation patients: ``labels`` 0 or 1,
    ``probabilities`` in 0..1, both (n,). Raises InputError with one class."""
    cuts, sensitivity, specificity = _cuts(labels, probabilities)
    index = sensitivity + specificity
    if index.max() <= 1 + 1e-12:
        return None
    best = cuts[index >= index.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def sensitivity_threshold(labels: NDArray[np.integer], probabilities: NDArray[np.floating], wanted: float) -> float:
    """The highest threshold whose sensitivity is at least ``wanted`` (0..1), which has the best specificity among
    these. Where no threshold reaches it (a probability of 0 is above none), the lowest threshold. Arguments and errors
    as of `youden_threshold`."""
    cuts, sensitivity, _ = _cuts(labels, probabilities)
    enough = cuts[sensitivity >= wanted - 1e-12]
    return float(enough.max() if len(enough) else cuts[0])


def decision_curve(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], thresholds: NDArray[np.floating]
) -> pd.DataFrame:
    """Net benefit per patient of treating those above a threshold (Vickers and Elkin 2006): true positives less false
    positives times the odds of the threshold, over n. Columns threshold, model, treat_all, treat_none (0), float64, one
    row for each of ``thresholds`` (above 0, below 1). Probabilities have to be calibrated for it to mean anything.
    """
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if not ((thresholds > 0) & (thresholds < 1)).all():
        raise InputError("thresholds of a decision curve lie between 0 and 1", remedy="leave out 0 and 1")
    positive, odds = np.asarray(labels) == 1, thresholds / (1 - thresholds)
    called = np.asarray(probabilities)[:, None] > thresholds
    benefit = called[positive].sum(axis=0) - called[~positive].sum(axis=0) * odds
    share = positive.mean()
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "model": benefit / len(positive),
            "treat_all": share - (1 - share) * odds,
            "treat_none": 0.0,
        }
    )


def _cuts(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating]
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Thresholds between all neighbouring probabilities and beyond them, and sensitivity and specificity at each."""
    positive, values = np.asarray(labels) == 1, np.asarray(probabilities, dtype=np.float64)
    if positive.all() or not positive.any():
        raise InputError(
            f"no threshold can be chosen on {some(len(positive), 'patient')} of one class",
            remedy="give validation patients of both classes, or name a threshold",
        )
    steps = np.unique(values)
    # Below all of them everyone is called 1. A probability of 0 is above no threshold of 0..1, nor need it be.
    cuts = np.concatenate([[steps[0] / 2], (steps[1:] + steps[:-1]) / 2, [(steps[-1] + 1) / 2]])
    cuts = np.unique(cuts)
    above = values[:, None] > cuts
    return cuts, above[positive].mean(axis=0), (~above[~positive]).mean(axis=0)
