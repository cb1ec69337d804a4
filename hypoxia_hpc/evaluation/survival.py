"""How long until an event: Harrell's concordance leads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.baselines import fitted_log_rates, group_log_rates
from hypoxia_hpc.analysis.concordance import concordance_statistic
from hypoxia_hpc.analysis.measures import survival_intervals
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.rows import Ids, Statistic
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array


class SurvivalMeasures(Measures):
    """kind = "survival"; ``said`` is one column, the risk: higher for those who are said to die earlier."""

    headline = "harrell"
    headline_words = "concordance (Harrell)"
    no_relation = 0.5

    def metrics(
        self, rows: pd.DataFrame, said: Sequence[str], units: Ids | None, confidence: float | None = None
    ) -> dict[str, Interval]:
        return survival_intervals(
            *_columns(rows, said), confidence=confidence or self.table.confidence, units=units, folds=self.folds
        )

    def of_groups(
        self, train: pd.DataFrame, train_groups: Sequence[Hashable], groups: Sequence[Hashable]
    ) -> Float64Array:
        return group_log_rates(*_followed(train), train_groups, groups)[:, None]

    def of_values(self, train: pd.DataFrame, train_values: Float64Array, values: Float64Array) -> Float64Array:
        return fitted_log_rates(*_followed(train), train_values, values)[:, None]

    def statistic(self, rows: pd.DataFrame, said: Sequence[str], codes: Int64Array, n_units: int) -> Statistic:
        whole = concordance_statistic(*_columns(rows, said), codes)
        return lambda weights: whole(weights)[:, :1]

    def strata(self, rows: pd.DataFrame, codes: Int64Array, n_units: int) -> Float64Array:
        """Of patients with an event: without one in a resample nothing is compared."""
        with_event = np.bincount(codes, weights=rows["event"].to_numpy(dtype=np.float64), minlength=n_units)
        return with_event[:, None].astype(np.float64)


def _columns(rows: pd.DataFrame, said: Sequence[str]) -> tuple[Float64Array, AnyArray, Float64Array]:
    [column] = said
    time, event = _followed(rows)
    return time, event, rows[column].to_numpy(dtype=np.float64)


def _followed(rows: pd.DataFrame) -> tuple[Float64Array, AnyArray]:
    return rows["time"].to_numpy(dtype=np.float64), rows["event"].to_numpy(dtype=np.int64)
