"""demo --study sclc: slides that are mixtures of planted textures, and patients who live by two of them; a second
cohort for what is found in the first; and what was found against what was planted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.config import RunConfig, preset
from hypoxia_hpc.evaluation.recovery import Effect, Recovered, effects, recovered
from hypoxia_hpc.models.phenotypes import TILES_FILE
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.prognosis import read_survival
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.synthetic.mixtures import NO_TISSUE, SQUARE_PX, TEXTURES, Mosaic, mosaic_cohort, write_mosaic
from hypoxia_hpc.synthetic.slides import slide_file_name
from hypoxia_hpc.workers.demo_cohorts import RANDOM, TRAINED, TRAINED_NETWORK, refuse_other_content, write_slides

PATIENTS = 100
LEAST_PATIENTS = 40
# Ids of the patients of the first cohort, and of the second, which has half as many.
FIRST, OUTSIDE = "TCGA-ZY", "TCGA-ZX"

# What the demo changes of the preset, and why: as many clusters as there are textures; a smaller head and larger steps,
# as there are some thousand tiles instead of millions; one split instead of five folds, and a fifth of the patients for
# test; no attention, which is not what is shown.
DEMO_CHANGES: Json = {
    "extract": {"name": TRAINED_NETWORK, "backbone": TRAINED_NETWORK, "batch_size": 16},
    "train": {
        "folds": 1,
        "split": [0.7, 0.1, 0.2],
        "heads": ["linear"],
        "contrastive": {
            "clusters": len(TEXTURES),
            "units": 64,
            "epochs": 20,
            "learning_rate": 0.005,
            "batch_size": 128,
        },
    },
}


@dataclass(frozen=True, slots=True)
class DemoCohort:
    """Slides and patients.csv of a synthetic cohort, and what was planted in it."""

    slides: Path
    patients: Path
    mosaics: tuple[Mosaic, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found against what was planted. ``tiles``: by cohort; ``effects``: of textures on survival;
    ``log_rank``: p of the groups with higher and lower risk, by set of patients, None where there is none."""

    tiles: Mapping[str, Recovered]
    effects: Sequence[Effect]
    log_rank: Mapping[str, float | None]
    why_not: str


def sclc_config(seed: int, *, trained: bool) -> RunConfig:
    """The run.toml of the demo; ``seed`` is that of the split, the training and the random weights. ``trained``: with
    trained weights; the network is the same without."""
    changes = {
        "extract": {**DEMO_CHANGES["extract"], **(TRAINED if trained else RANDOM), "seed": seed},
        "train": {**DEMO_CHANGES["train"], "seed": seed},
    }
    return preset("sclc", changes)


def write_sclc_cohorts(
    folder: Path,
    *,
    n_patients: int,
    seed: int,
    trained: bool,
    workers: int,
    progress: Progress,
    stop: threading.Event,
) -> tuple[DemoCohort, DemoCohort]:
    """Write the slides and patients of the first cohort and of the outside one, half as large; what is there stays.

    Raises:
        InputError: the folder holds something else.
        MachineError: disk or permission.
        Stopped: on request.
    """
    weights = {"weights": TRAINED_NETWORK} if trained else {}
    refuse_other_content(folder, {"study": "sclc", "patients": n_patients, "seed": seed, **weights})
    first = _cohort(folder, mosaic_cohort(n_patients, seed, prefix=FIRST))
    outside = _cohort(folder / "outside", mosaic_cohort(n_patients // 2, seed, prefix=OUTSIDE))
    jobs = {
        one.slides / slide_file_name(mosaic.patient_id): partial(write_mosaic, mosaic=mosaic)
        for one in (first, outside)
        for mosaic in one.mosaics
    }
    write_slides(jobs, workers, progress, stop)
    for one in (first, outside):
        rows = [(mosaic.patient_id, mosaic.months, mosaic.event) for mosaic in one.mosaics]
        table = pd.DataFrame(rows, columns=["patient_id", "time", "event"])
        committed_file(one.patients, csv_text(table).encode())
    return first, outside


def _cohort(folder: Path, mosaics: Sequence[Mosaic]) -> DemoCohort:
    return DemoCohort(folder / "slides", folder / "patients.csv", tuple(mosaics))


def what_was_found(run: RunDir, outside: RunDir, first: DemoCohort, second: DemoCohort) -> Found:
    """Of two runs that are done: phenotypes and survival of both."""
    tiles = {"first cohort": tiles_found(run, first.mosaics), "outside cohort": tiles_found(outside, second.mosaics)}
    endpoint = _endpoint(run)
    texture_of = tiles["first cohort"].texture_of
    log_hazards = {one.name: one.log_hazard for one in TEXTURES}
    log_rank: dict[str, float | None] = {}
    for sets in (endpoint["sets"], _endpoint(outside)["sets"]):
        log_rank |= {name: one["log_rank"]["p"] for name, one in sets.items() if "log_rank" in one}
    return Found(tiles, effects(endpoint, texture_of, log_hazards), log_rank, str(endpoint["why"]))


def _endpoint(run: RunDir) -> Json:
    record = read_survival(run)
    if record is None:
        raise ValueError(f"{run.survival} is not there")
    endpoint: Json = record["endpoints"]["time"]
    return endpoint


def tiles_found(run: RunDir, mosaics: Sequence[Mosaic]) -> Recovered:
    """The clusters of tiles against the textures of their places."""
    tiles = planted_and_found(run, mosaics)
    n_clusters = max(int(tiles["cluster"].max()) + 1, len(TEXTURES))
    textures, clusters = (tiles[name].to_numpy(dtype=np.int64) for name in ("texture", "cluster"))
    return recovered(textures, clusters, tiles["slide_id"].tolist(), len(TEXTURES), n_clusters)


def planted_and_found(run: RunDir, mosaics: Sequence[Mosaic]) -> pd.DataFrame:
    """``slide_id``, ``texture`` (the number of what was planted at its place) and ``cluster`` of each tile; those whose
    place has no tissue are left out, as nothing is known of them."""
    tiles = pd.read_parquet(run.phenotypes / TILES_FILE)
    of_slide = {Path(slide_file_name(one.patient_id)).stem: one.textures for one in mosaics}
    columns = (tiles[name].to_numpy() // SQUARE_PX for name in ("y_l0", "x_l0"))
    squares = zip(tiles["slide_id"].astype(str), *columns, strict=True)
    tiles["texture"] = [of_slide[name][row, column] for name, row, column in squares]
    known: pd.DataFrame = tiles.loc[tiles["texture"] != NO_TISSUE, ["slide_id", "texture", "cluster"]]
    return known
