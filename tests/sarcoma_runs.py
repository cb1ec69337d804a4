"""The sarcoma study made tiny: each image is one tile of 32 px, for a network of random weights."""

from __future__ import annotations

import threading
from pathlib import Path

from fault_runs import change_setting

from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.stages.demo_sarcoma import SarcomaCohort, write_sarcoma_cohort
from hypoxia_hpc.synthetic.sarcomas import LEAST_PATIENTS

SETTINGS = (
    ("tile", "tile_px", "32"),
    ("tile", "large_images", '"resize"'),
    ("extract", "name", '"small"'),
    ("extract", "backbone", '"vgg16"'),
    ("extract", "weights", '"random"'),
    ("extract", "batch_size", "16"),
    ("train", "heads", '["logistic"]'),
    ("evaluate", "bootstrap", "100"),
    ("survival", "of", '"predictions"'),
    ("survival", "bootstrap", "20"),
    ("survival", "folds", "2"),
    ("site", "workers", "1"),
)


def write_cohort(folder: Path) -> SarcomaCohort:
    """As few patients as there can be."""
    return write_sarcoma_cohort(
        folder,
        n_patients=LEAST_PATIENTS,
        seed=1,
        trained=False,
        workers=2,
        progress=NoProgress(),
        stop=threading.Event(),
    )


def sources(cohort: SarcomaCohort) -> tuple[str | Path, ...]:
    """What ``init`` makes a run of."""
    return "--images", cohort.images, "--images-table", cohort.key, "--patients", cohort.follow_up


def make_tiny(run: Path, *settings: tuple[str, str, str]) -> None:
    """Of a run that ``init --study sarcoma`` made."""
    for table, entry, value in (*SETTINGS, *settings):
        change_setting(run, table, entry, value)
