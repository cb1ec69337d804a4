"""A linear head on the mean features of a patient: robust ridge regression of a score, or Cox's model of survival.

A patient's features are the mean over all its tiles, standardised by mean and spread of the training tiles. What is
minimised is ``mean(loss) + penalty · |w|² / 2``: of a standardised score Huber's loss (Huber 1964, "Robust estimation
of a location parameter", Annals of Mathematical Statistics 35), of survival the negative log partial likelihood (Cox
1972), ties by Efron 1977 (JASA 72). Both are convex, so that there is one optimum, and L-BFGS finds it.

As it is linear, the mean of what it says of a patient's tiles is what it says of the patient.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config import LinearTable
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.networks.data.bags import bags_of
from hypoxia_hpc.networks.data.rows import ROW_READERS, Rows, TrainingData, opened_rows, require_trainable
from hypoxia_hpc.networks.data.standardise import (
    LABEL_MEAN,
    LABEL_SCALE,
    label_arrays,
    label_shapes,
    standard_arrays,
    standard_shapes,
    standardise,
)
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cost import CohortSize, Cost, HeadCost
from hypoxia_hpc.networks.heads.logistic import PASS_SECONDS, PREDICTED, TOLERANCES
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.objectives import HUBER, huber, in_units_of_labels
from hypoxia_hpc.networks.heads.result import Arrays, Predictor, Shapes, TrainedHead
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import AnyArray, Float32Array, Float64Array

COEFFICIENTS, INTERCEPT = "coefficients", "intercept"
# Predictors of n patients -> the loss, a mean, and its derivative by each predictor.
Loss = Callable[[Float64Array], tuple[float, Float64Array]]


def train_linear(
    table: LinearTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Fit on the mean features of the training patients; the validation tiles are only looked at for NaN. One pass over
    the stores, then seconds: there is no checkpoint.

    Raises what `opened_rows`, `require_trainable` and `standard_arrays` raise; Stopped.
    """
    from scipy.optimize import minimize

    with opened_rows(data) as (train, valid):
        require_trainable(train)
        standard = {**standard_arrays(train, valid), **label_arrays(train)}
        means, labels = patient_means(train, standard)
    objective = _Objective(means, _loss_of(data.outcome, labels, standard), table.penalty, stop)
    found = minimize(
        objective,
        np.zeros(means.shape[1] + 1),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": table.max_iter, **TOLERANCES},
    )
    on_epoch({})
    return TrainedHead({**standard, COEFFICIENTS: found.x[:-1], INTERCEPT: found.x[-1:]}, {})


def linear_shapes(_: LinearTable, feature_length: int, outcome: Outcome) -> Shapes:
    """A coefficient for each feature, and an intercept (0 of survival)."""
    own = {COEFFICIENTS: ((feature_length,), "float64"), INTERCEPT: ((1,), "float64")}
    return {**standard_shapes(feature_length), **label_shapes(outcome), **own}


def linear_cost(_: LinearTable, size: CohortSize) -> HeadCost:
    """Two passes over the training tiles; what follows is small beside them."""
    one = size.train_tiles * size.feature_length * PASS_SECONDS + size.reading_seconds(size.train_tiles)
    seconds = one + size.standard_seconds(size.train_tiles + size.valid_tiles)
    held = 8.0 * 4 * size.patients * size.train * size.feature_length
    train = Cost(seconds, ROW_READERS, size.reader_bytes + held)
    return HeadCost(train, Cost(PREDICTED * size.tiles * size.feature_length * PASS_SECONDS, 1, 0.0))


def linear_predictor(_: LinearTable, arrays: Arrays, __: int, ___: Outcome) -> Predictor:
    """Feature vectors float32 (n, d) -> a score in the unit of the labels, or a log hazard, float64 (n,)."""

    def predict(values: Float32Array) -> Float64Array:
        rows = standardise(arrays, values).astype(np.float64)
        said: Float64Array = np.einsum("ij,j->i", rows, arrays[COEFFICIENTS]) + arrays[INTERCEPT][0]
        return in_units_of_labels(said, arrays)

    return predict


