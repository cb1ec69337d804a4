"""Rows of many feature stores, which need not fit in memory, for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabelledStore:
    """The feature store at ``path``: ``n`` tiles of a patient, all with the patient's label, 0 or 1."""

    path: Path
    n: int
    label: int
    patient_id: str


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Stores of training and of validation patients, each in a fixed order; vectors have ``feature_length`` values."""

    train: tuple[LabelledStore, ...]
    valid: tuple[LabelledStore, ...]
    feature_length: int
