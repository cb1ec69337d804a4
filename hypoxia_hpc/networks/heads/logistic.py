"""Logistic regression on standardised features, with balanced class weights: the baseline of the heads.

The objective is that of scikit-learn's ``LogisticRegression(C=c, class_weight="balanced")`` over the sum of the row
weights, which is n: ``mean(weight · log loss) + |w|² / (2 c n)``, weight = n / (2 n_class). It is convex, so it has one
optimum; L-BFGS finds it with one pass over the stores for a value and gradient. All arithmetic is float64, summed up
chunk by chunk in the order of the rows.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import LogisticTable
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.networks.data.rows import (
    ROW_READERS,
    Rows,
    TrainingData,
    opened_rows,
    require_trainable,
    row_weights,
)
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, standard_arrays, standard_shapes, standardise
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cost import CohortSize, Cost, HeadCost
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.multinomial import SoftmaxObjective
from hypoxia_hpc.networks.heads.result import Arrays, Predictor, Shapes, TrainedHead
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float32Array, Float64Array

COEFFICIENTS, INTERCEPT = "coefficients", "intercept"
# As in scikit-learn, but for the gradient: it stops at 1e-4, where coefficients may have one digit.
TOLERANCES = {"gtol": 1e-7, "ftol": 64 * np.finfo(np.float64).eps, "maxls": 50}
_RECORDS = ("at", "value", "gradient")
# A value of a row in a pass: to float64, one product for the logit and one for the gradient.
PASS_SECONDS = 2e-9
# Passes until L-BFGS has converged: 110 to 150 on random features of 20,000 and 100,000 tiles, from the time they took.
PASSES = 120
# To standardise rows and predict them, against a pass.
PREDICTED = 4


def train_logistic(
    table: LogisticTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Fit on the training tiles; the validation tiles are only looked at for NaN.

    L-BFGS depends on nothing but the values and gradients it was given. These are what a checkpoint holds: begun again,
    it is given them once more, and goes on to the same bytes.

    Raises what `opened_rows`, `require_trainable` and `standard_arrays` raise; Stopped, MachineError (checkpoint).
    """
    from scipy.optimize import minimize

    with opened_rows(data) as (train, valid):
        require_trainable(train)
        standard = standard_arrays(train, valid)
        kind = SoftmaxObjective if train.outcome.n_outputs > 1 else Objective
        objective = kind(train, standard, table.c)
        recorded = _Recorded(objective, checkpoints, stop)
        found = minimize(
            recorded,
            np.zeros(objective.n_values),
            method="L-BFGS-B",
            jac=True,
            options={"maxiter": table.max_iter, **TOLERANCES},
        )
    on_epoch({})
    k = data.outcome.n_outputs
    coefficients = found.x[:-k] if k == 1 else found.x[:-k].reshape(-1, k)
    return TrainedHead({**standard, COEFFICIENTS: coefficients, INTERCEPT: found.x[-k:]}, {})


def logistic_shapes(_: LogisticTable, feature_length: int, outcome: Outcome) -> Shapes:
    """A coefficient for each feature, and an intercept; of more classes than two for each class."""
    k = outcome.n_outputs
    shape = (feature_length,) if k == 1 else (feature_length, k)
    own = {COEFFICIENTS: (shape, "float64"), INTERCEPT: ((k,), "float64")}
    return {**standard_shapes(feature_length), **own}


def logistic_cost(table: LogisticTable, size: CohortSize) -> HeadCost:
    """Passes over the training tiles until it has converged, or as many as it may take."""
    passes = min(table.max_iter, PASSES)
    one = size.train_tiles * size.feature_length * PASS_SECONDS + size.reading_seconds(size.train_tiles)
    seconds = passes * one + size.standard_seconds(size.train_tiles + size.valid_tiles)
    answers = passes * 2 * 8 * size.feature_length  # points and gradients, which a checkpoint holds
    train = Cost(seconds, ROW_READERS, size.reader_bytes + 3 * answers)
    return HeadCost(train, Cost(PREDICTED * size.tiles * size.feature_length * PASS_SECONDS, 1, 0.0))


