"""Patients with a hidden number from which a label of any kind follows, and on which features may hang: what tests of
other outcomes than two classes share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypoxia_hpc.config import OutcomeTable
from hypoxia_hpc.records import Followed, Label

LENGTH = 8
CLASSES = ("low", "middle", "top")
KINDS = {
    "binary": OutcomeTable(),
    "classes": OutcomeTable(kind="classes", classes=CLASSES),
    "score": OutcomeTable(kind="score"),
    "survival": OutcomeTable(kind="survival"),
}


# Heads that are trained in a second or two, and learn what is planted.
HEADS_OF: dict[str, dict[str, Any]] = {
    "tanh": {"units": 16, "epochs": 12, "batch_size": 60, "learning_rate": 0.02},
    "funnel": {"units": [16, 8], "epochs": 12, "batch_size": 60, "dropout": 0.1},
    "logistic": {"c": 0.1},
    "linear": {"penalty": 0.1},
    "attention": {
        "units": 16,
        "attention_units": 8,
        "epochs": 12,
        "batch_size": 16,
        "bag_tiles": 12,
        "dropout": 0.0,
        "learning_rate": 0.005,
    },
}


@dataclass(frozen=True)
class Planted:
    """A patient: the label, and its tiles' features, float64 (n, LENGTH)."""

    patient_id: str
    label: Label
    values: np.ndarray


def label_of(kind: str, hidden: float, random: np.random.Generator) -> Label:
    """What follows from the hidden number of a patient, -1, 0 or 1."""
    if kind == "survival":
        return Followed(float(random.exponential(10 * np.exp(-2.5 * hidden))), int(random.random() < 0.8))
    return {"binary": int(hidden > 0), "classes": int(hidden) + 1, "score": 100 + 30 * hidden}[kind]


def planted(kind: str, n: int, effect: float, seed: int, letter: str = "P") -> Iterator[Planted]:
    """Patients of 12 tiles, every third of each hidden number. Of the features, about 5 with spread 1, every other one
    moves by ``effect`` with it."""
    random = np.random.default_rng(seed)
    for number in range(n):
        hidden = float(number % 3 - 1)
        values = random.normal(5, 1, (12, LENGTH))
        values[:, ::2] += effect * hidden
        yield Planted(f"{letter}{number:03d}", label_of(kind, hidden, random), values)
