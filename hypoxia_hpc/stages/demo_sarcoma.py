"""demo --study sarcoma: images of five soft tissue sarcomas in folders, with a key table and a follow-up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.config import RunConfig, preset
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.synthetic.sarcomas import (
    IMAGE_PX,
    LEAST_PATIENTS,
    SarcomaPatient,
    sarcoma_cohort,
    write_sarcoma_image,
)
from hypoxia_hpc.workers.demo_cohorts import RANDOM, TRAINED, TRAINED_NETWORK, refuse_other_content, write_slides

PATIENTS = 90

# What the demo changes of the preset, and why: small images of few patients, so a smaller network and smaller batches;
# heads on frozen features alone, since fine-tuning wants a GPU; more passes for attention, which sees 45 bags. Survival
# goes by the predicted class: there are some 40 events, and 4 columns.
DEMO_CHANGES: Json = {
    "source": {"kind": "folders"},
    "tile": {"tile_px": IMAGE_PX},
    "extract": {"name": TRAINED_NETWORK, "backbone": TRAINED_NETWORK, "batch_size": 16},
    "train": {
        "heads": ["tanh", "logistic", "attention"],
        "tanh": {"batch_size": 64},
        "attention": {"units": 256, "attention_units": 64, "dropout": 0.5, "epochs": 60, "patience": 60},
    },
    "survival": {"of": "predictions", "model": "logistic", "events_per_column": 5.0},
}


@dataclass(frozen=True, slots=True)
class SarcomaCohort:
    """``key``: the table of images; ``follow_up``: patients with label, time, event and hospital."""

    images: Path
    key: Path
    follow_up: Path


def sarcoma_config(seed: int, *, trained: bool) -> RunConfig:
    """The run.toml of the demo; ``seed`` is that of the training and the random weights. ``trained``: with trained
    weights; the network is the same without."""
    changes = {
        **DEMO_CHANGES,
        "extract": {**DEMO_CHANGES["extract"], **(TRAINED if trained else RANDOM), "seed": seed},
        "train": {**DEMO_CHANGES["train"], "seed": seed},
    }
    return preset("sarcoma", changes)


def write_sarcoma_cohort(
    folder: Path,
    *,
    n_patients: int,
    seed: int,
    trained: bool,
    workers: int,
    progress: Progress,
    stop: threading.Event,
) -> SarcomaCohort:
    """Write ``folder/images``, ``folder/key.csv`` and ``folder/follow_up.csv``; images that are there already stay.

    Raises:
        InputError: too few patients for every set to have every class; the folder holds something else.
        MachineError: disk or permission.
        Stopped: on request.
    """
    if n_patients < LEAST_PATIENTS:
        raise InputError(
            f"--patients {n_patients}: of fewer than {LEAST_PATIENTS} patients no set has all five classes",
            remedy=f"give {LEAST_PATIENTS} or more, or leave it out",
        )
    weights = {"weights": TRAINED_NETWORK} if trained else {}
    refuse_other_content(folder, {"study": "sarcoma", "patients": n_patients, "seed": seed, **weights})
    cohort = SarcomaCohort(folder / "images", folder / "key.csv", folder / "follow_up.csv")
    patients = sarcoma_cohort(n_patients, seed)
    write_slides(_image_jobs(cohort.images, patients), workers, progress, stop, noun="image")
    committed_file(cohort.key, csv_text(_key_table(patients)).encode())
    committed_file(cohort.follow_up, csv_text(_follow_up(patients)).encode())
    return cohort


def _image_jobs(folder: Path, patients: Sequence[SarcomaPatient]) -> dict[Path, Callable[[Path], None]]:
    return {
        folder / image: partial(write_sarcoma_image, patient=patient, number=number)
        for patient in patients
        for number, image in enumerate(patient.images)
    }


def _key_table(patients: Sequence[SarcomaPatient]) -> pd.DataFrame:
    rows = [
        (one.patient_id, image, one.label, one.set_name, one.set_name == "VALID")
        for one in patients
        for image in one.images
    ]
    return pd.DataFrame(rows, columns=["patient_ID", "Path", "Label", "training_set", "is_valid"])


def _follow_up(patients: Sequence[SarcomaPatient]) -> pd.DataFrame:
    rows = [(one.patient_id, one.label, one.months, one.event, one.hospital) for one in patients]
    return pd.DataFrame(rows, columns=["patient_id", "label", "time", "event", "hospital"])
