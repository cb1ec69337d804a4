"""One of two classes: the area under the ROC curve leads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.baselines import fitted_on_values, group_shares
from hypoxia_hpc.analysis.calibration import PATIENTS_A_PARAMETER, Calibration, fit_calibration
from hypoxia_hpc.analysis.call_intervals import call_intervals
from hypoxia_hpc.analysis.calls import sensitivity_threshold, youden_threshold
from hypoxia_hpc.analysis.chance import Chance, auc_chance, least_p
from hypoxia_hpc.analysis.comparison import paired_areas
from hypoxia_hpc.analysis.measures import as_intervals, binary_intervals
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.rows import Ids, Statistic, auc_statistic, class_counts
from hypoxia_hpc.analysis.spreads import Jackknifed, Spread
from hypoxia_hpc.config import EvaluateTable
from hypoxia_hpc.evaluation.measures import Measures, Spreads
from hypoxia_hpc.evaluation.operating import THRESHOLD, Operating, Seen
from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array, Json

CHOSEN = "chosen_"  # before the names of metrics of calls at the threshold that validation patients chose


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, the rule that chose it ("fixed": that of [evaluate], where validation patients show none), and how
    many validation patients of either class there were."""

    threshold: float
    rule: Literal["youden", "sensitivity", "fixed"]
    n_0: int
    n_1: int


@dataclass(frozen=True)
class BinaryOperating(Operating):
    """Of two classes."""

    chosen: Threshold
    calibration: Calibration

    def calibrated(self, said: Float64Array) -> Float64Array:
        return self.calibration.apply(said)

    @property
    def threshold(self) -> float:
        return self.chosen.threshold

    def as_json(self) -> Json:
        return {**asdict(self.chosen), "calibration": asdict(self.calibration)}


def choose_threshold(labels: AnyArray, probabilities: Float64Array, table: EvaluateTable) -> Threshold:
    """The threshold by the rule of [evaluate], where there are 10 validation patients of either class or more: fewer
    say little of where to cut, and the fixed one is taken; so it is where no cut is better than calling everyone the
    same. ``labels`` 0 or 1, calibrated ``probabilities``, (n,)."""
    n_1 = int(np.count_nonzero(labels == 1))
    n_0 = len(labels) - n_1
    if min(n_0, n_1) < PATIENTS_A_PARAMETER:
        return Threshold(table.threshold, "fixed", n_0, n_1)
    if table.threshold_rule == "sensitivity":
        found: float | None = sensitivity_threshold(labels, probabilities, table.wanted_sensitivity)
    else:
        found = youden_threshold(labels, probabilities)
    if found is None:
        return Threshold(table.threshold, "fixed", n_0, n_1)
    return Threshold(found, table.threshold_rule, n_0, n_1)


class BinaryMeasures(Measures):
    """kind = "binary"; ``said`` is one column, the probability of class 1."""

    headline = "roc_auc"
    headline_words = "ROC AUC"
    no_relation = 0.5

    def metrics(
        self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None, confidence: float | None = None
    ) -> dict[str, Interval]:
        """Also, where rows have a threshold each, the metrics of calls by it."""
        labels, probabilities = _columns(rows, said)
        confidence = confidence or self.table.confidence
        threshold = self.table.threshold
        found = binary_intervals(
            labels, probabilities, threshold=threshold, confidence=confidence, units=units, folds=self.folds
        )
        if THRESHOLD in rows:
            called = probabilities > rows[THRESHOLD].to_numpy(dtype=np.float64)
            bounds = call_intervals(labels, called, confidence=confidence, units=units)
            found |= as_intervals({CHOSEN + name: bound for name, bound in bounds.items()}, len(rows))
        return found

    @property
    def calibrated(self) -> tuple[str, ...]:
        return ("calibrated",)

    def fit_operating(self, valid: pd.DataFrame, seen: Seen) -> Operating:
        labels, said = _columns(valid, self.outcome.outputs)
        calibration = fit_calibration(labels, said, float(seen.log_odds[1]))
        return BinaryOperating(choose_threshold(labels, calibration.apply(said), self.table), calibration)

    def read_operating(self, held: Json) -> Operating:
        chosen = Threshold(float(held["threshold"]), held["rule"], int(held["n_0"]), int(held["n_1"]))
        return BinaryOperating(chosen, Calibration(**held["calibration"]))

    def of_groups(
        self, train: pd.DataFrame, train_groups: Sequence[Hashable], groups: Sequence[Hashable]
    ) -> Float64Array:
        return group_shares(train["label"].to_numpy(dtype=np.int64), train_groups, groups)[:, 1:]

    def of_values(self, train: pd.DataFrame, train_values: Float64Array, values: Float64Array) -> Float64Array:
        return fitted_on_values(train["label"].to_numpy(dtype=np.int64), train_values, values)[:, 1:]

    def statistic(self, rows: pd.DataFrame, said: Sequence[str], codes: Int64Array, n_units: int) -> Statistic:
        return auc_statistic(*_columns(rows, said), codes, n_units)

    def spreads(self, models: Sequence[pd.DataFrame], said: Sequence[str], units: Ids | None) -> Spreads | None:
        if self.folds > 1:
            return super().spreads(models, said, units)
        labels = _columns(models[0], said)[0]
        if len(np.unique(labels)) < 2:
            return None
        return Spreads(*paired_areas(labels, np.column_stack([_columns(rows, said)[1] for rows in models]), units))

    def spreads_of(
        self, found: Jackknifed, rows: pd.DataFrame, codes: Int64Array, n_units: int
    ) -> Sequence[Spread] | None:
        n_negative, n_positive = (int(n) for n in (self.strata(rows, codes, n_units) > 0).sum(axis=0))
        return found.areas(n_positive, n_negative, n_units) if n_negative and n_positive else None

    def strata(self, rows: pd.DataFrame, codes: Int64Array, n_units: int) -> Float64Array:
        return class_counts(rows["label"].to_numpy(dtype=np.int64), codes, n_units)

    def chance(self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None) -> Chance:
        labels, probabilities = _columns(rows, said)
        return auc_chance(labels, probabilities, units=units, folds=self.folds, seed=self.table.seed)

    def least_p(self, rows: pd.DataFrame) -> float:
        n_1 = int(rows["label"].sum())
        return least_p(n_1, len(rows) - n_1)


def _columns(rows: pd.DataFrame, said: Sequence[str]) -> tuple[AnyArray, Float64Array]:
    [column] = said
    return rows["label"].to_numpy(dtype=np.int64), rows[column].to_numpy(dtype=np.float64)