def patient_means(rows: Rows, standard: Arrays) -> tuple[Float64Array, AnyArray]:
    """The standardised mean features of every patient, float64 (n, d), and their labels, as of `Rows`; in the order in
    which patients first come. The same bits in whatever parts the rows are read."""
    bags = bags_of(rows)
    patient_of = {store: number for number, bag in enumerate(bags) for store in bag.stores}
    sums = np.zeros((len(bags), rows.feature_length))
    for store, total in rows.each_chunk(
        lambda _, values: standardise(standard, values.astype(np.float32)).sum(axis=0, dtype=np.float64)
    ):
        sums[patient_of[store]] += total
    means = sums / np.array([bag.n for bag in bags], dtype=np.float64)[:, None]
    return means, np.array([bag.label for bag in bags])


def _loss_of(outcome: Outcome, labels: AnyArray, standard: Arrays) -> Loss:
    if outcome.kind == "survival":
        return CoxLoss.of(labels)
    targets = (labels - standard[LABEL_MEAN][0]) / standard[LABEL_SCALE][0]

    def loss(said: Float64Array) -> tuple[float, Float64Array]:
        errors = said - targets
        return float(huber(errors).mean()), np.clip(errors, -HUBER, HUBER) / len(errors)

    return loss


@dataclass(frozen=True, slots=True)
class CoxLoss:
    """The negative log partial likelihood of n patients, a mean over events, ties by Efron; and its derivative.

    ``order``: patients by falling time, (n,). For each of m times with events: ``until``, how many patients of that
    order are still followed then, and ``event_rows`` of that order, the patients whose event it is.
    """

    order: AnyArray
    until: AnyArray
    event_rows: tuple[AnyArray, ...]
    n_events: int

    @classmethod
    def of(cls, followed: AnyArray) -> CoxLoss:
        """``followed``: time and event, (n, 2), one event or more."""
        order = np.lexsort((np.arange(len(followed)), -followed[:, 0]))
        times, events = followed[order, 0], followed[order, 1] == 1
        moments = np.unique(times[events])
        until = np.searchsorted(-times, -moments, side="right")
        rows = tuple(np.flatnonzero(events & (times == moment)) for moment in moments)
        return cls(order, until, rows, int(events.sum()))

    def __call__(self, said: Float64Array) -> tuple[float, Float64Array]:
        risks = said[self.order]
        largest = risks.max()
        hazards = np.exp(risks - largest)
        at_risk = np.cumsum(hazards)
        loss, slope = 0.0, np.zeros_like(risks)
        for until, rows in zip(self.until, self.event_rows, strict=True):
            tied = hazards[rows].sum()
            # Efron: of d tied events the k-th has k/d of the hazards of the tied ones taken out of those at risk.
            shares = np.arange(len(rows)) / len(rows)
            totals = at_risk[until - 1] - shares * tied
            loss += float(np.log(totals).sum() + len(rows) * largest - risks[rows].sum())
            slope[:until] += (1 / totals).sum() * hazards[:until]
            slope[rows] -= (shares / totals).sum() * hazards[rows] + 1
        gradient = np.empty_like(slope)
        gradient[self.order] = slope
        return loss / self.n_events, gradient / self.n_events


class _Objective:
    """Value and gradient at coefficients and intercept, float64 (d + 1,)."""

    def __init__(self, means: Float64Array, loss: Loss, penalty: float, stop: threading.Event) -> None:
        self._means, self._loss, self._penalty, self._stop = means, loss, penalty, stop

    def __call__(self, at: Float64Array) -> tuple[float, Float64Array]:
        if self._stop.is_set():
            raise Stopped("stopped on request while fitting", remedy="run the same command again")
        # Not by BLAS: see `logistic.Objective.part`.
        loss, slopes = self._loss(np.einsum("ij,j->i", self._means, at[:-1]) + at[-1])
        gradient = np.einsum("i,ij->j", slopes, self._means) + self._penalty * at[:-1]
        return loss + self._penalty * float(at[:-1] @ at[:-1]) / 2, np.append(gradient, slopes.sum())
