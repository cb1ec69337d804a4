"""By what a search chooses, for each kind of outcome: how well validation patients are ranked, then a mean loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.analysis.classes import class_auc_statistic
from hypoxia_hpc.analysis.concordance import concordance_statistic
from hypoxia_hpc.analysis.rows import Statistic
from hypoxia_hpc.analysis.scores import score_statistic
from hypoxia_hpc.config.outcome import OutcomeKind
from hypoxia_hpc.networks.heads.objectives import cox_mean
from hypoxia_hpc.records import AnyArray, Float64Array, Int64Array

LEAST_PROBABILITY = 1e-7  # a loss of 16; none is infinite
# Labels of n patients as `TrainingData` has them, and what a model says of these, float64 (n, k) -> a number.
Measure = Callable[[AnyArray, Float64Array], float]


@dataclass(frozen=True, slots=True)
class Criterion:
    """``name`` of the figure in model.json; the larger the ``figure``, the better; among equal ones the smaller
    ``loss``."""

    name: str
    figure: Measure
    loss: Measure


def _area(labels: AnyArray, said: Float64Array) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, said[:, 0]))


def _log_loss(labels: AnyArray, said: Float64Array) -> float:
    probabilities = np.clip(said[:, 0], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return float(-np.log(np.where(labels == 1, probabilities, 1 - probabilities)).mean())


def _macro_area(labels: AnyArray, said: Float64Array) -> float:
    return _defined(class_auc_statistic(labels, said, *_each(labels)), labels, -1, chance=0.5)


def _log_loss_of_classes(labels: AnyArray, said: Float64Array) -> float:
    own = said[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, LEAST_PROBABILITY)).mean())


def _spearman(labels: AnyArray, said: Float64Array) -> float:
    return _defined(score_statistic(labels, said[:, 0], *_each(labels)), labels, 0, chance=0.0)


def _absolute_error(labels: AnyArray, said: Float64Array) -> float:
    return float(np.abs(labels - said[:, 0]).mean())


def _harrell(labels: AnyArray, said: Float64Array) -> float:
    events = labels[:, 1].astype(np.int64)
    statistic = concordance_statistic(labels[:, 0], events, said[:, 0], np.arange(len(labels)))
    return _defined(statistic, labels, 0, chance=0.5)


def _partial_likelihood(labels: AnyArray, said: Float64Array) -> float:
    return cox_mean(said[:, 0], labels)


def _each(labels: AnyArray) -> tuple[Int64Array, int]:
    """Every patient by itself."""
    return np.arange(len(labels)), len(labels)


def _defined(statistic: Statistic, labels: AnyArray, place: int, *, chance: float) -> float:
    """A metric of a statistic. ``chance``: what it is without a relation, which stands where it is not defined: all
    that a model says is the same, or no event came before the end of another patient's follow-up."""
    value = float(statistic(np.ones((len(labels), 1)))[0, place])
    return chance if np.isnan(value) else value


# Area under the ROC curve and cross-entropy; that of each class against the rest, their mean, and cross-entropy; rank
# correlation and mean absolute error; Harrell's concordance and Cox's partial likelihood.
CRITERIA: Mapping[OutcomeKind, Criterion] = {
    "binary": Criterion("roc_auc", _area, _log_loss),
    "classes": Criterion("roc_auc_macro", _macro_area, _log_loss_of_classes),
    "score": Criterion("spearman", _spearman, _absolute_error),
    "survival": Criterion("harrell", _harrell, _partial_likelihood),
}
