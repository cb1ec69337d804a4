"""What a split over images would have said, with tiles of one patient in training and test: beside the same by patient.

Published figures of such splits cannot be compared with those of this run. Pure.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.warnings import Warned
from hypoxia_hpc.records import Float64Array, Int64Array, Json

FOLDS = 5


def image_split(tiles: pd.DataFrame, features: Float64Array, measures: Measures) -> Json:
    """The headline metric of tiles that a simple model of their features (`Measures.of_values`) predicts in FOLDS
    folds, dealt over tiles (``by_image``) and over patients (``by_patient``); None where it is not defined.

    ``tiles``: patient_id and the label's columns, of labelled patients; ``features`` (n, d) in the same order.
    """
    rng = np.random.default_rng(measures.table.seed)
    return {
        "metric": measures.headline,
        "patients": int(tiles["patient_id"].nunique()),
        "tiles": len(tiles),
        "by_image": _measured(tiles, features, rng.permutation(len(tiles)) % FOLDS, measures),
        "by_patient": _measured(tiles, features, _dealt_by_patient(tiles, measures, rng), measures),
    }


def image_split_warning(found: Json, measures: Measures) -> list[Warned]:
    """What `image_split` found, as what it is."""
    by_image, by_patient = (_shown(found[name]) for name in ("by_image", "by_patient"))
    return [
        Warned(
            "image-split",
            f"Asked for by [evaluate] image_split, and no result of this run: in a split over images, where the same "
            f"patients are in training and test, {found['tiles']:,} tiles of {found['patients']:,} patients give a "
            f"{measures.headline_words} of {by_image}; the same tiles split by patient give {by_patient}. The first "
            "figure says nothing of a new patient.",
        )
    ]


def _dealt_by_patient(tiles: pd.DataFrame, measures: Measures, rng: np.random.Generator) -> Int64Array:
    """The fold of each tile, all tiles of a patient in one; patients of like labels are spread over the folds."""
    patients = tiles.drop_duplicates("patient_id")
    label = patients[next(iter(measures.outcome.label_types))].to_numpy(dtype=np.float64)
    order = np.lexsort((rng.permutation(len(patients)), label))
    folds = pd.Series(np.arange(len(patients)) % FOLDS, index=patients["patient_id"].to_numpy()[order])
    return folds.loc[tiles["patient_id"]].to_numpy(dtype=np.int64)


def _measured(tiles: pd.DataFrame, features: Float64Array, folds: Int64Array, measures: Measures) -> float | None:
    said = np.zeros((len(tiles), len(measures.outcome.outputs)))
    for fold in np.unique(folds):
        own = folds == fold
        if own.all():
            return None
        said[own] = measures.of_values(tiles[~own], features[~own], features[own])
    outputs = measures.outcome.outputs
    rows = tiles.assign(**dict(zip(outputs, said.T, strict=True)))
    statistic = measures.statistic(rows, outputs, np.arange(len(rows)), len(rows))
    value = float(statistic(np.ones((len(rows), 1)))[0, 0])
    return None if np.isnan(value) else value


def _shown(value: float | None) -> str:
    return "no value" if value is None else f"{value:.2f}"
