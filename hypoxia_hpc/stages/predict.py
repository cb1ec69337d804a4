"""predict: the frozen models of another run on this run's features. No labels needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.networks.frozen import FrozenModel, load_model
from hypoxia_hpc.records import Json
from hypoxia_hpc.scale.cohort import each_features, listened, load_cohort
from hypoxia_hpc.scale.keys import tile_spec
from hypoxia_hpc.scale.listening import Listener
from hypoxia_hpc.scale.predictions import gather, predict_tiles, write_predictions
from hypoxia_hpc.scale.receipts import timed_receipt
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.standing import run_spec

STAGE = "predict"
SET = "predict"


@dataclass(frozen=True, slots=True)
class Predicted:
    """predictions/patients.csv as a frame, and the threshold of the run that the models come from."""

    patients: pd.DataFrame
    threshold: float


def frozen_models(model_run: RunDir) -> dict[str, FrozenModel]:
    """The models of a run, by head, in the order of its run.toml. Raises NotReadyError where any is missing."""
    return {head: load_model(model_run.model(head)) for head in model_run.config().train.heads}


def refuse_other_run(run: RunDir, model_run: RunDir) -> None:
    """Raises InputError where this run has models of its own, or its features are, or would be, made otherwise than in
    training; reads no slide."""
    if run.metrics_file.exists() or run.model("").is_dir():
        raise InputError(
            f"{run.root} has models or metrics of its own; predictions of others would be taken for theirs",
            remedy=f"hypoxia-hpc predict NEW --slides DIR --model {model_run.root}",
        )
    config = run.config()
    refuse_other_features(tile_spec(config.tile), run_spec(config), frozen_models(model_run))


def predict(run: RunDir, model_run: RunDir, *, listener: Listener, stop: threading.Event) -> Predicted:
    """Predict every patient of ``run``; write predictions/.

    Raises:
        InputError: tiles or features are made otherwise than those the models were trained on.
        NotReadyError: slides without features, models missing or damaged.
        Stopped: on request.
    """
    models = frozen_models(model_run)
    cohort = load_cohort(run)
    refuse_other_features(tile_spec(cohort.config.tile), cohort.spec, models)
    if not cohort.done:
        raise NotReadyError(
            f"none of {len(cohort.standings)} slides has features, all are quarantined",
            remedy=f"hypoxia-hpc status {run.root}",
        )
    listener.begin(STAGE, len(cohort.done), len(cohort.done), "slides")
    keys = {name: model.record.key for name, model in models.items()}
    used = {"model_run": model_run.root.absolute().name, "models": keys}
    with timed_receipt(run.receipts(STAGE), "cohort", next(iter(keys.values())), used):
        try:
            tiles = predict_tiles(models, listened(each_features(cohort, cohort.done), listener, stop))
        finally:
            listener.end()
        predictions = gather(tiles, cohort.patients, dict.fromkeys(cohort.patients, SET))
        write_predictions(run.predictions, predictions)
    return Predicted(predictions.patients, model_run.config().evaluate.threshold)


def refuse_other_features(of_tiles: Json, extract_spec: Json, models: dict[str, FrozenModel]) -> None:
    """Raises InputError naming every entry in which this run's features differ from those of a model's training."""
    differences = []
    for name, model in models.items():
        for table, ours, theirs in (
            ("tile", of_tiles, model.record.tile_spec),
            ("extract", extract_spec, model.record.extract_spec),
        ):
            differences += [
                f"[{table}] {entry}: {ours.get(entry)!r} here, {theirs.get(entry)!r} where {name} was trained"
                for entry in sorted(ours.keys() | theirs.keys())
                if ours.get(entry) != theirs.get(entry) and entry not in ("name", "batch_size")
            ]
    if differences:
        raise InputError(
            "these features are made otherwise than those the models were trained on",
            culprits=differences,
            remedy="give this run the same [tile] and [extract] tables, and run tile and extract again",
        )
