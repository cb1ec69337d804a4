"""All metrics of a kind of outcome with their intervals: which interval each metric has is decided here.

Rows are patients, or tiles and slides with the patient of each as its *unit*, or patients with the site of each as
theirs: a unit is what is drawn as a whole. Why these intervals: ``benchmarks/interval_coverage.py`` measures how often
each holds the truth.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.auc_intervals import AreaSpread, auc_interval, folds_factor, relative_variance
from hypoxia_hpc.analysis.baselines import paired_rows, within_statistic
from hypoxia_hpc.analysis.call_intervals import call_intervals, share_interval
from hypoxia_hpc.analysis.classes import class_auc_statistic, class_call_names, class_call_statistic
from hypoxia_hpc.analysis.concordance import SURVIVAL_METRICS, concordance_statistic
from hypoxia_hpc.analysis.intervals import bounded_interval
from hypoxia_hpc.analysis.metrics import Interval, check_rows
from hypoxia_hpc.analysis.reliability import calibration_intercept, calibration_slope, clustered_calibration
from hypoxia_hpc.analysis.resampling import Bounds, bootstrap_intervals, jackknife, jackknife_variance
from hypoxia_hpc.analysis.rows import (
    Ids,
    Statistic,
    average_precision_statistic,
    class_counts,
    group_codes,
    grouped,
    in_order,
    mean_statistic,
    point,
)
from hypoxia_hpc.analysis.scores import SCORE_METRICS, score_statistic

# A bootstrap of fewer draws hardly any cohort but its own: of two sites, 0.91 (0.90 to 0.93).
LEAST_UNITS = 6


def binary_intervals(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    *,
    threshold: float,
    confidence: float,
    units: Ids | None = None,
    folds: int = 1,
) -> dict[str, Interval]:
    """prevalence, roc_auc, average_precision, brier, CALL_METRICS at ``threshold`` (above it is 1),
    calibration_intercept and calibration_slope of n rows.

    ``labels`` 0 or 1, ``probabilities`` of label 1 in 0..1, (n,). ``units`` None: independent patients. The area has
    Newcombe's interval, shares Wilson's, other metrics of calls Jeffreys' (`call_intervals`), calibration the profile
    likelihood's, average precision and Brier score that of `bounded_interval`. With ``units`` all of them go by how
    much units differ. ``folds``: of a cross-validation, whose pooled areas and what has a bounded interval vary more
    (`folds_factor`). Raises InputError for labels or probabilities outside their range.
    """
    check_rows(labels, probabilities)
    units = grouped(units)
    codes, n_units, (labels, probabilities) = in_order(units, labels, probabilities)
    n, units = len(labels), None if units is None else codes
    found = {
        "prevalence": share_interval(labels == 1, confidence=confidence, units=units),
        "roc_auc": auc_interval(labels, probabilities, confidence=confidence, units=units, folds=folds),
    }
    with_positive = len(np.unique(codes[labels == 1]))
    precision = average_precision_statistic(labels, probabilities, codes, n_units)
    squares = ((labels - probabilities.astype(np.float64)) ** 2)[:, None]
    [found["average_precision"]] = _bounded(precision, n_units, with_positive, confidence, folds=folds)
    [found["brier"]] = _bounded(mean_statistic(squares, codes, n_units), n_units, n_units, confidence, folds=folds)
    found |= call_intervals(labels, probabilities > threshold, confidence=confidence, units=units)
    if units is None:
        found["calibration_intercept"] = calibration_intercept(labels, probabilities, confidence)
        found["calibration_slope"] = calibration_slope(labels, probabilities, confidence)
    else:
        both = clustered_calibration(labels, probabilities, codes, n_units, confidence)
        found["calibration_intercept"], found["calibration_slope"] = both
    return as_intervals(found, n)


def class_intervals(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    *,
    confidence: float,
    units: Ids | None = None,
    folds: int = 1,
) -> dict[str, Interval]:
    """roc_auc_0 ... of each class against the rest, roc_auc_macro, and the metrics of `class_call_names`, of n rows.

    ``labels`` in 0..K-1, (n,); ``probabilities`` (n, K). Areas of a class have Newcombe's interval, top-1 Wilson's
    (with ``units``: of the effective number), all others that of `bounded_interval`, the units of the smallest class
    being the number behind them. ``folds`` as of `binary_intervals`.
    """
    units = grouped(units)
    codes, n_units, (labels, probabilities) = in_order(units, labels, probabilities)
    (n, n_classes), units = probabilities.shape, None if units is None else codes
    own = [(labels == number).astype(np.int64) for number in range(n_classes)]
    found = {
        f"roc_auc_{number}": auc_interval(
            own[number], probabilities[:, number], confidence=confidence, units=units, folds=folds
        )
        for number in range(n_classes)
    }
    fewest = int((class_counts(labels, codes, n_units, n_classes) > 0).sum(axis=0).min()) if n else 0
    macro = class_auc_statistic(labels, probabilities, codes, n_units)
    found["roc_auc_macro"] = _exact(_bounded(macro, n_units, fewest, confidence, folds=folds)[-1:], probabilities)[0]
    calls = class_call_statistic(labels, probabilities, codes, n_units)
    found |= zip(class_call_names(n_classes), _bounded(calls, n_units, fewest, confidence, folds=folds), strict=True)
    right = probabilities.argmax(axis=1) == labels
    found["top1"] = share_interval(right, confidence=confidence, units=units)
    return as_intervals(found, n)


def score_intervals(
    truth: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    confidence: float,
    bootstrap: int,
    seed: int,
    units: Ids | None = None,
    folds: int = 1,
) -> dict[str, Interval]:
    """spearman (`bounded_interval`), r2 (at most 1) and mae (at least 0; both by a BCa bootstrap of ``bootstrap``
    resamples, none with fewer than LEAST_UNITS units) of n rows; ``folds`` as of `binary_intervals`."""
    codes, n_units, (truth, predicted) = in_order(grouped(units), truth, predicted)
    statistic = score_statistic(truth, predicted, codes, n_units)
    everyone, n_resamples = np.ones((n_units, 1)), bootstrap if n_units >= LEAST_UNITS else 0
    drawn = bootstrap_intervals(
        statistic, everyone, n_resamples=n_resamples, confidence=confidence, seed=seed, inflation=folds_factor(folds)
    )
    found = dict(zip(SCORE_METRICS, drawn, strict=True))
    found["r2"] = found["r2"]._replace(high=np.minimum(found["r2"].high, 1.0))
    found["mae"] = found["mae"]._replace(low=np.maximum(found["mae"].low, 0.0))
    found["spearman"] = _bounded(statistic, n_units, n_units, confidence, lowest=-1.0, folds=folds)[0]
    return as_intervals(found, len(truth))


def survival_intervals(
    time: NDArray[np.floating],
    event: NDArray[np.integer],
    risk: NDArray[np.floating],
    *,
    confidence: float,
    until: float | None = None,
    units: Ids | None = None,
    folds: int = 1,
) -> dict[str, Interval]:
    """harrell and uno, concordances of n patients (`bounded_interval`, the units with an event being the number behind
    them). Arguments as those of `concordance_statistic`, ``folds`` as of `binary_intervals`."""
    codes, n_units, (time, event, risk) = in_order(grouped(units), time, event, risk)
    statistic = concordance_statistic(time, event, risk, codes, until=until)
    with_event = len(np.unique(codes[event == 1]))
    found = _exact(_bounded(statistic, n_units, with_event, confidence, folds=folds), risk)
    return as_intervals(dict(zip(SURVIVAL_METRICS, found, strict=True)), len(time))


def within_interval(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    groups: Sequence[Hashable],
    *,
    confidence: float,
    units: Ids | None = None,
    folds: int = 1,
) -> Interval:
    """The area within groups (`within_statistic`) of patients, with Newcombe's interval: its variance, that of the
    patients who are in a pair, times the ratio of the jackknife's to it, times `folds_factor`. ``n``: patients who
    are in a pair."""
    codes, n_units, (labels, probabilities, own) = in_order(grouped(units), labels, probabilities, group_codes(groups))
    groups = own.tolist()
    statistic = within_statistic(labels, probabilities, groups, codes, n_units)
    paired = paired_rows(labels, groups)
    if not paired.any():
        return Interval(None, None, None, 0)
    value = float(point(statistic, n_units)[0])
    variance = float(jackknife_variance(jackknife(statistic, n_units))[0])
    n_positive, n_negative = (len(np.unique(codes[paired & (labels == label)])) for label in (1, 0))
    freedom = len(np.unique(codes[paired])) - 1.0
    if np.isnan(variance):  # without any of the units there is no pair: nothing says how units differ
        ratio, freedom = 1.0, np.inf
    else:
        ratio = relative_variance(value, variance, n_positive, n_negative)
    spread = AreaSpread(value, n_positive, n_negative, folds_factor(folds) * ratio, freedom)
    return Interval(value, *spread.interval(confidence), int(paired.sum()))


def _bounded(
    statistic: Statistic, n_units: int, n: int, confidence: float, *, lowest: float = 0.0, folds: int = 1
) -> list[Bounds]:
    """Metrics between ``lowest`` and 1 with `bounded_interval`; NaN where a metric, or its variance, is not defined."""
    if n_units == 0:
        return [Bounds(np.nan, np.nan, np.nan)] * len(statistic(np.ones((0, 1)))[0])
    values = point(statistic, n_units)
    found = []
    variances = folds_factor(folds) * jackknife_variance(jackknife(statistic, n_units))
    for value, variance in zip(values, variances, strict=True):
        if n < 1 or np.isnan(value) or np.isnan(variance):
            found.append(Bounds(float(value), np.nan, np.nan))
        else:
            freedom = n_units - 1
            low, high = bounded_interval(float(value), float(variance), n, confidence, lowest=lowest, freedom=freedom)
            found.append(Bounds(float(value), low, high))
    return found


def _exact(found: list[Bounds], said: NDArray[np.floating]) -> list[Bounds]:
    """Without intervals where the same is said of every row: ranks that are ties have no error, in any cohort."""
    is_constant = len(said) > 0 and not np.ptp(said, axis=0).any()
    return [Bounds(each.value, np.nan, np.nan) for each in found] if is_constant else found


def as_intervals(found: Mapping[str, Bounds], n: int) -> dict[str, Interval]:
    """Metrics of ``n`` rows as they are written: None in place of NaN."""
    return {
        name: Interval(_or_none(bounds.value), _or_none(bounds.low), _or_none(bounds.high), n)
        for name, bounds in found.items()
    }


def _or_none(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
