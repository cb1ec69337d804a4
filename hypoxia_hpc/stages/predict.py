"""predict: the frozen models of another run on this run's features. No labels needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.models.clusterings import ClusterTables, ClusterTally, saved_clusterings
from hypoxia_hpc.models.comparable import Runs, refuse_other_features, regions_note
from hypoxia_hpc.models.finetuned import make_probabilities
from hypoxia_hpc.models.outputs import saved_models
from hypoxia_hpc.models.predictions import (
    Predictions,
    pooling_note,
    pooling_of,
    predict_cohort,
    saved_members,
    write_predictions,
)
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import ModelsUsed
from hypoxia_hpc.runs.cohort import Cohort, by_patient, each_features, listened, load_cohort, model_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import tile_spec
from hypoxia_hpc.runs.receipts import timed_receipt
from hypoxia_hpc.runs.state import run_spec

STAGE = "predict"
SET = "predict"


@dataclass(frozen=True, slots=True)
class Predicted:
    """predictions/patients.csv as a frame, the threshold of the run that the models come from, and what makes the
    predictions less comparable with its own, else empty."""

    patients: pd.DataFrame
    threshold: float
    note: str = ""


def refuse_other_run(run: RunDir, model_run: RunDir) -> str:
    """What is to be said before slides are tiled, as ``Predicted.note``; reads no slide.

    Raises InputError where this run has models of its own, or its features are, or would be, made otherwise than in
    training.
    """
    if run.metrics_file.exists() or run.model("").is_dir():
        raise InputError(
            f"{run.root} has models or metrics of its own; predictions of others would be taken for theirs",
            remedy=f"hypoxia-hpc predict NEW --slides DIR --model {model_run.word}",
        )
    config = run.config()
    of_tiles, models = tile_spec(config.tile), saved_models(model_run)
    refuse_other_features(of_tiles, run_spec(config), models, Runs(run.word, model_run.word))
    return regions_note(of_tiles, models, run.word)


def predict(run: RunDir, model_run: RunDir, *, progress: Progress, stop: threading.Event) -> Predicted:
    """Predict every patient of ``run``; write predictions/.

    Raises:
        InputError: tiles or features are made otherwise than those the models were trained on.
        NotReadyError: slides without features, models missing or damaged.
        Stopped: on request.
    """
    models = saved_models(model_run)
    cohort = load_cohort(run)
    of_tiles = tile_spec(cohort.config.tile)
    refuse_other_features(of_tiles, cohort.spec, models, Runs(run.word, model_run.word))
    note = regions_note(of_tiles, models, run.word)
    if not cohort.done:
        raise NotReadyError(
            f"none of {len(cohort.states)} slides has features, all are quarantined",
            remedy=f"hypoxia-hpc status {run.word}",
        )
    names = model_names(model_run.config().train)
    keys = {name: models[head][fold].record.key for name, head, fold in names if head in models}
    used = ModelsUsed(model_run.root.absolute().name, keys, note)
    make_probabilities(run, model_run, [state.slide for state in cohort.done], progress=progress, stop=stop)
    with timed_receipt(run.receipts(STAGE), next(iter(keys.values())), used):
        predictions, clusters = _predict(cohort, model_run, progress, stop)
        write_predictions(run.predictions, predictions, clusters)
    return Predicted(predictions.patients, model_run.config().evaluate.threshold, note)


def _predict(
    cohort: Cohort, model_run: RunDir, progress: Progress, stop: threading.Event
) -> tuple[Predictions, ClusterTables | None]:
    config = model_run.config()
    n_folds, pooling = config.train.n_folds, pooling_of(config.evaluate)
    if n_folds > 1:
        progress.note(
            f"{model_run.root} is cross-validated: each model's prediction is the mean over its {n_folds} folds"
        )
    sets = [dict.fromkeys(cohort.patients, SET)] * n_folds
    members = saved_members(cohort.run, model_run, sets)
    tally = ClusterTally(saved_clusterings(model_run, sets))
    states = by_patient(cohort.done)
    progress.begin(STAGE, len(states), len(states), "slide")
    try:
        features = tally.passing(listened(each_features(cohort, states), progress, stop))
        predictions = predict_cohort(members, states, features, cohort.patients, model_run.outcome(), pooling)
    finally:
        progress.end()
    if note := pooling_note(pooling, predictions):
        progress.note(note)
    return predictions, tally.tables()
