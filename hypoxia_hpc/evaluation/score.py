"""A number: Spearman's rank correlation of the predicted with the true one leads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.baselines import fitted_numbers, group_means
from hypoxia_hpc.analysis.measures import score_intervals
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.rows import Ids, Statistic
from hypoxia_hpc.analysis.scores import score_statistic
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.records import Float64Array, Int64Array


class ScoreMeasures(Measures):
    """kind = "score"; ``said`` is one column, the predicted number."""

    headline = "spearman"
    headline_words = "Spearman correlation"
    no_relation = 0.0

    def metrics(
        self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None, confidence: float | None = None
    ) -> dict[str, Interval]:
        return score_intervals(
            *_columns(rows, said),
            confidence=confidence or self.table.confidence,
            bootstrap=self.table.bootstrap,
            seed=self.table.seed,
            units=units,
            folds=self.folds,
        )

    def of_groups(
        self, train: pd.DataFrame, train_groups: Sequence[Hashable], groups: Sequence[Hashable]
    ) -> Float64Array:
        return group_means(train["label"].to_numpy(dtype=np.float64), train_groups, groups)[:, None]

    def of_values(self, train: pd.DataFrame, train_values: Float64Array, values: Float64Array) -> Float64Array:
        return fitted_numbers(train["label"].to_numpy(dtype=np.float64), train_values, values)[:, None]

    def statistic(self, rows: pd.DataFrame, said: Sequence[str], codes: Int64Array, n_units: int) -> Statistic:
        whole = score_statistic(*_columns(rows, said), codes, n_units)
        return lambda weights: whole(weights)[:, :1]


def _columns(rows: pd.DataFrame, said: Sequence[str]) -> tuple[Float64Array, Float64Array]:
    [column] = said
    return rows["label"].to_numpy(dtype=np.float64), rows[column].to_numpy(dtype=np.float64)
