"""From what a model says to a probability and a call: the prior of the sampling taken away, calibration and threshold
fitted on validation patients alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.calibration import sampling_log_odds
from hypoxia_hpc.records import Float64Array, Int64Array, Json

CALL, THRESHOLD = "call", "threshold"


@dataclass(frozen=True, slots=True)
class Seen:
    """Training patients of each class, and what the loss saw of each class: draws or weights, in any unit; both
    (classes,), above 0."""

    patients: tuple[float, ...]
    drawn: tuple[float, ...]

    @property
    def log_odds(self) -> Float64Array:
        """What the sampling added to the log-odds of each class against class 0, (classes,)."""
        return sampling_log_odds(np.array(self.patients), np.array(self.drawn))


class Operating(ABC):
    """How one model of one fold is used: from what it says, float64 (n, k), to calibrated probabilities and calls."""

    @abstractmethod
    def calibrated(self, said: Float64Array) -> Float64Array:
        """Calibrated probabilities, (n, k)."""

    @property
    def threshold(self) -> float | None:
        """A calibrated probability above it is called class 1; None where the likeliest class is called."""
        return None

    @abstractmethod
    def as_json(self) -> Json:
        """As metrics.json has it."""


def with_calls(
    rows: pd.DataFrame,
    operating: Mapping[str, Sequence[Operating]],
    said: Sequence[str],
    calibrated: Sequence[str],
    classes: Sequence[str],
) -> pd.DataFrame:
    """Rows of slides or patients with the columns ``calibrated``, threshold (where there is one) and call, the name of
    one of ``classes``, behind those of what the models ``said``.

    ``operating``: of each model in the rows, that of each fold. A row that no fold can claim (its fold is <NA>) has the
    means over the folds, of calibrated probabilities and of thresholds.
    """
    by_model = rows.groupby("model", sort=False, observed=True)
    parts = [_called(part, operating[str(model)], said, calibrated) for model, part in by_model]
    made = with_call(pd.concat(parts).loc[rows.index], calibrated, classes)
    place = list(rows.columns).index(said[-1]) + 1
    before, behind = rows.columns[:place], rows.columns[place:]
    whole: pd.DataFrame = pd.concat([rows[before], made, rows[behind]], axis=1)
    return whole


def with_call(rows: pd.DataFrame, calibrated: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """With ``call``: the name of the class that calibrated probabilities call, of two by their threshold."""
    probabilities = rows[list(calibrated)].to_numpy(dtype=np.float64)
    if THRESHOLD in rows:
        numbers = (probabilities[:, 0] > rows[THRESHOLD].to_numpy(dtype=np.float64)).astype(np.int64)
    else:
        numbers = probabilities.argmax(axis=1)
    return rows.assign(**{CALL: np.asarray(classes, dtype=object)[numbers]})


def _called(
    part: pd.DataFrame, folds: Sequence[Operating], said: Sequence[str], calibrated: Sequence[str]
) -> pd.DataFrame:
    """Calibrated probabilities, and thresholds where there are any, of one model's rows."""
    values = part[list(said)].to_numpy(dtype=np.float64)
    fold = _folds_of(part, len(folds))
    by_fold = [one.calibrated(values) for one in folds]
    chosen = np.stack([*by_fold, np.mean(by_fold, axis=0)])[fold, np.arange(len(part))]
    made = pd.DataFrame(dict(zip(calibrated, chosen.T, strict=True)), index=part.index)
    thresholds = [one.threshold for one in folds if one.threshold is not None]
    if thresholds:
        made[THRESHOLD] = np.array([*thresholds, np.mean(thresholds)])[fold]
    return made


def _folds_of(part: pd.DataFrame, n_folds: int) -> Int64Array:
    """The fold of each row; ``n_folds`` where it is not known, 0 where there is one fold."""
    if n_folds == 1:
        return np.zeros(len(part), dtype=np.int64)
    return part["fold"].fillna(n_folds).to_numpy(dtype=np.int64)
