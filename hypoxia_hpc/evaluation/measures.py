"""What evaluation asks of a kind of outcome: its metrics, which of them leads, and its value without any relation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.chance import Chance
from hypoxia_hpc.analysis.comparison import Compared, compare_spreads
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.rows import Ids, Statistic, mean_of_parts, unit_codes
from hypoxia_hpc.analysis.spreads import Exact, Jackknifed, Spread
from hypoxia_hpc.config import EvaluateTable
from hypoxia_hpc.evaluation.operating import Operating, Seen
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float64Array, Int64Array, Json


class Spreads(NamedTuple):
    """How far a metric of each of several models may be off, and the correlation of the first and the last."""

    each: Sequence[Spread]
    correlation: float


# Where p is looked for by turning intervals round.
LEAST_CONFIDENCE, MOST_CONFIDENCE = 1e-6, 1 - 1e-6


@dataclass(frozen=True)
class Measures(ABC):
    """The metrics of one kind of outcome.

    Rows are frames with the columns of ``outcome.label_types``, all known, and what a model says of them in the columns
    that are named beside them (those of ``outcome.outputs``, or calibrated ones). ``units``, (n,): what is drawn as a
    whole, a patient with all tiles, a site with all patients; None: the rows are independent patients. ``folds``
    above 1: the rows are those of all folds of a cross-validation together.
    """

    outcome: Outcome
    table: EvaluateTable
    folds: int = 1

    # The metric by which a model is chosen and judged, how a reader sees its name, its value without any relation.
    headline: ClassVar[str]
    headline_words: ClassVar[str]
    no_relation: ClassVar[float]

    @abstractmethod
    def metrics(
        self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None, confidence: float | None = None
    ) -> dict[str, Interval]:
        """Every metric with its interval, of the confidence of [evaluate] unless another one is given."""

    @abstractmethod
    def statistic(self, rows: pd.DataFrame, said: Sequence[str], codes: Int64Array, n_units: int) -> Statistic:
        """The headline metric, which has to be the only one."""

    def compared(self, one: pd.DataFrame, other: pd.DataFrame, said: Sequence[str], units: Ids | None) -> Compared:
        """The headline metric of ``one`` less that of ``other``, of the same patients in the same order, with interval
        and p (`compare_spreads`); in a cross-validation that of `over_folds`. No difference at all where both say the
        same of every patient."""
        n, columns = one["patient_id"].nunique(), list(said)
        spreads = self.spreads([one, other], said, units)
        if spreads is None:
            return Compared(None, None, None, None, n)
        if np.array_equal(one[columns].to_numpy(), other[columns].to_numpy()):
            return Compared(0.0, 0.0, 0.0, 1.0, n)
        mine, theirs = spreads.each
        most = 2 * (1 - self.no_relation)
        return compare_spreads(mine, theirs, spreads.correlation, n, self.table.confidence, most=most)

    def spreads(self, models: Sequence[pd.DataFrame], said: Sequence[str], units: Ids | None) -> Spreads | None:
        """How far the headline metric of each of ``models`` may be off, rows of the same patients in the same order,
        and the correlation of the first and the last; None where one is not defined."""
        codes, n_units = unit_codes(models[0]["patient_id"] if units is None else units)
        statistics = [self.over_folds(rows, said, codes, n_units) for rows in models]
        found = Jackknifed.of(statistics, n_units, self.folds)
        each = self.spreads_of(found, models[0], codes, n_units)
        if each is None:
            return None
        known = [Exact(self.no_relation) if says_nothing(m, said) else one for m, one in zip(models, each, strict=True)]
        return Spreads(known, found.correlation)

    def spreads_of(
        self, found: Jackknifed, rows: pd.DataFrame, codes: Int64Array, n_units: int
    ) -> Sequence[Spread] | None:
        """The kind of interval that the headline metric has; None where one of these is not defined."""
        fewest = int((self.strata(rows, codes, n_units) > 0).sum(axis=0).min())
        return found.bounded(fewest, n_units, 2 * self.no_relation - 1)

    def over_folds(self, rows: pd.DataFrame, said: Sequence[str], codes: Int64Array, n_units: int) -> Statistic:
        """The headline metric; in a cross-validation its mean over the folds, each by its patients: what different
        models say is never ranked together."""
        if self.folds == 1:
            return self.statistic(rows, said, codes, n_units)
        numbers = rows["fold"].to_numpy()
        parts = []
        for number in np.unique(numbers):
            own = numbers == number
            sizes = np.bincount(codes[own], minlength=n_units).astype(np.float64)
            parts.append((self.statistic(rows[own], said, codes[own], n_units), sizes))
        return mean_of_parts(parts)

    @property
    def calibrated(self) -> tuple[str, ...]:
        """The columns of calibrated probabilities of slides and patients; none where a model says something else."""
        return ()

    @property
    def said_of_patients(self) -> tuple[str, ...]:
        """The columns by which slides and patients are measured."""
        return self.calibrated or self.outcome.outputs

    def fit_operating(self, valid: pd.DataFrame, seen: Seen) -> Operating:
        """How a model is used, from its labelled validation patients (``label`` and the outputs). Only of an outcome
        that has ``calibrated``."""
        raise NotImplementedError

    def read_operating(self, held: Json) -> Operating:
        """What `Operating.as_json` made. Raises KeyError, TypeError or ValueError where it is something else."""
        raise NotImplementedError

    @abstractmethod
    def of_groups(
        self, train: pd.DataFrame, train_groups: Sequence[Hashable], groups: Sequence[Hashable]
    ) -> Float64Array:
        """(m, k): the outputs for patients of these ``groups``, learnt from training patients (rows with labels) of
        ``train_groups`` alone."""

    @abstractmethod
    def of_values(self, train: pd.DataFrame, train_values: Float64Array, values: Float64Array) -> Float64Array:
        """(m, k): the outputs for patients with these ``values`` (m, v), learnt from training patients with
        ``train_values`` (n, v) alone; NaN counts as their mean."""

    def strata(self, rows: pd.DataFrame, codes: Int64Array, n_units: int) -> Float64Array:
        """Rows of each class in each unit, float64 (n_units, classes). One class where the outcome has none."""
        return np.bincount(codes, minlength=n_units).astype(np.float64)[:, None]

    def chance(self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None) -> Chance:
        """The two-sided p of the headline metric against no relation: 1 less the largest confidence whose interval
        leaves that value out."""
        return chance_of_intervals(
            lambda confidence: self.metrics(rows, said, units, confidence)[self.headline], self.no_relation
        )

    def least_p(self, rows: pd.DataFrame) -> float:
        """The smallest p that so few patients allow, 1 where nothing can be tested."""
        return 1.0 if len(rows) < 2 else 0.0


def says_nothing(rows: pd.DataFrame, said: Sequence[str]) -> bool:
    """Whether a model says the same of all patients of a fold, in every fold: its ranks are ties, in any cohort."""
    numbers = rows.groupby("fold", dropna=False, observed=True)[list(said)].nunique(dropna=False)
    return bool((numbers <= 1).to_numpy().all())


def chance_of_intervals(interval: Callable[[float], Interval], no_relation: float) -> Chance:
    """p by turning intervals round: ``interval`` gives that of a confidence in 0..1. 1 by "none" where there is
    none."""
    from scipy.optimize import brentq

    def beyond(confidence: float) -> float:
        """How far the interval stays away from ``no_relation``; 0 or below where it holds it."""
        found = interval(confidence)
        if found.low is None or found.high is None:
            return math.nan
        return max(found.low - no_relation, no_relation - found.high)

    narrowest = beyond(LEAST_CONFIDENCE)
    if math.isnan(narrowest):
        # Of a model that says the same of everyone it is known without an interval.
        is_exact = interval(LEAST_CONFIDENCE).value == no_relation
        return Chance(1.0, "interval" if is_exact else "none")
    if narrowest <= 0:
        return Chance(1.0, "interval")
    if beyond(MOST_CONFIDENCE) > 0:
        return Chance(1 - MOST_CONFIDENCE, "interval")
    return Chance(float(1 - brentq(beyond, LEAST_CONFIDENCE, MOST_CONFIDENCE, xtol=1e-7)), "interval")
