"""demo: a synthetic cohort as real slide files, and one real slide to predict; the rest is the ordinary path."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.tables import patients_csv
from hypoxia_hpc.config import RunConfig, preset
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.synthetic.slides import (
    DEFAULT_DIFFERENCE,
    slide_file_name,
    synthetic_cohort,
    write_synthetic_slide,
)
from hypoxia_hpc.workers.demo_cohorts import (
    RANDOM,
    TRAINED,
    TRAINED_NETWORK,
    refuse_other_content,
    write_slides,
)

PATIENTS = 60
REAL_SLIDE = Path(__file__).parent.parent / "slides" / "CMU-1-Small-Region.svs"

# What the demo changes of the hypoxia preset, and why: few tiles a slide and few patients want small batches (500 tiles
# of the study are more than all training tiles here); 40 % of the patients for test, so that the interval is not all of
# 0..1, and 20 % for validation. Of 24 bags attention learns more from a few tiles at a time, other ones in each of many
# epochs (mean AUC of six splits with random weights: 0.91, with the defaults 0.78), and 12 validation patients are too
# few to stop by.
DEMO_CHANGES: Json = {
    "extract": {"batch_size": 16},
    "train": {
        "split": [0.4, 0.2, 0.4],
        "tanh": {"batch_size": 64},
        "funnel": {"batch_size": 64},
        "attention": {
            "units": 256,
            "attention_units": 64,
            "dropout": 0.5,
            "epochs": 150,
            "bag_tiles": 4,
            "patience": 150,
        },
        "deep_kmeans": {"clusters": 5, "code": 8, "batch_size": 64},
    },
}


def demo_config(seed: int, *, trained: bool) -> RunConfig:
    """The run.toml of the demo; ``seed`` is that of the split, the training and the random weights. ``trained``: with
    trained weights, of a smaller network."""
    changes = {
        "extract": {**DEMO_CHANGES["extract"], **(TRAINED if trained else RANDOM), "seed": seed},
        "train": {**DEMO_CHANGES["train"], "seed": seed},
    }
    return preset("hypoxia", changes)


def write_demo_cohort(
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
    """Write ``folder/slides`` and ``folder/patients.csv`` and return them; slides that are there already stay.

    The real slide is among them, of a patient whom patients.csv does not know: it is predicted, not trained on.
    ``trained`` as in :func:`demo_config`: a folder keeps to one of the two.

    Raises:
        InputError: the folder holds something else.
        MachineError: disk or permission.
        Stopped: on request.
    """
    difference = DEFAULT_DIFFERENCE if difference is None else difference
    weights = {"weights": TRAINED_NETWORK} if trained else {}
    refuse_other_content(folder, {"patients": n_patients, "difference": difference, "seed": seed, **weights})
    slides, patients = folder / "slides", folder / "patients.csv"
    cohort = synthetic_cohort(n_patients, difference, seed)
    jobs = {slides / slide_file_name(name): partial(write_synthetic_slide, slide=slide) for name, _, slide in cohort}
    write_slides(jobs, workers, progress, stop)
    committed_file(slides / REAL_SLIDE.name, REAL_SLIDE.read_bytes())
    table = pd.DataFrame(
        {"patient_id": [name for name, _, _ in cohort], "label": [int(label) for _, label, _ in cohort]}
    )
    committed_file(patients, patients_csv(table).encode())
    return slides, patients
