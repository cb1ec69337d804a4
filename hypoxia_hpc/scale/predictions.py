"""Predictions of tiles, slides and patients: made from frozen models and features, and committed as one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.networks.frozen import FrozenModel
from hypoxia_hpc.networks.heads import predictor
from hypoxia_hpc.records import Features, Patient
from hypoxia_hpc.scale.standing import Standing
from hypoxia_hpc.stores.commit import committing_directory, machine_errors
from hypoxia_hpc.stores.layout import content_digest

COLUMNS = ["model", "fold", "set", "id", "label", "probability", "n_tiles"]
PATIENTS_FILE, SLIDES_FILE, TILES_FILE = "patients.csv", "slides.csv", "tiles.parquet"


@dataclass(frozen=True, slots=True)
class Predictions:
    """Three tables of the same models. ``tiles``: model, fold, set, slide_id, patient_id, x_l0, y_l0, label,
    probability; ``slides`` and ``patients``: `COLUMNS` and patient_id. Labels are Int64, <NA> where nobody knows."""

    tiles: pd.DataFrame
    slides: pd.DataFrame
    patients: pd.DataFrame


def predict_tiles(
    models: Mapping[str, FrozenModel], features: Iterable[tuple[Standing, Features]]
) -> dict[str, pd.DataFrame]:
    """slide_id, patient_id, x_l0, y_l0, probability of every tile, by model."""
    predictors = {
        name: predictor(model.table, model.arrays, model.record.feature_length) for name, model in models.items()
    }
    places, probabilities = [], {name: [np.empty(0)] for name in models}
    for standing, found in features:
        places.append((standing.slide, found.xy))
        for name, predict in predictors.items():
            probabilities[name].append(predict(found.values.astype(np.float32)))
    n_tiles = [len(xy) for _, xy in places]
    frame = pd.DataFrame(
        {
            "slide_id": _repeated([slide.slide_id for slide, _ in places], n_tiles),
            "patient_id": _repeated([slide.patient_id for slide, _ in places], n_tiles),
            "x_l0": np.concatenate([xy[:, 0] for _, xy in places] or [np.empty(0, dtype=np.int64)]),
            "y_l0": np.concatenate([xy[:, 1] for _, xy in places] or [np.empty(0, dtype=np.int64)]),
        }
    )
    return {name: frame.assign(probability=np.concatenate(parts)) for name, parts in probabilities.items()}


def _repeated(names: Sequence[str], times: Sequence[int]) -> pd.Categorical:
    # As categories: 26 million tiles with a string each would take gigabytes.
    unique = pd.Categorical(list(names))
    return unique.take(np.repeat(np.arange(len(names)), times))


def gather(
    tiles_by_model: Mapping[str, pd.DataFrame], patients: Mapping[str, Patient], sets: Mapping[str, str]
) -> Predictions:
    """Pool tiles to slides and patients, and say for each its set and label."""
    labels = {patient_id: patient.label for patient_id, patient in patients.items()}

    def told(name: str, frame: pd.DataFrame) -> pd.DataFrame:
        patient_ids = frame["patient_id"].astype(object)
        return frame.assign(
            model=name,
            fold=0,
            set=patient_ids.map(sets),
            label=patient_ids.map(labels).astype("Int64"),
        )

    tiles = [told(name, frame) for name, frame in tiles_by_model.items()]
    slides = [told(name, pool_tiles(frame, "slide")) for name, frame in tiles_by_model.items()]
    pooled = [told(name, pool_tiles(frame, "patient")) for name, frame in tiles_by_model.items()]
    tile_columns = ["model", "fold", "set", "slide_id", "patient_id", "x_l0", "y_l0", "label", "probability"]
    return Predictions(
        pd.concat(tiles, ignore_index=True)[tile_columns],
        pd.concat(slides, ignore_index=True)[[*COLUMNS, "patient_id"]],
        pd.concat(pooled, ignore_index=True)[[*COLUMNS, "patient_id"]],
    )


def write_predictions(folder: Path, predictions: Predictions) -> str:
    """Commit patients.csv, slides.csv and tiles.parquet as one folder; equal predictions give equal bytes.

    Returns their :func:`predictions_digest`.
    """
    with committing_directory(folder, lambda _: False) as made:
        (made / SLIDES_FILE).write_text(csv_text(predictions.slides[COLUMNS]), encoding="utf-8")
        (made / PATIENTS_FILE).write_text(csv_text(predictions.patients[COLUMNS]), encoding="utf-8")
        predictions.tiles.to_parquet(made / TILES_FILE, index=False, compression="zstd")
        return _digest(made)


def predictions_digest(folder: Path) -> str | None:
    """What tells these predictions from others: SHA-256 (hex) over the two tables made of those of the tiles, None
    where a file is missing. Raises MachineError.

    metrics.json names it, for it is another file: whatever comes between the two (a kill, ``predict``) must not pair it
    with predictions of something else. The Parquet file stays out: its bytes depend on the version of its writer.
    """
    with machine_errors(folder):
        try:
            return _digest(folder) if (folder / TILES_FILE).is_file() else None
        except FileNotFoundError:
            return None


def _digest(folder: Path) -> str:
    names = (PATIENTS_FILE, SLIDES_FILE)
    return content_digest({name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names})
