"""The interval of an area under the ROC curve, of patients and of rows that belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from hypoxia_hpc.analysis.intervals import effective_inflation, newcombe_interval, newcombe_variance
from hypoxia_hpc.analysis.placements import Covariance, auc_covariance, auc_of
from hypoxia_hpc.analysis.resampling import Bounds
from hypoxia_hpc.analysis.rows import Ids, grouped, in_order
from hypoxia_hpc.records import Float64Array


@dataclass(frozen=True, slots=True)
class AreaSpread:
    """An area under the ROC curve of ``n_positive`` and ``n_negative`` units, and how far it may be off: Newcombe's
    variance times ``inflation``, which was estimated with ``freedom`` degrees of freedom (infinite: not estimated)."""

    value: float
    n_positive: int
    n_negative: int
    inflation: float = 1.0
    freedom: float = np.inf

    def interval(self, confidence: float) -> tuple[float, float]:
        """Low and high, in 0..1."""
        return newcombe_interval(
            self.value,
            self.n_positive,
            self.n_negative,
            confidence,
            inflation=effective_inflation(self.inflation, self.freedom, confidence),
        )

    def p_of_chance(self) -> float:
        """1 less the largest confidence whose interval leaves 1/2 out: there the bound is 1/2, and the variance that of
        1/2."""
        variance = self.inflation * newcombe_variance(0.5, self.n_positive, self.n_negative)
        deviations = abs(self.value - 0.5) / np.sqrt(variance)
        tail = ndtr(-deviations) if np.isinf(self.freedom) else stdtr(max(self.freedom, 1.0), -deviations)
        return float(2 * tail)


def folds_factor(folds: int) -> float:
    """By how much the variance of a metric over the pooled test patients of a cross-validation is larger than that of
    as many independent ones: 1 + k / (k - 1) with k ``folds`` (Nadeau and Bengio 2003, the corrected resampled t test);
    1 without cross-validation.

    The models share their training patients, and each is trained on the others' test patients. Without a signal,
    intervals without the factor hold an area of 1/2 in 83 to 87 % of cohorts, with it in 96 to 98 % (60 to 500
    patients, 5 and 10 folds: ``benchmarks/cross_validation_coverage.py``).
    """
    return 1.0 if folds == 1 else 1 + folds / (folds - 1)


def auc_interval(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    *,
    confidence: float,
    units: Ids | None = None,
    folds: int = 1,
) -> Bounds:
    """The area under the ROC curve of n rows and its interval; NaN where a class is missing.

    Without ``units``, rows are independent patients: Newcombe's method 5. With ``units``, the patient of each tile or
    slide, or the site of each patient: the same with the numbers of units of either class, its variance times the ratio
    of the clustered variance (`auc_covariance`) to Newcombe's. To both of the ratio is added Newcombe's variance where
    half a pair of units is out of order, so that an area of 1 does not get an interval of width 0. ``folds`` above 1:
    of a cross-validation, see `folds_factor`. No interval where all probabilities are equal: that area is 1/2 in any
    cohort.
    """
    if len(np.unique(labels)) < 2:
        return Bounds(np.nan, np.nan, np.nan)
    if np.ptp(probabilities) == 0:
        return Bounds(0.5, np.nan, np.nan)
    [spread], _ = area_spreads(labels, np.asarray(probabilities)[:, None], units, folds)
    return Bounds(spread.value, *spread.interval(confidence))


def area_spreads(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Ids | None, folds: int = 1
) -> tuple[list[AreaSpread], float]:
    """How far the area of each column of ``probabilities`` (n, k) may be off, and the correlation of the first and the
    last area (1 of one column with itself; 0 where one of them does not vary). Both classes are there."""
    codes, n_units, (labels, probabilities) = in_order(grouped(units), labels, probabilities)
    areas = [auc_of(labels, column) for column in probabilities.T]
    found = auc_covariance(labels, probabilities, codes, n_units)
    spreads = [_spread(found, number, area) for number, area in enumerate(areas)]
    factor = folds_factor(folds)
    return [replace(one, inflation=factor * one.inflation) for one in spreads], _correlation(found.matrix)


def relative_variance(area: float, variance: float, n_positive: int, n_negative: int) -> float:
    """A variance of an area over Newcombe's, to both of them added Newcombe's where half a pair is out of order."""
    added = newcombe_variance(1 - 0.5 / (n_positive * n_negative), n_positive, n_negative)
    return (variance + added) / (newcombe_variance(area, n_positive, n_negative) + added)


def _spread(found: Covariance, number: int, area: float) -> AreaSpread:
    n_positive, n_negative = found.n_positive, found.n_negative
    if found.independent:
        return AreaSpread(area, n_positive, n_negative)
    variance = float(found.matrix[number, number])
    if np.isnan(variance):  # one unit of a class says nothing of how units differ
        return AreaSpread(area, n_positive, n_negative)
    ratio = relative_variance(area, variance, n_positive, n_negative)
    return AreaSpread(area, n_positive, n_negative, ratio, float(found.freedom[number]))


def _correlation(covariance: Float64Array) -> float:
    product = covariance[0, 0] * covariance[-1, -1]
    return float(np.clip(covariance[0, -1] / np.sqrt(product), -1, 1)) if product > 0 else 0.0
