"""From what a model says to the probability that a patient has label 1.

Balanced sampling and class weights make a model see another prevalence than there is: at one of 10 % it calls a quarter
of the patients. The log-odds that were added are subtracted; then, with enough validation patients, a logistic
regression on the log-odds (Platt 1999) mends what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from hypoxia_hpc.analysis.reliability import fitted_intercept, logits_of, recalibration
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Float64Array

# Ten patients of the smaller class for each number that is fitted (Peduzzi et al. 1996): with fewer a fit adds more
# noise than it mends.
PATIENTS_A_PARAMETER = 10

# A model that knows nothing, or ranks validation patients the wrong way round: all probabilities are nearly the
# prevalence, in the order in which the model has them.
LEAST_SLOPE = 0.01

Rule = Literal["none", "intercept", "platt"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = logistic(intercept + slope · log-odds of the model). ``rule``: what was fitted on validation
    patients ("none": nothing, the log-odds of the sampling are all); ``n_0``, ``n_1``: how many of either class there
    were."""

    intercept: float
    slope: float
    rule: Rule
    n_0: int
    n_1: int

    def apply(self, probabilities: NDArray[np.floating]) -> Float64Array:
        """Calibrated probabilities, float64 in 0..1, any shape; as is where intercept is 0 and slope 1."""
        if self.intercept == 0 and self.slope == 1:
            return np.asarray(probabilities, dtype=np.float64)
        calibrated: Float64Array = expit(self.intercept + self.slope * logits_of(probabilities))
        return calibrated


def sampling_log_odds(n_rows: NDArray[np.floating], seen: NDArray[np.floating]) -> Float64Array:
    """What the training added to the log-odds of each class against class 0, float64 (classes,).

    ``n_rows``: rows of each class that there are; ``seen``: what the loss saw of each, as numbers of draws or as sums
    of weights; both (classes,), above 0. Balanced sampling of 900 + 100: log(1 / 1) - log(100 / 900) = 2.2 for class 1.
    """
    there, used = np.asarray(n_rows, dtype=np.float64), np.asarray(seen, dtype=np.float64)
    if (there <= 0).any() or (used <= 0).any():
        raise InputError(
            f"no log-odds of a sampling with classes of {there.tolist()} rows, seen {used.tolist()} times",
            remedy="give training rows of every class",
        )
    added = np.log(used / used[0]) - np.log(there / there[0])
    found: Float64Array = added
    return found


def without_sampling(probabilities: NDArray[np.floating], log_odds: Float64Array) -> Float64Array:
    """Probabilities of the prevalence that there is: ``log_odds`` of `sampling_log_odds` taken away.

    Of label 1, (n,), with two log-odds; or of K classes, (n, K) summing to 1, with K. Float64 of the same shape.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim == 1:
        corrected: Float64Array = expit(logits_of(values) - log_odds[1])
        return corrected
    with np.errstate(divide="ignore"):
        shares: Float64Array = softmax(np.log(values) - log_odds, axis=1)
    return shares


def fit_calibration(labels: NDArray[np.integer], probabilities: NDArray[np.floating], log_odds: float) -> Calibration:
    """The calibration of a model from its validation patients: ``labels`` 0 or 1, ``probabilities`` of label 1 as the
    model says them, both (n,); ``log_odds`` that its sampling added to label 1.

    From 20 patients of each class intercept and slope are fitted (Platt 1999, with his targets, which keep the slope
    finite where the classes are parted), a slope below LEAST_SLOPE being that; from 10 the intercept alone; below that
    the log-odds of the sampling are taken away, and that is all.
    """
    n_1 = int(np.count_nonzero(np.asarray(labels) == 1))
    n_0 = len(labels) - n_1
    offsets = logits_of(probabilities) - log_odds
    fewest = min(n_0, n_1)
    if fewest >= 2 * PATIENTS_A_PARAMETER and np.ptp(offsets) > 0:
        targets = np.where(np.asarray(labels) == 1, (n_1 + 1) / (n_1 + 2), 1 / (n_0 + 2))
        intercept, slope = recalibration(targets, offsets)
        if slope < LEAST_SLOPE:
            intercept, slope = fitted_intercept(labels, LEAST_SLOPE * offsets), LEAST_SLOPE
        return Calibration(float(intercept - slope * log_odds), slope, "platt", n_0, n_1)
    if fewest >= PATIENTS_A_PARAMETER:
        return Calibration(float(fitted_intercept(labels, offsets) - log_odds), 1.0, "intercept", n_0, n_1)
    return Calibration(-float(log_odds), 1.0, "none", n_0, n_1)
