"""How far a metric may be off: its intervals of any confidence, and two metrics of the same units with their
correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hypoxia_hpc.analysis.auc_intervals import AreaSpread, folds_factor, relative_variance
from hypoxia_hpc.analysis.intervals import bounded_interval
from hypoxia_hpc.analysis.resampling import jackknife, jackknife_variance
from hypoxia_hpc.analysis.rows import Statistic, point, stacked
from hypoxia_hpc.records import Float64Array


class Spread(Protocol):
    """A metric and its intervals."""

    @property
    def value(self) -> float: ...

    def interval(self, confidence: float) -> tuple[float, float]:
        """Low and high, of a confidence in 0..1."""


@dataclass(frozen=True, slots=True)
class Exact:
    """A metric without any error: what says the same of every patient has an area of 1/2 in any cohort."""

    value: float

    def interval(self, confidence: float) -> tuple[float, float]:
        return self.value, self.value


@dataclass(frozen=True, slots=True)
class BoundedSpread:
    """A metric between ``lowest`` and 1 with its ``variance``, estimated with ``freedom`` degrees of freedom, of ``n``
    units behind it (`bounded_interval`)."""

    value: float
    variance: float
    n: float
    freedom: float
    lowest: float = 0.0

    def interval(self, confidence: float) -> tuple[float, float]:
        return bounded_interval(self.value, self.variance, self.n, confidence, lowest=self.lowest, freedom=self.freedom)


@dataclass(frozen=True, slots=True)
class Jackknifed:
    """Metrics of the same units: values, variances and correlation of the first and the last by the jackknife, and the
    `folds_factor` by which the variances are larger."""

    values: Float64Array
    variances: Float64Array
    correlation: float
    factor: float

    @classmethod
    def of(cls, statistics: Sequence[Statistic], n_units: int, folds: int = 1) -> Jackknifed:
        """``statistics`` have one metric each; ``folds`` of a cross-validation as in `folds_factor`."""
        whole = stacked(*statistics)
        left_out = jackknife(whole, n_units)
        correlation = _correlation(left_out[:, 0], left_out[:, -1])
        return cls(point(whole, n_units), jackknife_variance(left_out), correlation, folds_factor(folds))

    def bounded(self, n: int, n_units: int, lowest: float) -> list[BoundedSpread] | None:
        """Of metrics between ``lowest`` and 1, ``n`` units of the smallest class; None where one is not defined."""
        if n < 1 or np.isnan([*self.values, *self.variances]).any():
            return None
        return [
            BoundedSpread(float(value), self.factor * float(variance), n, n_units - 1, lowest)
            for value, variance in zip(self.values, self.variances, strict=True)
        ]

    def areas(self, n_positive: int, n_negative: int, n_units: int) -> list[AreaSpread] | None:
        """Of areas under the ROC curve, with the units that have rows of either class; None where one is not
        defined."""
        if np.isnan([*self.values, *self.variances]).any():
            return None
        pairs = zip(self.values.tolist(), self.variances.tolist(), strict=True)
        ratios = ((value, relative_variance(value, variance, n_positive, n_negative)) for value, variance in pairs)
        return [
            AreaSpread(value, n_positive, n_negative, self.factor * ratio, n_units - 1.0) for value, ratio in ratios
        ]


def _correlation(one: Float64Array, other: Float64Array) -> float:
    """Pearson's, where both are known; 0 where one of them does not vary."""
    known = ~np.isnan(one) & ~np.isnan(other)
    if np.count_nonzero(known) < 2:
        return 0.0
    one, other = (each[known] - each[known].mean() for each in (one, other))
    product = float((one**2).sum() * (other**2).sum())
    return float(np.clip((one * other).sum() / np.sqrt(product), -1, 1)) if product > 0 else 0.0
