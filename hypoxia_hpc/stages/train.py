"""train: features of training patients -> top models. Valid patients are watched; test patients are not looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hypoxia_hpc import __version__
from hypoxia_hpc.cohorts.splits import split_patients
from hypoxia_hpc.cohorts.tables import split_csv
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.checkpoints import Checkpoints
from hypoxia_hpc.networks.feeding import compute_record
from hypoxia_hpc.networks.frozen import ModelRecord, model_key, save_model
from hypoxia_hpc.networks.heads import HeadTable, train_head
from hypoxia_hpc.networks.loop import OnEpoch
from hypoxia_hpc.networks.rows import LabelledStore, TrainingData
from hypoxia_hpc.networks.runtime import threads_per_operation
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.scale.cohort import FITTED, Cohort, each_features, load_cohort, patients_with_slides
from hypoxia_hpc.scale.keys import tile_spec
from hypoxia_hpc.scale.listening import Listener
from hypoxia_hpc.scale.receipts import write_receipt
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.stores.integrity import store_attributes

STAGE = "train"


@dataclass(frozen=True, slots=True)
class Trained:
    """What train did: heads trained now and found done, and the patients without label, who were left out."""

    made: tuple[str, ...]
    found: tuple[str, ...]
    unlabelled: tuple[str, ...]


def train(run: RunDir, *, listener: Listener, stop: threading.Event) -> Trained:
    """Split the patients, write split.csv, train every head of [train] that is not done.

    Raises:
        NotReadyError: slides without features.
        InputError: a cohort that cannot be split, of which a set lost a class to quarantine, or in which one slide
            stands under two patients.
        Stopped: on request; the head under way goes on from its checkpoint next time.
    """
    cohort = load_cohort(run)
    refuse_shared_slides(cohort)
    split = cohort.split()
    committed_file(run.split_file, split_csv(split).encode())
    sets = dict(zip(split["patient_id"], split["set"], strict=True))
    unlabelled = tuple(sorted(name for name, set_name in sets.items() if set_name == "unlabelled"))
    if unlabelled:
        listener.note(f"without label, left out of training, still predicted: {', '.join(unlabelled)}")
    keys = cohort.model_keys(sets)
    todo = [head for head in keys if model_key(run.model(head)) != keys[head]]
    if todo:
        data = _load_sets(cohort, sets)
        for head in todo:
            listener.begin(f"{STAGE} {head}", *_epochs(cohort, head), "epochs")
            try:
                _train_one(cohort, head, keys[head], data, lambda _: listener.item(1), stop)
            finally:
                listener.end()
    return Trained(tuple(todo), tuple(head for head in keys if head not in todo), unlabelled)


def require_splittable(run: RunDir) -> None:
    """Raises InputError where no split of this run's patients can be made: to be known before the slides are read."""
    patients = patients_with_slides(run.slides(), run.patients())
    table = run.config().train
    split_patients(list(patients.values()), table.split, table.seed)


def refuse_shared_slides(cohort: Cohort) -> None:
    """Raises InputError where files of equal content stand under two patients, who could be in training and test."""
    owners: dict[str, set[str]] = {}
    for standing in cohort.done:
        attributes = store_attributes(cohort.run.tiles(standing.slide.slide_id)) or {}
        made_of = attributes.get("slide", {}).get("fingerprint")
        owners.setdefault(str(made_of), set()).add(f"{standing.slide.patient_id} ({standing.slide.slide_id})")
    shared = [
        " and ".join(sorted(names)) for names in owners.values() if len({name.split(" (")[0] for name in names}) > 1
    ]
    if shared:
        raise InputError(
            f"{len(shared)} slides stand in slides.csv under more than one patient (files of the same content)",
            culprits=sorted(shared),
            remedy="keep each slide under the patient it is of",
        )


@dataclass(frozen=True, slots=True)
class _Data:
    stores: TrainingData
    counts: Mapping[str, dict[str, int]]


def _load_sets(cohort: Cohort, sets: Mapping[str, str]) -> _Data:
    stores: dict[str, tuple[LabelledStore, ...]] = {}
    counts = {}
    length = 0
    for name in FITTED:
        standings = [standing for standing in cohort.done if sets[standing.slide.patient_id] == name]
        found = []
        for standing, features in each_features(cohort, standings):
            slide = standing.slide
            path = cohort.run.features(cohort.config.extract.name, slide.slide_id)
            found.append(LabelledStore(path, len(features.values), cohort.label(slide), slide.patient_id))
            length = features.values.shape[1]
        stores[name] = tuple(found)
        counts[name] = {
            "patients": len({one.slide.patient_id for one in standings}),
            "slides": len(standings),
            "tiles": sum(store.n for store in found),
        }
    _require_both_classes(cohort, stores["train"])
    return _Data(TrainingData(stores["train"], stores["valid"], length), counts)


def _require_both_classes(cohort: Cohort, stores: Sequence[LabelledStore]) -> None:
    present = {store.label for store in stores}
    if present != {0, 1}:
        raise InputError(
            f"the training patients have tiles of {len(present)} class(es), two are needed",
            culprits=[f"{one.slide.slide_id} is quarantined" for one in cohort.quarantined],
            remedy="mend the quarantined slides, or add patients of the class that is missing",
        )


def _epochs(cohort: Cohort, head: str) -> tuple[int, int]:
    epochs = getattr(getattr(cohort.config.train, head), "epochs", 1)
    return epochs, epochs


def _train_one(cohort: Cohort, head: str, key: str, data: _Data, on_epoch: OnEpoch, stop: threading.Event) -> None:
    table: HeadTable = getattr(cohort.config.train, head)
    started = time.perf_counter()
    seed = cohort.config.train.seed
    folder = cohort.run.root / "checkpoints" / head
    checkpoints = Checkpoints(folder, key, cohort.config.site.checkpoint_minutes)
    trained = train_head(table, data.stores, seed=seed, checkpoints=checkpoints, on_epoch=on_epoch, stop=stop)
    record = ModelRecord(
        head=head,
        key=key,
        settings=table.model_dump(mode="json"),
        seed=seed,
        feature_length=data.stores.feature_length,
        tile_spec=tile_spec(cohort.config.tile),
        extract_spec=cohort.spec,
        sets=dict(data.counts),
        history={name: list(values) for name, values in trained.history.items()},
        compute={**compute_record(), "threads": threads_per_operation()},
        software={"hypoxia_hpc": __version__, "numpy": np.__version__, "pandas": pd.__version__},
    )
    save_model(cohort.run.model(head), record, trained.arrays)
    checkpoints.clear()
    n_tiles = sum(counts["tiles"] for counts in data.counts.values())
    seconds = time.perf_counter() - started
    write_receipt(cohort.run.receipts(STAGE), Receipt(head, "done", key, rows=n_tiles, seconds=seconds))
