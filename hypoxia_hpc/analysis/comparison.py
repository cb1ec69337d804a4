"""Model against model, and model against baseline, on the same patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hypoxia_hpc.analysis.auc_intervals import area_spreads
from hypoxia_hpc.analysis.rows import Ids
from hypoxia_hpc.analysis.spreads import Exact, Spread

# Beyond six standard errors p is below 2e-9, and is given as that.
_MOST_DEVIATIONS = 6.0
_LEAST_DEVIATIONS = 1e-6


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric less the other, its interval, and the two-sided p of there being no difference, over ``n`` patients.
    The interval leaves 0 out where p is below 1 - confidence. All None where a metric is not defined."""

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def compare_auc(
    labels: NDArray[np.integer],
    one: NDArray[np.floating],
    other: NDArray[np.floating],
    *,
    confidence: float,
    units: Ids | None = None,
    folds: int = 1,
) -> Compared:
    """The area under the ROC curve of ``one`` less that of ``other``, probabilities of the same patients, all (n,).

    Each area has its own interval (`auc_interval`); both are put together with their correlation (`auc_covariance`,
    with ``units``: of sites that are drawn as a whole; ``folds`` of a cross-validation as in `auc_interval`) by the
    method of variance estimates recovery (Zou and Donner 2008). p is 1 less the largest confidence whose interval
    leaves 0 out. An area of probabilities that are all equal is 1/2 without error: then the interval is that of the
    other area. DeLong's own interval covers 74 to 91 % where one of the areas is 0.99, a paired bootstrap little
    more, and both are 0 wide for two perfect ones (``benchmarks/interval_coverage.py``).
    """
    if len(np.unique(labels)) < 2:
        return Compared(None, None, None, None, len(labels))
    (mine, theirs), correlation = paired_areas(labels, np.column_stack([one, other]), units, folds)
    return compare_spreads(mine, theirs, correlation, len(labels), confidence)


def paired_areas(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], units: Ids | None, folds: int = 1
) -> tuple[list[Spread], float]:
    """`area_spreads`, those of columns of ``probabilities`` (n, k) that are constant being exact."""
    spreads, correlation = area_spreads(labels, probabilities, units, folds)
    constant = np.ptp(probabilities, axis=0) == 0
    return [Exact(0.5) if same else one for same, one in zip(constant, spreads, strict=True)], correlation


def compare_spreads(
    one: Spread, other: Spread, correlation: float, n: int, confidence: float, *, most: float = 1.0
) -> Compared:
    """The metric of ``one`` less that of ``other``, of the same ``n`` patients, both with their own intervals, put
    together with the ``correlation`` of the two as in `compare_auc`. ``most``: the largest difference that there can
    be."""
    spreads, found = (one, other), one.value - other.value
    low, high = _difference_bounds(spreads, correlation, confidence)
    return Compared(found, max(low, -most), min(high, most), _p(spreads, correlation, found), n)


def _difference_bounds(spreads: Sequence[Spread], correlation: float, confidence: float) -> tuple[float, float]:
    one, other = spreads
    (low_1, high_1), (low_2, high_2) = (each.interval(confidence) for each in spreads)

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(up**2 + down**2 - 2 * correlation * up * down, 0.0))

    found = one.value - other.value
    return found - reach(one.value - low_1, high_2 - other.value), found + reach(
        high_1 - one.value, other.value - low_2
    )


def _p(spreads: Sequence[Spread], correlation: float, found: float) -> float:
    """The confidence at which the bound towards 0 is 0, from 1."""
    from scipy.optimize import brentq

    def bound(deviations: float) -> float:
        low, high = _difference_bounds(spreads, correlation, float(2 * ndtr(deviations) - 1))
        return low if found > 0 else -high

    if bound(_LEAST_DEVIATIONS) <= 0:
        return 1.0
    if bound(_MOST_DEVIATIONS) > 0:
        return float(2 * ndtr(-_MOST_DEVIATIONS))
    return float(2 * ndtr(-brentq(bound, _LEAST_DEVIATIONS, _MOST_DEVIATIONS, xtol=1e-9)))
