"""demo --study mgmt: folders of synthetic MRI with a planted difference; the rest is the ordinary path."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.config import STUDIES, RunConfig, preset
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.synthetic.mri import DEFAULT_DIFFERENCE, mri_cohort, write_brain
from hypoxia_hpc.workers.demo_cohorts import RANDOM, TRAINED, TRAINED_NETWORK, refuse_other_content, write_folders

PATIENTS = 60

# What the demo changes of the preset, and why: a smaller network, which two cores can afford; one split instead of five
# folds, with 40 % of the patients for test, so that the intervals are not all of 0..1; attention with few images of a
# patient at a time, as in the demo of hypoxia; and the figure of a split over images, which is what this study is known
# for.
DEMO_CHANGES: Json = {
    "extract": {"name": TRAINED_NETWORK, "backbone": TRAINED_NETWORK, "batch_size": 16},
    "train": {
        "folds": 1,
        "split": [0.4, 0.2, 0.4],
        "relu": {"epochs": 20},
        "attention": {
            "units": 256,
            "attention_units": 64,
            "dropout": 0.5,
            "epochs": 100,
            "bag_tiles": 8,
            "patience": 100,
        },
    },
    "evaluate": {"image_split": True},
}


def mgmt_config(seed: int, *, trained: bool) -> RunConfig:
    """The run.toml of the demo; ``seed`` is that of the split, the training and the random weights. ``trained``: with
    trained weights; the network is the same without."""
    changes = {
        **DEMO_CHANGES,
        "extract": {**DEMO_CHANGES["extract"], **(TRAINED if trained else RANDOM), "seed": seed},
        "train": {**DEMO_CHANGES["train"], "seed": seed},
    }
    return preset("mgmt", changes)


def write_mgmt_cohort(
    folder: Path,
    *,
    n_patients: int,
    difference: float | None,
    seed: int,
    trained: bool,
    workers: int,
    progress: Progress,
    stop: threading.Event,
) -> tuple[Path, Path]:
    """Write ``folder/images`` and the table of labels and return them; patients that are there already stay.

    Raises:
        InputError: the folder holds something else.
        MachineError: disk or permission.
        Stopped: on request.
    """
    difference = DEFAULT_DIFFERENCE if difference is None else difference
    weights = {"weights": TRAINED_NETWORK} if trained else {}
    made_from = {"study": "mgmt", "patients": n_patients, "difference": difference, "seed": seed, **weights}
    refuse_other_content(folder, made_from)
    images, table = folder / "images", folder / "labels.csv"
    brains = mri_cohort(n_patients, difference, seed)
    jobs = {images / brain.patient_id: partial(write_brain, brain=brain) for brain in brains}
    write_folders(jobs, workers, progress, stop)
    rows = [(brain.patient_id, int(brain.methylated)) for brain in brains]
    columns = [STUDIES["mgmt"].patient_column, STUDIES["mgmt"].label_column]
    committed_file(table, csv_text(pd.DataFrame(rows, columns=columns)).encode())
    return images, table
