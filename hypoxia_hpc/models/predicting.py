"""All features of a cohort, read once, on their way to the models of a run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from hypoxia_hpc.models.clusterings import ClusterTables, ClusterTally, saved_clusterings
from hypoxia_hpc.models.finetuned import make_probabilities
from hypoxia_hpc.models.patient_means import PatientMeans
from hypoxia_hpc.models.predictions import Predictions, pooling_note, pooling_of, predict_cohort, saved_members
from hypoxia_hpc.models.series import series_of_run
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.runs.cohort import Cohort, FoldSets, by_patient, each_features, listened
from hypoxia_hpc.runs.directory import RunDir


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the models say, the clusters of tiles, and the mean features of each patient, float64 (d,)."""

    predictions: Predictions
    clusters: ClusterTables | None
    means: Mapping[str, Float64Array]


def predict_features(
    cohort: Cohort, model_run: RunDir, folds: FoldSets, *, stage: str, progress: Progress, stop: threading.Event
) -> Predicted:
    """The features of a cohort through the models of a run, pooled as that run says. ``folds``: the set of every
    patient in each of its folds. Raises NotReadyError where models or stores are missing or damaged, Stopped."""
    config = model_run.config()
    make_probabilities(cohort.run, model_run, [state.slide for state in cohort.done], progress=progress, stop=stop)
    members, pooling = saved_members(cohort.run, model_run, folds), pooling_of(config.evaluate)
    tally, means = ClusterTally(saved_clusterings(cohort.run, model_run, folds)), PatientMeans()
    states = by_patient(cohort.done)
    series_of = series_of_run(cohort.run, [state.slide for state in states])
    progress.begin(stage, len(states), len(states), "slide")
    try:
        features = means.passing(tally.passing(listened(each_features(cohort, states), progress, stop)))
        predictions = predict_cohort(
            members, states, features, cohort.patients, model_run.outcome(), pooling, series_of
        )
    finally:
        progress.end()
    if note := pooling_note(pooling, predictions):
        progress.note(note)
    return Predicted(predictions, tally.tables(), means.means())
