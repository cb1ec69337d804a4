"""predict: the frozen models of another run on this run's features. No labels needed; with labels, metrics."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd

from hypoxia_hpc.config import STUDIES
from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError, some
from hypoxia_hpc.evaluation.kinds import measures_of
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.outside import (
    EXTERNAL,
    outside_baselines,
    outside_content,
    stain_warning,
    trained_on_warning,
)
from hypoxia_hpc.evaluation.warnings import leak_warnings
from hypoxia_hpc.models.colours import slide_colours, stain_doubts
from hypoxia_hpc.models.comparable import Runs, records_of, refuse_other_features, refuse_other_source, regions_note
from hypoxia_hpc.models.facts import facts_of_predicted, read_training
from hypoxia_hpc.models.judging import called, said_of, write_metrics
from hypoxia_hpc.models.outputs import saved_models
from hypoxia_hpc.models.outside import (
    Chosen,
    chosen_by,
    held_against,
    key_of_predictions,
    outside_sets,
    refuse_other_outcome,
    trained_on,
    unchecked,
    with_distances,
)
from hypoxia_hpc.models.phenotypes import keep_frozen_phenotypes
from hypoxia_hpc.models.predicting import predict_features
from hypoxia_hpc.models.prediction_tables import TRAINING_FILE
from hypoxia_hpc.models.predictions import Predictions, write_predictions
from hypoxia_hpc.networks.heads.saved import SavedModel
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json, ModelsUsed, Receipt
from hypoxia_hpc.runs.cohort import Cohort, load_cohort, model_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import tile_spec
from hypoxia_hpc.runs.made_by import USED, is_predicted, made_by, used_of
from hypoxia_hpc.runs.receipts import COHORT, timed_receipt, write_receipt
from hypoxia_hpc.runs.state import run_spec, spec_without_weights

STAGE = "predict"


@dataclass(frozen=True, slots=True)
class Outside:
    """What ``predict`` found: predictions/patients.csv as a frame, its columns by which patients are judged, and what
    is in metrics.json."""

    patients: pd.DataFrame
    said: tuple[str, ...]
    metrics: Json


def refuse_other_run(run: RunDir, model_run: RunDir) -> str:
    """What is to be said before slides are tiled: what makes predictions less comparable with those of the training
    run, else empty. Reads no slide.

    Raises InputError where this run has models of its own, starts from images and the other from slides or the other
    way round, or its features are, or would be, made otherwise than in training.
    """
    if run.model("").is_dir() or (run.metrics_file.exists() and not is_predicted(run)):
        raise InputError(
            f"{run.root} has models or metrics of its own; predictions of others would be taken for theirs",
            remedy=f"hypoxia-hpc predict NEW --slides DIR --model {model_run.word}",
        )
    config, runs = run.config(), Runs(run.word, model_run.word)
    refuse_other_source(config, model_run.config(), runs)
    of_tiles, models = tile_spec(config.tile), records_of(saved_models(model_run))
    try:
        spec = run_spec(config)
    except HypoxiaError:  # weights that are missing do not matter where those of another network are needed
        refuse_other_features(of_tiles, spec_without_weights(config), models, runs)
        raise
    refuse_other_features(of_tiles, spec, models, runs)
    return regions_note(of_tiles, models, run.word)


def begin_predictions(run: RunDir, model_run: RunDir) -> None:
    """Say in the run whose models are to predict here, so that `run` goes on with it whatever ends this command."""
    root = model_run.root.absolute()
    if used_of(run).path != str(root):
        used = ModelsUsed(root.name, path=str(root))
        write_receipt(run.receipts(STAGE), Receipt(COHORT, "done", "", details=used, of="cohort"))


def refuse_unfit_models(model_run: RunDir) -> None:
    """To be called before anything is made for the models of a run. Raises NotReadyError where models are missing or
    damaged, or the run was not evaluated with them."""
    _chosen(model_run, saved_models(model_run))


def _chosen(model_run: RunDir, models: Mapping[str, Sequence[SavedModel]]) -> Chosen:
    config = model_run.config()
    keys = {name: models[head][fold].record.key for name, head, fold in model_names(config.train) if head in models}
    return chosen_by(model_run, keys, measures_of(model_run.outcome(), config.evaluate))


def predict(run: RunDir, model_run: RunDir, *, progress: Progress, stop: threading.Event) -> Outside:
    """Predict every patient of ``run`` as the training run uses its models; write predictions/ and metrics.json.

    Raises:
        InputError: one run is on slides and the other on images, tiles or features are made otherwise than those the
            models were trained on, labels of another outcome.
        NotReadyError: slides without features, models missing or damaged, a training run that was not evaluated.
        Stopped: on request.
    """
    models, runs = saved_models(model_run), Runs(run.word, model_run.word)
    refuse_other_source(run.config(), model_run.config(), runs)
    cohort = load_cohort(run)
    of_tiles = tile_spec(cohort.config.tile)
    records = records_of(models)
    refuse_other_features(of_tiles, cohort.spec, records, runs)
    refuse_other_outcome(run, model_run, cohort.patients)
    if not cohort.done:
        raise NotReadyError(
            f"none of {some(len(cohort.states), 'slide')} has features, all are quarantined",
            remedy=f"hypoxia-hpc status {run.word}",
        )
    measures = measures_of(model_run.outcome(), model_run.config().evaluate)
    chosen = _chosen(model_run, models)
    keys: Mapping[str, str] = chosen.used["models"]
    root = model_run.root.absolute()
    used = ModelsUsed(root.name, dict(keys), regions_note(of_tiles, records, run.word), str(root))
    with timed_receipt(run.receipts(STAGE), next(iter(keys.values())), used):
        patients, metrics = _predict(cohort, model_run, chosen, measures, progress, stop)
    return Outside(patients, measures.said_of_patients, metrics)


def _predict(
    cohort: Cohort, model_run: RunDir, chosen: Chosen, measures: Measures, progress: Progress, stop: threading.Event
) -> tuple[pd.DataFrame, Json]:
    """The rows of patients.csv, and the content of metrics.json."""
    run, n_folds = cohort.run, model_run.config().train.n_folds
    if n_folds > 1:
        progress.note(
            f"{model_run.root} is cross-validated: each model's prediction is the mean over its {n_folds} folds"
        )
    slides = [state.slide for state in cohort.done]
    known = trained_on(run, slides, model_run)
    sets = outside_sets(cohort.patients, known or {})
    made = predict_features(cohort, model_run, (sets,) * n_folds, stage=STAGE, progress=progress, stop=stop)
    colours = slide_colours(run, cohort.config.tile, slides, progress=progress, stop=stop)
    held = held_against(model_run, chosen.metrics["reference"], made.means)
    predictions = with_distances(called(made.predictions, chosen.operating, measures), held)
    facts = facts_of_predicted(cohort, predictions.patients, colours)
    predictions, lacking = _with_baselines(predictions, facts, model_run, chosen, measures)
    content = outside_content(said_of(predictions, measures), chosen.metrics["lead"], facts, measures)
    study = STUDIES[model_run.config().study]
    found = [*leak_warnings(content, measures, study.ceiling, EXTERNAL), *held.warnings]
    found += trained_on_warning(known or {})
    found += stain_warning(stain_doubts(colours), len(slides)) if study.is_stained else []
    content["warnings"] = [*map(asdict, found), *content["warnings"]]
    content |= {"operating": chosen.metrics["operating"], "reference": held.entry, USED: chosen.used}
    content["unchecked"] = [*unchecked(chosen, known, lacking), *content["unchecked"]]
    digest = write_predictions(run.predictions, predictions, made.clusters)
    if made.clusters is not None:
        keep_frozen_phenotypes(cohort, made.clusters, made_by(model_run, model_run.config(), "phenotypes").keys)
    return predictions.patients, write_metrics(run, key_of_predictions(cohort, chosen.used), digest, content)


def _with_baselines(
    predictions: Predictions, facts: pd.DataFrame, model_run: RunDir, chosen: Chosen, measures: Measures
) -> tuple[Predictions, dict[str, str]]:
    """With rows of baselines, learnt from the training patients of the training run; and why others are not there."""
    if not (predictions.patients["set"] == EXTERNAL).any():
        return predictions, {}
    training = read_training(model_run, chosen.metrics, measures.outcome)
    if not training:
        why = (
            f"{model_run.predictions}/{TRAINING_FILE} is not there, or another one than its metrics.json was made with"
        )
        return predictions, {"baselines": f"{why}: hypoxia-hpc evaluate {model_run.word}"}
    patients, lacking = outside_baselines(predictions.patients, facts, training, measures)
    return replace(predictions, patients=patients), lacking
