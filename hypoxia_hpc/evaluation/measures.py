"""What evaluation asks of a kind of outcome: its metrics, which of them leads, and its value without any relation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.chance import Chance
from hypoxia_hpc.analysis.comparison import Compared, apart, compare_statistics
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.rows import Ids, Statistic, unit_codes
from hypoxia_hpc.config import EvaluateTable
from hypoxia_hpc.evaluation.operating import Operating, Seen
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float64Array, Int64Array, Json

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
        """The headline metric of ``one`` less that of ``other``, of the same patients in the same order, with the BCa
        interval of a bootstrap that draws the same patients for both; it has no p. Where they never differ in any
        draw: no difference at all where both say the same of every patient, else what the two intervals allow."""
        codes, n_units = unit_codes(np.arange(len(one)) if units is None else units)
        mine, theirs = (self.statistic(rows, said, codes, n_units) for rows in (one, other))
        [found] = compare_statistics(
            mine,
            theirs,
            self.strata(one, codes, n_units),
            n_resamples=self.table.bootstrap,
            confidence=self.table.confidence,
            seed=self.table.seed,
            folds=self.folds,
        )
        value, low, high = (None if math.isnan(number) else float(number) for number in found)
        if value is not None and low is None:
            low, high = self._never_apart(one, other, said, units)
        return Compared(value, low, high, None, len(one))

    def _never_apart(
        self, one: pd.DataFrame, other: pd.DataFrame, said: Sequence[str], units: Ids | None
    ) -> tuple[float | None, float | None]:
        columns = list(said)
        if np.array_equal(one[columns].to_numpy(), other[columns].to_numpy()):
            return 0.0, 0.0
        mine, theirs = (self.metrics(rows, said, units)[self.headline] for rows in (one, other))
        return apart(mine, theirs)

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
        """Rows of each class in each unit, float64 (n_units, classes): every resample keeps all of them. One class
        where the outcome has none."""
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
        return Chance(1.0, "none")
    if narrowest <= 0:
        return Chance(1.0, "interval")
    if beyond(MOST_CONFIDENCE) > 0:
        return Chance(1 - MOST_CONFIDENCE, "interval")
    return Chance(float(1 - brentq(beyond, LEAST_CONFIDENCE, MOST_CONFIDENCE, xtol=1e-7)), "interval")
