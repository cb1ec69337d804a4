"""evaluate: frozen models and features -> predictions and metrics with intervals over patients."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.metrics import binary_metrics, tumour_type_baseline
from hypoxia_hpc.config import EvaluateTable, RunConfig
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models.clusterings import ClusterTables, ClusterTally, saved_clusterings
from hypoxia_hpc.models.finetuned import make_probabilities
from hypoxia_hpc.models.predictions import (
    Predictions,
    over_repeats,
    pooling_note,
    pooling_of,
    predict_cohort,
    predictions_digest,
    saved_members,
    write_predictions,
)
from hypoxia_hpc.networks.heads.saved import model_key
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Float64Array, Json, Patient
from hypoxia_hpc.runs.cohort import Cohort, FoldSets, by_patient, each_features, listened, load_cohort
from hypoxia_hpc.runs.directory import RunDir, metrics_content
from hypoxia_hpc.runs.receipts import timed_receipt
from hypoxia_hpc.stores.commit import committed_file

STAGE = "evaluate"
BASELINE = "tumour-type"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The content of metrics.json, and whether it was made now."""

    metrics: Json
    fresh: bool


def evaluate(run: RunDir, *, progress: Progress, stop: threading.Event) -> Evaluated:
    """Predict every tile with every model, pool, measure; write predictions/ and metrics.json.

    Raises:
        NotReadyError: slides without features, models not trained on the present cohort, damaged stores.
        Stopped: on request.
    """
    cohort = load_cohort(run)
    folds = cohort.fold_sets()
    _require_models(cohort, folds)
    key = cohort.evaluation_key(folds)
    held = run.metrics()
    found = predictions_digest(run.predictions)
    if held is not None and found is not None and (held.get("key"), held.get("predictions")) == (key, found):
        return Evaluated(held, fresh=False)
    with timed_receipt(run.receipts(STAGE), key):
        predictions, clusters = _predict(cohort, folds, progress, stop)
        measured = _measured(predictions, cohort.config, cohort.outcome.outputs)
        digest = write_predictions(run.predictions, predictions, clusters)
        seals = {"key": key, "predictions": digest, "content": metrics_content(measured)}
        metrics = {"schema": 1, **seals, **measured}
        committed_file(run.metrics_file, (json.dumps(metrics, indent=1, sort_keys=True) + "\n").encode())
    return Evaluated(metrics, fresh=True)


def _require_models(cohort: Cohort, folds: FoldSets) -> None:
    models = cohort.planned(folds)
    missing = [model.name for model in models if model_key(cohort.run.model(model.name)) != model.key]
    if missing:
        raise NotReadyError(
            f"{len(missing)} of {len(models)} models are not trained (on the present cohort and run.toml)",
            offending=missing,
            remedy=f"hypoxia-hpc train {cohort.run.word}",
        )


def _predict(
    cohort: Cohort, folds: FoldSets, progress: Progress, stop: threading.Event
) -> tuple[Predictions, ClusterTables | None]:
    slides = [state.slide for state in cohort.done]
    make_probabilities(cohort.run, cohort.run, slides, progress=progress, stop=stop)
    models = saved_members(cohort.run, cohort.run, folds)
    tally = ClusterTally(saved_clusterings(cohort.run, folds))
    pooling = pooling_of(cohort.config.evaluate)
    states = by_patient(cohort.done)
    progress.begin(STAGE, len(states), len(states), "slide")
    try:
        features = tally.passing(listened(each_features(cohort, states), progress, stop))
        predictions = predict_cohort(models, states, features, cohort.patients, cohort.outcome, pooling)
    finally:
        progress.end()
    if note := pooling_note(pooling, predictions):
        progress.note(note)
    baseline = _baseline(cohort, predictions.patients, folds)
    patients = pd.concat([predictions.patients, baseline], ignore_index=True) if len(baseline) else predictions.patients
    return replace(predictions, patients=patients), tally.tables()


def _baseline(cohort: Cohort, pooled: pd.DataFrame, folds: FoldSets) -> pd.DataFrame:
    """What a guess from the tumour type alone would say of the same patients; empty where no type is known."""
    first: pd.DataFrame = pooled[pooled["model"] == pooled["model"].iloc[0]]
    patients = [cohort.patients[patient_id] for patient_id in first["patient_id"]]
    if not any(patient.tumour_type for patient in patients):
        return first.iloc[:0]
    guesses = np.array([_guesses(cohort, sets, patients) for sets in folds])
    of_fold = first["fold"].fillna(len(folds)).to_numpy(dtype=np.int64)
    guessed = np.vstack([guesses, guesses.mean(axis=0)])[of_fold, np.arange(len(first))]
    return first.assign(model=BASELINE, probability=guessed, n_tiles=0)


def _guesses(cohort: Cohort, sets: Mapping[str, str], patients: Sequence[Patient]) -> Float64Array:
    training = [patient for patient in cohort.patients.values() if sets[patient.patient_id] == "train"]
    return tumour_type_baseline(training, patients)


def _measured(predictions: Predictions, config: RunConfig, outputs: Sequence[str]) -> Json:
    """``models`` of metrics.json; and, with more folds than one, ``folds``: patients of each by itself."""
    levels = {
        "tile": predictions.tiles,
        "slide": over_repeats(predictions.slides, outputs),
        "patient": over_repeats(predictions.patients, outputs),
    }
    models: Json = {}
    for level, frame in levels.items():
        for (model, set_name), rows in _labelled(frame).groupby(["model", "set"], sort=True, observed=True):
            found = _metrics(rows, config.evaluate)
            models.setdefault(str(model), {}).setdefault(str(set_name), {})[level] = found
    if config.train.folds == 1:
        return {"models": models}
    folds: Json = {}
    by_fold = _labelled(predictions.patients).groupby(["model", "fold", "set"], sort=True, observed=True)
    for (model, fold, set_name), rows in by_fold:
        found = _metrics(rows, config.evaluate)
        folds.setdefault(str(model), {}).setdefault(str(fold), {})[str(set_name)] = {"patient": found}
    return {"models": models, "folds": folds}


def _labelled(frame: pd.DataFrame) -> pd.DataFrame:
    labelled: pd.DataFrame = frame[frame["label"].notna()]
    return labelled


def _metrics(rows: pd.DataFrame, table: EvaluateTable) -> Json:
    metrics = binary_metrics(
        rows["label"].to_numpy(dtype="int64"),
        rows["probability"].to_numpy(dtype="float64"),
        rows["patient_id"].astype(object),
        threshold=table.threshold,
        bootstrap=table.bootstrap,
        confidence=table.confidence,
        seed=table.seed,
    )
    return {name: asdict(interval) for name, interval in metrics.items()}
