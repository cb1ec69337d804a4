"""Some tiles of every labelled patient, with their features."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype

from hypoxia_hpc.analysis.colours import evenly_spaced
from hypoxia_hpc.models.predictions import label_columns
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.runs.cohort import Cohort, by_patient, each_features, listened

MOST_TILES, MOST_SLIDES = 4000, 2000


def tile_sample(
    cohort: Cohort, *, stage: str, progress: Progress, stop: threading.Event
) -> tuple[pd.DataFrame, Float64Array]:
    """At most MOST_TILES tiles of labelled patients, evenly spaced over their slides (at most MOST_SLIDES of them, two
    tiles of each or more): patient_id and the label's columns, and their features (n, d). No rows without labels.
    Raises NotReadyError for damaged stores, Stopped."""
    labels = label_columns(cohort.patients, cohort.outcome)
    known = next(iter(labels.values()))
    states = by_patient([state for state in cohort.done if state.slide.patient_id in known])
    states = [states[place] for place in evenly_spaced(len(states), MOST_SLIDES)]
    names: list[str] = []
    features: list[Float64Array] = []
    progress.begin(stage, len(states), len(states), "slide")
    try:
        for state, found in listened(each_features(cohort, states), progress, stop):
            places = evenly_spaced(len(found.xy), MOST_TILES // len(states))
            names += [state.slide.patient_id] * len(places)
            features.append(np.asarray(found.values[places], dtype=np.float64))
    finally:
        progress.end()
    tiles = pd.DataFrame({"patient_id": names}, dtype=object)
    for column, of_patients in labels.items():
        dtype = pandas_dtype(cohort.outcome.label_types[column])
        tiles[column] = tiles["patient_id"].map(of_patients).astype(dtype)
    return tiles, np.concatenate(features) if features else np.zeros((0, 0))
