"""What one model is fitted to: the stores of the training and validation patients of a fold, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hypoxia_hpc import __version__
from hypoxia_hpc.config import Table
from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.networks.data.rows import LabelledStore, TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.registry import train_head
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.networks.heads.saved import ModelRecord
from hypoxia_hpc.networks.inference.feeding import compute_record
from hypoxia_hpc.networks.runtime import threads_per_operation
from hypoxia_hpc.records import Json, Label
from hypoxia_hpc.runs.cohort import FITTED, Cohort, Planned, damaged_in_run
from hypoxia_hpc.runs.keys import stated_outcome, tile_spec
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.stores.features import FeatureRows


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training: of which model, with which settings, on which slides; it writes down where it is on ``stop``.

    ``train`` and ``valid`` are the slides of these sets, ``data`` their feature stores in the same order.
    """

    cohort: Cohort
    model: Planned
    table: Table
    train: tuple[SlideState, ...]
    valid: tuple[SlideState, ...]
    data: TrainingData
    stop: threading.Event

    @property
    def seed(self) -> int:
        return self.cohort.config.train.seed

    @property
    def checkpoints(self) -> Checkpoints:
        folder = self.cohort.run.checkpoint(self.model.name)
        return Checkpoints(folder, self.model.key, self.cohort.config.site.checkpoint_minutes)


Trainer = Callable[[TrainingJob, OnEpoch], TrainedHead]


def fit_head(job: TrainingJob, on_epoch: OnEpoch) -> TrainedHead:
    """Train a top model on features. Raises what ``train_head`` raises."""
    return train_head(
        job.table,
        job.data,
        seed=job.seed,
        checkpoints=job.checkpoints,
        on_epoch=on_epoch,
        stop=job.stop,
    )


def n_epochs(table: Table) -> int:
    """How often ``on_epoch`` is called, unless a training ends early."""
    return sum(value for name, value in table if name.endswith("epochs")) or 1


def model_record(job: TrainingJob, trained: TrainedHead, search: Json | None = None) -> ModelRecord:
    """What model.json says of a model that was trained now."""
    return ModelRecord(
        head=job.model.head,
        fold=job.model.fold,
        key=job.model.key,
        settings=job.table.model_dump(mode="json"),
        seed=job.seed,
        feature_length=job.data.feature_length,
        tile_spec=tile_spec(job.cohort.config.tile),
        extract_spec=job.cohort.spec,
        sets=set_counts(job.data),
        history={name: list(values) for name, values in trained.history.items()},
        search=search,
        outcome=stated_outcome(job.cohort.config.outcome),
        compute={**compute_record(), "threads": threads_per_operation()},
        software={"hypoxia_hpc": __version__, "numpy": np.__version__, "pandas": pd.__version__},
    )


def training_data(cohort: Cohort, sets: Mapping[str, str], fold: int) -> TrainingData:
    """The feature stores of a fold's training and validation patients, opened to learn their lengths.

    Raises NotReadyError naming every damaged store, InputError where the training patients lack a class, or whatever
    else the outcome needs.
    """
    train, valid = (cohort.of_set(sets, name) for name in FITTED)
    where = f" of fold {fold}" if cohort.config.train.folds > 1 else ""
    labels = {state.slide.patient_id: cohort.label(state.slide) for state in train}
    remedy = "add patients with the labels that are missing"
    require_trainable_patients(cohort, labels, f"the training patients{where} with features", remedy)
    readers = _opened(cohort, (*train, *valid))
    stores = [
        LabelledStore(reader.path, reader.n, cohort.label(state.slide), state.slide.patient_id)
        for state, reader in zip((*train, *valid), readers, strict=True)
    ]
    return TrainingData(
        tuple(stores[: len(train)]), tuple(stores[len(train) :]), readers[0].feature_length, cohort.outcome
    )


def set_counts(data: TrainingData) -> dict[str, dict[str, int]]:
    """Patients, slides and tiles of the training and the validation set."""
    return {
        name: {
            "patients": len({store.patient_id for store in stores}),
            "slides": len(stores),
            "tiles": sum(store.n for store in stores),
        }
        for name, stores in zip(FITTED, (data.train, data.valid), strict=True)
    }


def _opened(cohort: Cohort, states: Sequence[SlideState]) -> list[FeatureRows]:
    readers, damaged = [], []
    for state in states:
        slide_id = state.slide.slide_id
        try:
            readers.append(FeatureRows(cohort.run.features(cohort.config.extract.name, slide_id)))
        except SlideError as error:
            damaged.append(error.problem)
    if damaged:
        raise damaged_in_run(cohort.run, "feature", damaged)
    return readers


def require_trainable_patients(cohort: Cohort, labels: Mapping[str, Label], who: str, remedy: str) -> None:
    """Raises InputError where no model can be trained on, or chosen by, these patients: one class only, say.
    ``labels``: by patient id; ``who`` they are, and what helps beside mending the quarantined slides, in words."""
    why_not = cohort.outcome.untrainable([labels[patient_id] for patient_id in sorted(labels)])
    if why_not:
        raise InputError(
            f"{who} {why_not}",
            offending=[f"{state.slide.slide_id} is quarantined" for state in cohort.quarantined],
            remedy=f"mend the quarantined slides, or {remedy}" if cohort.quarantined else remedy,
        )
