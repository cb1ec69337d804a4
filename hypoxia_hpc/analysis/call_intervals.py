"""Intervals of what calls at a threshold are worth, of patients and of rows that belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.calls import CALL_METRICS, call_cells, call_metrics
from hypoxia_hpc.analysis.intervals import effective_number, wilson_interval
from hypoxia_hpc.analysis.resampling import Bounds, jackknife, jackknife_variance
from hypoxia_hpc.analysis.rows import Ids, divided, sums_by_unit, unit_codes
from hypoxia_hpc.records import Float64Array

# Which cells of `call_cells` (true 0, false 1, false 0, true 1) are the hits of a share, and which all of it.
SHARES = {
    "accuracy": ((0, 3), (0, 1, 2, 3)),
    "f1_micro": ((0, 3), (0, 1, 2, 3)),
    "sensitivity": ((3,), (2, 3)),
    "specificity": ((0,), (0, 1)),
    "ppv": ((3,), (1, 3)),
    "npv": ((0,), (0, 2)),
}
PREVALENCE = ((2, 3), (0, 1, 2, 3))
# Quantiles of 2.5 % of 20,000 draws lie within 0.1 % of the draws.
DRAWS = 20_000
_SEED = 20060213


def call_intervals(
    labels: NDArray[np.integer],
    called: NDArray[np.bool_],
    *,
    confidence: float,
    units: Ids | None = None,
) -> dict[str, Bounds]:
    """Each of CALL_METRICS of n rows with its interval. ``labels`` 0 or 1, ``called`` 1; both (n,).

    Without ``units``, rows are independent patients. Shares (accuracy, which is F1 micro, sensitivity, specificity,
    PPV, NPV) have Wilson's interval. The others are functions of sensitivity, specificity and prevalence, which are
    drawn from Jeffreys' posterior of each, Beta(hits + 1/2, misses + 1/2): the middle ``confidence`` of the metric over
    20,000 draws, and the metric itself, which at 0 or 1 lies outside. (A bootstrap of right calls alone is 0 wide.)
    With ``units`` (the patient of each tile or slide, the site of each patient) shares have the effective number of
    units in place of n (`intervals.effective_number`, by the jackknife). NaN where a metric is not defined, and the
    bounds of F1 and MCC with one class.
    """
    if len(labels) == 0:
        return dict.fromkeys(CALL_METRICS, Bounds(np.nan, np.nan, np.nan))
    codes, n_units = (np.arange(len(labels)), len(labels)) if units is None else unit_codes(units)
    sums = sums_by_unit(call_cells(labels, called), codes, n_units)
    values = call_metrics(sums.sum(axis=0, keepdims=True))[0].tolist()
    drawn = dict(zip(CALL_METRICS, _posterior(sums, confidence).T, strict=True))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    found = {}
    for name, value in zip(CALL_METRICS, values, strict=True):
        if name in SHARES:
            found[name] = Bounds(value, *_Share(sums, *SHARES[name]).interval(confidence))
        else:
            low, high = np.quantile(drawn[name], tails).tolist()
            found[name] = Bounds(value, float(np.minimum(low, value)), float(np.maximum(high, value)))
    return found


def share_interval(hits: NDArray[np.bool_], *, confidence: float, units: Ids | None = None) -> Bounds:
    """The share of rows that are hits, (n,): Wilson's interval, ``units`` as in `call_intervals`. For the prevalence,
    the accuracy of the majority class, top-1. NaN without rows."""
    codes, n_units = (np.arange(len(hits)), len(hits)) if units is None else unit_codes(units)
    sums = sums_by_unit(np.column_stack([hits, ~np.asarray(hits, dtype=bool)]), codes, n_units)
    share = _Share(sums, (0,), (0, 1))
    return Bounds(share.share, *share.interval(confidence))


class _Share:
    """A share of rows, ``sums`` (n_units, cells) of which some are hits."""

    def __init__(self, sums: Float64Array, hits: tuple[int, ...], of: tuple[int, ...]) -> None:
        self.hits, self.of = sums[:, hits].sum(axis=1), sums[:, of].sum(axis=1)
        self.share = float(divided(self.hits.sum(), self.of.sum()))
        self.n = float(np.count_nonzero(self.of))
        self.independent = bool((sums.sum(axis=1) == 1).all())

    def interval(self, confidence: float) -> tuple[float, float]:
        if np.isnan(self.share):
            return np.nan, np.nan
        return wilson_interval(self.share, self.effective(confidence), confidence)

    def effective(self, confidence: float) -> float:
        """The number of independent patients with such a variance; one unit says nothing of how units differ."""
        if self.independent or self.n < 2:
            return self.n
        variance = float(jackknife_variance(jackknife(self._measure, len(self.of)))[0])
        return effective_number(self.share, variance, self.n, self.n - 1, confidence)

    def _measure(self, weights: Float64Array) -> Float64Array:
        return divided(weights.T @ self.hits, weights.T @ self.of)[:, None]


def _posterior(sums: Float64Array, confidence: float) -> Float64Array:
    """(DRAWS, metrics) of CALL_METRICS; NaN with one class."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    drawn = []
    for cells in (SHARES["sensitivity"], SHARES["specificity"], PREVALENCE):
        share = _Share(sums, *cells)
        if np.isnan(share.share):
            return np.full((DRAWS, len(CALL_METRICS)), np.nan)
        n = share.effective(confidence)
        drawn.append(generator.beta(n * share.share + 0.5, n * (1 - share.share) + 0.5, DRAWS))
    sensitivity, specificity, prevalence = drawn
    ones, zeros = prevalence, 1 - prevalence
    cells_of = (zeros * specificity, zeros * (1 - specificity), ones * (1 - sensitivity), ones * sensitivity)
    return call_metrics(np.column_stack(cells_of))
