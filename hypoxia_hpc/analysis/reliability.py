"""Are probabilities calibrated? Brier score, intercept and slope of the logistic recalibration, the calibration curve.

Cox 1958; Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri, expit, logit, stdtrit

from hypoxia_hpc.analysis.resampling import Bounds
from hypoxia_hpc.analysis.rows import sums_by_unit
from hypoxia_hpc.records import Float64Array, Int64Array

# A probability of 0 or 1 has no logit; float32 has none between 1 - 6e-8 and 1.
LEAST_PROBABILITY = 2.0**-24
_STEPS = 100
UNDEFINED = Bounds(np.nan, np.nan, np.nan)


def logits_of(probabilities: NDArray[np.floating]) -> Float64Array:
    """Log-odds, float64, of probabilities moved to LEAST_PROBABILITY from 0 and 1."""
    values = np.asarray(probabilities, dtype=np.float64)
    found: Float64Array = logit(np.clip(values, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    return found


def fitted_intercept(labels: NDArray[np.integer], offsets: Float64Array) -> float:
    """The a for which the mean of logistic(a + offset) is the share of label 1: the maximum of the likelihood. Both
    classes are there."""
    from scipy.optimize import brentq

    share = float(np.mean(labels))
    # At the bounds every probability is on one side of the share.
    low, high = logit(share) - offsets.max() - 1, logit(share) - offsets.min() + 1
    return float(brentq(lambda a: float(expit(a + offsets).mean()) - share, low, high, xtol=1e-12))


def calibration_intercept(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], confidence: float
) -> Bounds:
    """Calibration in the large: the intercept of a logistic regression of the label on the log-odds with slope 1, and
    its profile-likelihood interval. 0 is calibrated, above 0: the probabilities are too low. Patients, both (n,). NaN
    with one class."""
    offsets = logits_of(probabilities)
    if len(np.unique(labels)) < 2:
        return UNDEFINED
    value = fitted_intercept(labels, offsets)
    return _profile(value, lambda a: _log_likelihood(labels, a + offsets), confidence, 1.0)


def calibration_slope(labels: NDArray[np.integer], probabilities: NDArray[np.floating], confidence: float) -> Bounds:
    """The slope of a logistic regression of the label on the log-odds, and its profile-likelihood interval. 1 is
    calibrated, below 1: the probabilities are too extreme, as those of an overfitted model are. NaN where no slope is
    best: one class, equal probabilities, or a threshold that parts the classes."""
    logits = logits_of(probabilities)
    if not _overlapping(np.asarray(labels), logits):
        return UNDEFINED

    def likelihood(slope: float) -> float:
        return _log_likelihood(labels, fitted_intercept(labels, slope * logits) + slope * logits)

    _, slope = recalibration(labels, logits)
    return _profile(slope, likelihood, confidence, 1 / float(logits.std()))


def clustered_calibration(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Int64Array, n_units: int, confidence: float
) -> tuple[Bounds, Bounds]:
    """`calibration_intercept` and `calibration_slope` of rows (n,) that belong to units (tiles of patients, patients of
    sites), each with the interval of its cluster-robust standard error (Liang and Zeger 1986) and Student's quantile,
    n_units - 1 degrees of freedom. NaN where they are; bounds also with one unit."""
    labels, logits = np.asarray(labels), logits_of(probabilities)
    intercept, slope = UNDEFINED, UNDEFINED
    if len(np.unique(labels)) == 2:
        value = fitted_intercept(labels, logits)
        deviation = _robust_deviations(np.ones((len(labels), 1)), labels, value + logits, units, n_units)[0]
        intercept = _student(value, deviation, n_units, confidence)
    if _overlapping(labels, logits):
        fitted = recalibration(labels, logits)
        design = np.column_stack([np.ones(len(labels)), logits])
        deviation = _robust_deviations(design, labels, design @ np.array(fitted), units, n_units)[1]
        slope = _student(fitted[1], deviation, n_units, confidence)
    return intercept, slope


def recalibration(labels: NDArray[np.floating] | NDArray[np.integer], logits: Float64Array) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of ``labels`` (0..1) on ``logits``, both (n,), by Newton's method.
    The classes overlap, or the labels are between 0 and 1: otherwise no slope is the best."""
    from scipy.optimize import minimize

    centre, scale = float(logits.mean()), float(logits.std())
    design = np.column_stack([np.ones(len(logits)), (logits - centre) / scale])
    target = np.asarray(labels, dtype=np.float64)

    def loss(found: Float64Array) -> tuple[float, Float64Array]:
        lines = design @ found
        return -float((target * lines - np.logaddexp(0, lines)).sum()), design.T @ (expit(lines) - target)

    def curvature(found: Float64Array) -> Float64Array:
        probabilities = expit(design @ found)
        curved: Float64Array = design.T @ (design * (probabilities * (1 - probabilities))[:, None])
        return curved

    found = minimize(loss, np.zeros(2), jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-9}).x
    return float(found[0] - found[1] * centre / scale), float(found[1] / scale)


