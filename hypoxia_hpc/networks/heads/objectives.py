"""What a network is trained to say for each kind of outcome, and how far it is from that: by Keras and by NumPy.

``outputs`` of a network for n bags are numbers (n, k): one logit for two classes, one for each of more classes, a
standardised score, a log hazard.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from hypoxia_hpc.networks.data.standardise import LABEL_MEAN, LABEL_SCALE
from hypoxia_hpc.networks.heads.result import Arrays
from hypoxia_hpc.networks.runtime import start_keras
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import AnyArray, Float64Array

# Beyond one standard deviation an error counts by its size, not by its square (Huber 1964), so that a few patients with
# scores far from the others do not decide.
HUBER = 1.0
OUT_OF_RISK = -1e9  # its exponential is exactly 0 in float32


class Objective(ABC):
    """How the outputs of a network are compared with labels."""

    @abstractmethod
    def keras_loss(self) -> Any:
        """A loss of Keras for outputs (b, k) and what :meth:`targets` gives."""

    def metrics(self) -> list[Any]:
        """Metrics of Keras under the name ``accuracy``; none where there is no right and wrong."""
        return []

    def targets(self, labels: AnyArray) -> AnyArray:
        """Labels as the loss of Keras wants them, float32."""
        return labels.astype(np.float32)

    @abstractmethod
    def measured(self, outputs: Float64Array, labels: AnyArray) -> dict[str, float]:
        """``valid_loss`` of outputs (n, k), n above 0; and ``valid_accuracy`` where there is a right and wrong."""


class _TwoClasses(Objective):
    def keras_loss(self) -> Any:
        return start_keras().losses.BinaryCrossentropy(from_logits=True)

    def metrics(self) -> list[Any]:
        return [start_keras().metrics.BinaryAccuracy("accuracy", threshold=0.0)]

    def targets(self, labels: AnyArray) -> AnyArray:
        return labels.astype(np.float32)[:, None]

    def measured(self, outputs: Float64Array, labels: AnyArray) -> dict[str, float]:
        logits = outputs[:, 0]
        losses = np.logaddexp(0.0, logits) - labels * logits
        return {"valid_loss": float(losses.mean()), "valid_accuracy": float(((logits > 0) == labels).mean())}


class _ManyClasses(Objective):
    def keras_loss(self) -> Any:
        return start_keras().losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self) -> list[Any]:
        return [start_keras().metrics.SparseCategoricalAccuracy("accuracy")]

    def measured(self, outputs: Float64Array, labels: AnyArray) -> dict[str, float]:
        from scipy.special import log_softmax

        right = log_softmax(outputs, axis=1)[np.arange(len(labels)), labels]
        called = outputs.argmax(axis=1)
        return {"valid_loss": float(-right.mean()), "valid_accuracy": float((called == labels).mean())}


class _Number(Objective):
    """Scores are standardised by mean and spread of the training patients."""

    def __init__(self, standard: Arrays) -> None:
        self._mean, self._scale = float(standard[LABEL_MEAN][0]), float(standard[LABEL_SCALE][0])

    def keras_loss(self) -> Any:
        return start_keras().losses.Huber(delta=HUBER)

    def targets(self, labels: AnyArray) -> AnyArray:
        return self._standardised(labels).astype(np.float32)[:, None]

    def measured(self, outputs: Float64Array, labels: AnyArray) -> dict[str, float]:
        return {"valid_loss": float(huber(outputs[:, 0] - self._standardised(labels)).mean())}

    def _standardised(self, labels: AnyArray) -> Float64Array:
        standardised: Float64Array = (labels - self._mean) / self._scale
        return standardised


class _Hazard(Objective):
    """Cox's partial likelihood within a step: a patient is compared with those of its step who are still followed."""

    def keras_loss(self) -> Any:
        return cox_loss

    def measured(self, outputs: Float64Array, labels: AnyArray) -> dict[str, float]:
        return {"valid_loss": cox_mean(outputs[:, 0], labels)}


def objective_of(outcome: Outcome, standard: Arrays) -> Objective:
    """The objective of a kind of outcome; ``standard`` has the arrays of :func:`standardise.label_arrays`."""
    if outcome.kind == "score":
        return _Number(standard)
    plain: Mapping[str, type[Objective]] = {"binary": _TwoClasses, "classes": _ManyClasses, "survival": _Hazard}
    return plain[outcome.kind]()


def huber(errors: Float64Array) -> Float64Array:
    """Half the square up to :data:`HUBER`, from there on a straight line; float64, as ``errors``."""
    size = np.abs(errors)
    losses: Float64Array = np.where(size <= HUBER, size**2 / 2, HUBER * (size - HUBER / 2))
    return losses


def cox_mean(risks: Float64Array, followed: AnyArray) -> float:
    """Cox's negative log partial likelihood, Breslow's for ties, a mean over events; 0 where there is none.

    ``risks``: log hazards float64 (n,); ``followed``: time and event (n, 2). Breslow 1974, Biometrics 30.
    """
    from scipy.special import logsumexp

    times, events = followed[:, 0], followed[:, 1] == 1
    at_risk = times[None, :] >= times[events][:, None]
    if not len(at_risk):
        return 0.0
    totals = logsumexp(np.where(at_risk, risks[None, :], -np.inf), axis=1)
    return float((totals - risks[events]).mean())


def cox_loss(followed: Any, risks: Any) -> Any:
    """:func:`cox_mean` for Keras: (b, 2) and (b, 1) to (b,), whose mean it is."""
    ops = start_keras().ops
    times, events, risk = followed[:, 0], followed[:, 1], risks[:, 0]
    at_risk = ops.expand_dims(times, 0) >= ops.expand_dims(times, 1)
    totals = ops.logsumexp(ops.where(at_risk, ops.expand_dims(risk, 0), OUT_OF_RISK), axis=1)
    n_patients, n_events = ops.cast(ops.shape(risk)[0], "float32"), ops.maximum(ops.sum(events), 1.0)
    return events * (totals - risk) * n_patients / n_events


def in_units_of_labels(outputs: Float64Array, arrays: Arrays) -> Float64Array:
    """Outputs of a network as it is trained to what it says: a standardised score to a score, all else as it is."""
    if LABEL_SCALE not in arrays:
        return outputs
    scores: Float64Array = outputs * arrays[LABEL_SCALE][0] + arrays[LABEL_MEAN][0]
    return scores
