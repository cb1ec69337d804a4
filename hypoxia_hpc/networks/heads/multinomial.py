"""The objective of logistic regression on more classes than two: softmax, chunk by chunk over rows of many stores.

That of scikit-learn's ``LogisticRegression(C=c, class_weight="balanced")`` over the sum of the row weights:
``mean(weight · cross-entropy) + |w|² / (2 c n)``. The intercepts are not penalised, as there. All arithmetic is
float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.networks.data.rows import Rows, row_weights
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE
from hypoxia_hpc.networks.heads.result import Arrays
from hypoxia_hpc.records import Float64Array


class _Part(NamedTuple):
    """Sums over rows of one class: the loss, and its derivatives by logits (k,) and by logits times rows (d, k)."""

    loss: float
    slopes: Float64Array
    gradients: Float64Array


class SoftmaxObjective:
    """Value and gradient at coefficients and intercepts, float64 ((d + 1) · k,): (d, k) row by row, then (k,). Raises
    SlideError (damaged-store), MachineError."""

    def __init__(self, rows: Rows, standard: Arrays, c: float) -> None:
        self._rows = rows
        self._k = rows.outcome.n_outputs
        self._mean, self._scale = (standard[name].astype(np.float64) for name in (MEAN, SCALE))
        self._class_weights = row_weights(rows).astype(np.float64)
        self._penalty = 1 / (c * len(rows))

    @property
    def n_values(self) -> int:
        """Of what is sought."""
        return (self._rows.feature_length + 1) * self._k

    def __call__(self, at: Float64Array) -> tuple[float, Float64Array]:
        coefficients, intercepts = at[: -self._k].reshape(-1, self._k), at[-self._k :]
        # Rows are taken as they are: see `logistic.Objective`.
        raw = coefficients / self._scale[:, None]
        shifts = intercepts - self._mean @ raw
        loss, slopes, gradients = 0.0, np.zeros(self._k), np.zeros_like(raw)
        for store, part in self._rows.each_chunk(
            lambda store, rows: self._part(int(self._rows.labels[store]), rows, raw, shifts)
        ):
            weight = self._class_weights[self._rows.labels[store]]
            loss += weight * part.loss
            slopes += weight * part.slopes
            gradients += weight * part.gradients
        n = len(self._rows)
        of_coefficients = (gradients - np.outer(self._mean, slopes)) / self._scale[:, None] / n
        of_coefficients += self._penalty * coefficients
        value = loss / n + self._penalty * float((coefficients**2).sum()) / 2
        return value, np.concatenate([of_coefficients.ravel(), slopes / n])

    def _part(self, label: int, values: NDArray[Any], raw: Float64Array, shifts: Float64Array) -> _Part:
        from scipy.special import log_softmax

        rows = values.astype(np.float64)
        # Not by BLAS, for the reason that `logistic.Objective.part` gives.
        logs = log_softmax(np.einsum("ij,jk->ik", rows, raw) + shifts, axis=1)
        errors = np.exp(logs)
        errors[:, label] -= 1
        return _Part(-float(logs[:, label].sum()), errors.sum(axis=0), np.einsum("ij,ik->jk", rows, errors))