def calibration_curve(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], bins: int, confidence: float
) -> pd.DataFrame:
    """Patients by rising probability in up to ``bins`` groups of equal size, equal probabilities together: columns
    predicted (mean probability), observed (share of label 1), low, high (Wilson), n; one row a group."""
    from hypoxia_hpc.analysis.intervals import wilson_interval

    values = np.asarray(probabilities, dtype=np.float64)
    steps, members = np.unique(values, return_inverse=True)
    counts = np.bincount(members, minlength=len(steps))
    # A step is in the bin of the middle of its patients, so that ties stay together.
    middle = np.cumsum(counts) - counts / 2
    bin_of = np.minimum((middle * bins / max(len(values), 1)).astype(np.int64), bins - 1)[members]
    rows = []
    for number in np.unique(bin_of):
        own = bin_of == number
        n, observed = int(np.count_nonzero(own)), float(np.asarray(labels)[own].mean())
        low, high = wilson_interval(observed, n, confidence)
        rows.append((float(np.sort(values[own]).mean()), observed, low, high, n))
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n"])


def _overlapping(labels: NDArray[np.integer], logits: Float64Array) -> bool:
    """Whether the likelihood has a maximum: both classes, and neither lies at or beyond all of the other."""
    ones, zeros = logits[labels == 1], logits[labels == 0]
    if len(ones) == 0 or len(zeros) == 0:
        return False
    return bool(ones.min() < zeros.max() and zeros.min() < ones.max())


def _robust_deviations(
    design: Float64Array, labels: NDArray[np.integer], lines: Float64Array, units: Int64Array, n_units: int
) -> Float64Array:
    """(k,): the standard errors of the coefficients of ``design`` (n, k), from the sums of the score over units."""
    probabilities = expit(lines)
    scores = sums_by_unit(design * (labels - probabilities)[:, None], units, n_units)
    inverse = np.linalg.inv(design.T @ (design * (probabilities * (1 - probabilities))[:, None]))
    scale = n_units / (n_units - 1) if n_units > 1 else np.nan
    deviations: Float64Array = np.sqrt(np.diag(inverse @ (scores.T @ scores * scale) @ inverse))
    return deviations


def _student(value: float, deviation: float, n_units: int, confidence: float) -> Bounds:
    reach = float(stdtrit(max(n_units - 1, 1), (1 + confidence) / 2)) * deviation
    return Bounds(value, value - reach, value + reach)


def _log_likelihood(labels: NDArray[np.integer], lines: Float64Array) -> float:
    return float((np.asarray(labels) * lines - np.logaddexp(0, lines)).sum())


def _profile(value: float, likelihood: Callable[[float], float], confidence: float, step: float) -> Bounds:
    """Where twice the fall of the log-likelihood from its maximum at ``value`` is the quantile of chi-square with one
    degree of freedom."""
    from scipy.optimize import brentq

    allowed = likelihood(value) - float(chdtri(1, 1 - confidence)) / 2

    def bound(direction: float) -> float:
        reach = step
        while likelihood(value + direction * reach) > allowed:
            reach *= 2
        return value + direction * float(
            brentq(lambda distance: likelihood(value + direction * distance) - allowed, 0, reach, xtol=1e-10)
        )

    return Bounds(value, bound(-1.0), bound(1.0))