def logistic_predictor(_: LogisticTable, arrays: Arrays, __: int, outcome: Outcome) -> Predictor:
    """Feature vectors float32 (n, d) -> probability of class 1, float64 (n,); of more classes than two that of each,
    (n, k)."""
    from scipy.special import expit, softmax

    def predict(values: Float32Array) -> Float64Array:
        rows = standardise(arrays, values).astype(np.float64)
        if outcome.n_outputs > 1:
            of_each: Float64Array = softmax(
                np.einsum("ij,jk->ik", rows, arrays[COEFFICIENTS]) + arrays[INTERCEPT], axis=1
            )
            return of_each
        logits = np.einsum("ij,j->i", rows, arrays[COEFFICIENTS]) + arrays[INTERCEPT][0]
        probabilities: Float64Array = expit(logits)
        return probabilities

    return predict


class Objective:
    """Value and gradient at coefficients and intercept, float64 (d + 1,). Raises SlideError (damaged-store),
    MachineError."""

    def __init__(self, rows: Rows, standard: Arrays, c: float) -> None:
        self._rows = rows
        self._mean, self._scale = (standard[name].astype(np.float64) for name in (MEAN, SCALE))
        self._class_weights = row_weights(rows).astype(np.float64)
        self._penalty = 1 / (c * len(rows))

    @property
    def n_values(self) -> int:
        """Of what is sought."""
        return self._rows.feature_length + 1

    def __call__(self, at: Float64Array) -> tuple[float, Float64Array]:
        # w · (x - mean) / scale + b is v · x + (b - v · mean) with v = w / scale: rows are taken as they are.
        raw = at[:-1] / self._scale
        shift = at[-1] - raw @ self._mean
        loss, slope, gradient = 0.0, 0.0, np.zeros_like(raw)
        for store, part in self._rows.each_chunk(
            lambda store, rows: self.part(self._rows.labels[store], rows, raw, shift)
        ):
            weight = self._class_weights[self._rows.labels[store]]
            loss += weight * part.loss
            slope += weight * part.slope
            gradient += weight * part.gradient
        n = len(self._rows)
        of_coefficients = (gradient - slope * self._mean) / self._scale / n + self._penalty * at[:-1]
        value = loss / n + self._penalty * float(at[:-1] @ at[:-1]) / 2
        return value, np.append(of_coefficients, slope / n)

    def part(self, label: int, values: NDArray[Any], raw: Float64Array, shift: float) -> RowPart:
        """Sums over rows of one label, as stored, at coefficients ``raw`` of such rows and intercept ``shift``."""
        from scipy.special import expit

        rows = values.astype(np.float64)
        # Not by BLAS: its own threads under ours made this 20 times slower, and their number would enter the bits.
        logits = np.einsum("ij,j->i", rows, raw) + shift
        errors = expit(logits) - label
        losses = np.logaddexp(0.0, -logits if label else logits)
        return RowPart(float(losses.sum()), float(errors.sum()), np.einsum("i,ij->j", errors, rows))


class RowPart(NamedTuple):
    loss: float
    slope: float
    gradient: Float64Array


class _Recorded:
    """An objective that keeps what it answered, in a checkpoint too, and answers the same questions from there."""

    def __init__(
        self, objective: Objective | SoftmaxObjective, checkpoints: Checkpoints, stop: threading.Event
    ) -> None:
        self._objective = objective
        self._checkpoints = checkpoints
        self._stop = stop
        found = checkpoints.load()
        self._known = list(zip(*(found.arrays[name] for name in _RECORDS), strict=True)) if found else []
        self._answers: list[tuple[Float64Array, float, Float64Array]] = []

    def __call__(self, at: Float64Array) -> tuple[float, Float64Array]:
        number = len(self._answers)
        if number < len(self._known) and np.array_equal(self._known[number][0], at):
            self._answers.append(self._known[number])
        else:
            self._known = []
            self._pause()
            self._answers.append((at.copy(), *self._objective(at)))
        return self._answers[-1][1], self._answers[-1][2].copy()

    def _pause(self) -> None:
        stopping = self._stop.is_set()
        if self._answers and (stopping or self._checkpoints.due):
            columns = zip(*self._answers, strict=True)
            self._checkpoints.save({}, {name: np.array(one) for name, one in zip(_RECORDS, columns, strict=True)})
        if stopping:
            raise Stopped(
                f"stopped on request after {len(self._answers)} passes over the training tiles",
                remedy="run the same command again to go on",
            )
