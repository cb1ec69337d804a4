"""evaluate: frozen models and features -> predictions and metrics with intervals over patients."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from hypoxia_hpc.analysis.metrics import binary_metrics, tumour_type_baseline
from hypoxia_hpc.config import EvaluateTable
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.networks.frozen import FrozenModel, load_model, model_key
from hypoxia_hpc.records import Json
from hypoxia_hpc.scale.cohort import Cohort, each_features, listened, load_cohort
from hypoxia_hpc.scale.listening import Listener
from hypoxia_hpc.scale.predictions import Predictions, gather, predict_tiles, predictions_digest, write_predictions
from hypoxia_hpc.scale.receipts import timed_receipt
from hypoxia_hpc.scale.rundir import RunDir, metrics_content
from hypoxia_hpc.stores.commit import committed_file

STAGE = "evaluate"
BASELINE = "tumour-type"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The content of metrics.json, and whether it was made now."""

    metrics: Json
    fresh: bool


def evaluate(run: RunDir, *, listener: Listener, stop: threading.Event) -> Evaluated:
    """Predict every tile with every model, pool, measure; write predictions/ and metrics.json.

    Raises:
        NotReadyError: slides without features, models not trained on the present cohort, damaged stores.
        Stopped: on request.
    """
    cohort = load_cohort(run)
    sets = cohort.sets()
    _require_models(cohort, sets)
    key = cohort.evaluation_key(sets)
    held = run.metrics()
    found = predictions_digest(run.predictions)
    if held is not None and found is not None and (held.get("key"), held.get("predictions")) == (key, found):
        return Evaluated(held, fresh=False)
    with timed_receipt(run.receipts(STAGE), "cohort", key):
        predictions = _predict(cohort, sets, listener, stop)
        measured = _measure(predictions, cohort.config.evaluate)
        digest = write_predictions(run.predictions, predictions)
        seals = {"key": key, "predictions": digest, "content": metrics_content(measured)}
        metrics = {"schema": 1, **seals, "models": measured}
        committed_file(run.metrics_file, (json.dumps(metrics, indent=1, sort_keys=True) + "\n").encode())
    return Evaluated(metrics, fresh=True)


def _require_models(cohort: Cohort, sets: Mapping[str, str]) -> None:
    keys = cohort.model_keys(sets)
    missing = [head for head, key in keys.items() if model_key(cohort.run.model(head)) != key]
    if missing:
        raise NotReadyError(
            f"{len(missing)} of {len(keys)} models are not trained (on the present cohort and run.toml)",
            culprits=missing,
            remedy=f"hypoxia-hpc train {cohort.run.root}",
        )


def _predict(cohort: Cohort, sets: Mapping[str, str], listener: Listener, stop: threading.Event) -> Predictions:
    models: dict[str, FrozenModel] = {head: load_model(cohort.run.model(head)) for head in cohort.config.train.heads}
    listener.begin(STAGE, len(cohort.done), len(cohort.done), "slides")
    try:
        tiles = predict_tiles(models, listened(each_features(cohort, cohort.done), listener, stop))
    finally:
        listener.end()
    predictions = gather(tiles, cohort.patients, sets)
    baseline = _baseline(cohort, predictions.patients, sets)
    patients = pd.concat([predictions.patients, baseline], ignore_index=True) if len(baseline) else predictions.patients
    return Predictions(predictions.tiles, predictions.slides, patients)


def _baseline(cohort: Cohort, pooled: pd.DataFrame, sets: Mapping[str, str]) -> pd.DataFrame:
    """What a guess from the tumour type alone would say of the same patients; empty where no type is known."""
    first = pooled[pooled["model"] == cohort.config.train.heads[0]]
    patients = [cohort.patients[patient_id] for patient_id in first["patient_id"]]
    if not any(patient.tumour_type for patient in patients):
        return first.iloc[:0]
    training = [patient for patient in cohort.patients.values() if sets[patient.patient_id] == "train"]
    return first.assign(model=BASELINE, probability=tumour_type_baseline(training, patients), n_tiles=0)


def _measure(predictions: Predictions, table: EvaluateTable) -> Json:
    levels = {"tile": predictions.tiles, "slide": predictions.slides, "patient": predictions.patients}
    measured: Json = {}
    for level, frame in levels.items():
        labelled = frame[frame["label"].notna()]
        for (model, set_name), rows in labelled.groupby(["model", "set"], sort=True, observed=True):
            metrics = binary_metrics(
                rows["label"].to_numpy(dtype="int64"),
                rows["probability"].to_numpy(dtype="float64"),
                rows["patient_id"].astype(object),
                threshold=table.threshold,
                bootstrap=table.bootstrap,
                confidence=table.confidence,
                seed=table.seed,
            )
            as_json = {name: asdict(interval) for name, interval in metrics.items()}
            measured.setdefault(str(model), {}).setdefault(str(set_name), {})[level] = as_json
    return measured
