"""One of three or more classes: the mean of the areas of each class against the rest leads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.baselines import fitted_on_values, group_shares
from hypoxia_hpc.analysis.calibration import without_sampling
from hypoxia_hpc.analysis.chance import Chance, class_auc_chance
from hypoxia_hpc.analysis.classes import class_auc_statistic
from hypoxia_hpc.analysis.measures import class_intervals
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.rows import Ids, Statistic, class_counts, grouped
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.operating import Operating, Seen
from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array, Json


@dataclass(frozen=True)
class ClassOperating(Operating):
    """Of more classes than two: the log-odds of the sampling against the first class are taken away; the likeliest
    class is called."""

    log_odds: tuple[float, ...]

    def calibrated(self, said: Float64Array) -> Float64Array:
        return without_sampling(said, np.array(self.log_odds))

    def as_json(self) -> Json:
        return {"log_odds": list(self.log_odds)}


class ClassMeasures(Measures):
    """kind = "classes"; ``said`` are the probabilities of the classes, in their order."""

    headline = "roc_auc_macro"
    headline_words = "macro ROC AUC"
    no_relation = 0.5

    def metrics(
        self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None, confidence: float | None = None
    ) -> dict[str, Interval]:
        return class_intervals(
            *_columns(rows, said), confidence=confidence or self.table.confidence, units=units, folds=self.folds
        )

    @property
    def calibrated(self) -> tuple[str, ...]:
        return tuple(f"calibrated_{name}" for name in self.outcome.table.classes)

    def fit_operating(self, valid: pd.DataFrame, seen: Seen) -> Operating:
        return ClassOperating(tuple(seen.log_odds.tolist()))

    def read_operating(self, held: Json) -> Operating:
        return ClassOperating(tuple(float(number) for number in held["log_odds"]))

    def of_groups(
        self, train: pd.DataFrame, train_groups: Sequence[Hashable], groups: Sequence[Hashable]
    ) -> Float64Array:
        return group_shares(train["label"].to_numpy(dtype=np.int64), train_groups, groups, self.outcome.n_outputs)

    def of_values(self, train: pd.DataFrame, train_values: Float64Array, values: Float64Array) -> Float64Array:
        labels = train["label"].to_numpy(dtype=np.int64)
        return fitted_on_values(labels, train_values, values, self.outcome.n_outputs)

    def statistic(self, rows: pd.DataFrame, said: Sequence[str], codes: Int64Array, n_units: int) -> Statistic:
        areas = class_auc_statistic(*_columns(rows, said), codes, n_units)
        return lambda weights: areas(weights)[:, -1:]

    def strata(self, rows: pd.DataFrame, codes: Int64Array, n_units: int) -> Float64Array:
        return class_counts(rows["label"].to_numpy(dtype=np.int64), codes, n_units, len(self.outcome.outputs))

    def chance(self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None) -> Chance:
        """By exchanging labels, where patients are independent; else as `Measures.chance`."""
        if grouped(units) is not None or self.folds > 1:
            return super().chance(rows, said, units)
        return class_auc_chance(*_columns(rows, said), seed=self.table.seed)


def _columns(rows: pd.DataFrame, said: Sequence[str]) -> tuple[AnyArray, Float64Array]:
    return rows["label"].to_numpy(dtype=np.int64), rows[list(said)].to_numpy(dtype=np.float64)
