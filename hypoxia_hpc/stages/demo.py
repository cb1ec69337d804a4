"""demo: a synthetic cohort as real slide files, and one real slide to predict; the rest is the ordinary path."""

from __future__ import annotations

import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.tables import patients_csv
from hypoxia_hpc.config import RunConfig, canonical_json, preset
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Json
from hypoxia_hpc.scale.listening import Listener
from hypoxia_hpc.slides.synthetic import (
    DEFAULT_DIFFERENCE,
    SyntheticSlide,
    slide_file_name,
    synthetic_cohort,
    write_synthetic_slide,
)
from hypoxia_hpc.stores.commit import committed_file, committing_directory

STAGE = "demo slides"
REAL_SLIDE = Path(__file__).parent.parent / "slides" / "CMU-1-Small-Region.svs"

# What the demo changes of the hypoxia preset, and why: no weights can be had offline; few tiles a slide and few
# patients want small batches (500 tiles of the study are more than all training tiles here); half the patients for test
# and validation, so that the interval is not all of 0..1.
DEMO_CHANGES: Json = {
    "extract": {"weights": "random", "batch_size": 16},
    "train": {
        "split": [0.4, 0.2, 0.4],
        "tanh": {"batch_size": 64},
        "funnel": {"batch_size": 64},
    },
}


def demo_config(seed: int) -> RunConfig:
    """The run.toml of the demo; ``seed`` is that of the split, the training and the random weights."""
    changes = {
        "extract": {**DEMO_CHANGES["extract"], "seed": seed},
        "train": {**DEMO_CHANGES["train"], "seed": seed},
    }
    return preset("hypoxia", changes)


def write_demo_cohort(
    folder: Path, *, n_patients: int, difference: float | None, seed: int, workers: int, listener: Listener
) -> tuple[Path, Path]:
    """Write ``folder/slides`` and ``folder/patients.csv`` and return them; slides that are there already stay.

    The real slide is among them, of a patient whom patients.csv does not know: it is predicted, not trained on.
    """
    slides = folder / "slides"
    difference = DEFAULT_DIFFERENCE if difference is None else difference
    made_from = {"patients": n_patients, "difference": difference, "seed": seed}
    _refuse_other_cohort(folder / "demo.json", made_from)
    cohort = synthetic_cohort(n_patients, difference, seed)
    listener.begin(STAGE, n_patients, n_patients, "slides")
    try:
        if not slides.is_dir():
            with committing_directory(slides, lambda _: True) as made:
                _write_slides(made, cohort, workers, listener)
                shutil.copyfile(REAL_SLIDE, made / REAL_SLIDE.name)
    finally:
        listener.end()
    patients = folder / "patients.csv"
    table = pd.DataFrame(
        {"patient_id": [name for name, _, _ in cohort], "label": [int(label) for _, label, _ in cohort]}
    )
    committed_file(patients, patients_csv(table).encode())
    return slides, patients


def _refuse_other_cohort(file: Path, made_from: Json) -> None:
    """Slides that are there already stay only if they were made from the same numbers."""
    text = canonical_json(made_from).encode()
    if file.exists() and file.read_bytes() != text:
        raise InputError(
            f"{file.parent} holds a demo cohort made from {file.read_text(encoding='utf-8', errors='replace')}, "
            f"asked for is {text.decode()}",
            remedy="give another folder: hypoxia-hpc demo DIR",
        )
    committed_file(file, text)


def _write_slides(
    folder: Path, cohort: list[tuple[str, bool, SyntheticSlide]], workers: int, listener: Listener
) -> None:
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(write_synthetic_slide, folder / slide_file_name(patient_id), slide)
            for patient_id, _, slide in cohort
        ]
        for job in jobs:
            job.result()
            listener.item(1)
