"""Patients of another cohort: how the training run uses its models, who is no outside patient, whether predictions are
those of the present slides and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from hypoxia_hpc.cohorts.tables import read_split
from hypoxia_hpc.errors import InputError, NotReadyError, some
from hypoxia_hpc.evaluation.content import not_compared
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.operating import Operating
from hypoxia_hpc.evaluation.outside import EXTERNAL, TRAINED_ON, UNLABELLED
from hypoxia_hpc.evaluation.warnings import Warned
from hypoxia_hpc.models.prediction_tables import UNLIKE
from hypoxia_hpc.models.predictions import Predictions, predictions_digest
from hypoxia_hpc.models.reference import distance_table, read_reference, unlike_sentence
from hypoxia_hpc.networks.heads.saved import model_key
from hypoxia_hpc.records import Float64Array, Json, Patient, Slide
from hypoxia_hpc.runs.cohort import FITTED, Cohort, load_cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.identity import in_both
from hypoxia_hpc.runs.keys import predict_key
from hypoxia_hpc.runs.made_by import USED, keys_of, made_by, model_run_of

TRAINED = "trained"


@dataclass(frozen=True)
class Chosen:
    """What a training run chose: its metrics.json, and how each head is used in each fold. ``used``: the keys of its
    models and the content of its metrics.json, which predictions are made of."""

    metrics: Json
    operating: Mapping[str, Sequence[Operating]]
    used: Json


def chosen_by(model_run: RunDir, keys: Mapping[str, str], measures: Measures) -> Chosen:
    """From the metrics.json of a training run; ``keys``: of its models, by name. Raises NotReadyError where that is
    missing, of an older version, or was made with other models."""
    metrics = model_run.metrics()
    if metrics is None or TRAINED not in metrics:
        raise NotReadyError(
            f"{model_run.metrics_file} does not say which model leads and where its threshold lies: it is missing, "
            "damaged or of an older version",
            remedy=f"hypoxia-hpc evaluate {model_run.word}",
        )
    changed = sorted(name for name in keys if keys[name] != metrics[TRAINED].get(name))
    if changed:
        raise NotReadyError(
            f"{some(len(changed), 'model')} of {model_run.root} changed since {model_run.metrics_file} was made",
            offending=changed,
            remedy=f"hypoxia-hpc evaluate {model_run.word}",
        )
    try:
        held = metrics["operating"].items()
        operating = {head: [measures.read_operating(one) for one in each] for head, each in held}
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        problem = f"{model_run.metrics_file} is damaged, in what it says of thresholds: {error!r}"
        raise NotReadyError(problem, remedy=f"hypoxia-hpc evaluate {model_run.word}") from None
    used = {"models": dict(keys), "content": metrics["content"]}
    return Chosen(metrics, operating, used)


def refuse_other_outcome(run: RunDir, model_run: RunDir, patients: Mapping[str, Patient]) -> None:
    """Raises InputError where labels of ``run`` mean something else than those of training."""
    ours, theirs = run.config().outcome, model_run.config().outcome
    differ = ours.kind != theirs.kind or (ours.kind in ("binary", "classes") and ours.classes != theirs.classes)
    if differ and any(patient.label is not None for patient in patients.values()):
        raise InputError(
            f"labels of {run.root} are {ours.kind} {list(ours.classes)}, the models predict {theirs.kind} "
            f"{list(theirs.classes)}",
            remedy=f"give {run.config_file} the [outcome] table of {model_run.config_file}",
        )


def trained_on(run: RunDir, slides: Sequence[Slide], model_run: RunDir) -> dict[str, str] | None:
    """Patients of these slides who were in training or validation of the models, in any fold: the id there by the id
    here. None where the training run has no split.csv or no slides.csv any more."""
    if not (model_run.split_file.exists() and model_run.slides_file.exists()):
        return None
    split = read_split(model_run.split_file)
    fitted = set(split["patient_id"][split["set"].isin(FITTED)])
    others = [slide for slide in model_run.slides() if slide.patient_id in fitted]
    return in_both(run, slides, run.config().extract.name, model_run, others, model_run.config().extract.name)


def outside_sets(patients: Mapping[str, Patient], trained_on: Mapping[str, str]) -> dict[str, str]:
    """The set of each patient."""
    return {
        name: TRAINED_ON if name in trained_on else UNLABELLED if patient.label is None else EXTERNAL
        for name, patient in patients.items()
    }


@dataclass(frozen=True)
class Held:
    """Patients held against those of training: a `distance_table` (None where the training run has no reference), and
    what metrics.json says of it."""

    table: pd.DataFrame | None
    entry: Json
    warnings: tuple[Warned, ...]


def held_against(model_run: RunDir, reference: Json, means: Mapping[str, Float64Array]) -> Held:
    """``reference``: the entry of the training run's metrics.json; ``means``: mean features (d,) of each patient.
    Raises NotReadyError where reference.npy is not the one that was made."""
    if not reference:
        return Held(None, {}, ())
    read = read_reference(model_run, reference)
    table = distance_table(read, means)
    unlike = table.index[table[UNLIKE] == 1].tolist()
    of_training = {name: reference[name] for name in ("limit", "n_train", "n_valid")}
    sentence = unlike_sentence(table, read)
    warnings = (Warned("unlike-training", sentence),) if sentence else ()
    return Held(table, {**of_training, "n": len(table), "unlike": unlike}, warnings)


def with_distances(predictions: Predictions, held: Held) -> Predictions:
    """With the columns distance and unlike_training of patients, last; as they are without a reference."""
    if held.table is None:
        return predictions
    owners = predictions.patients["patient_id"].astype(str).tolist()
    of_rows = held.table.loc[owners].set_index(predictions.patients.index)
    return replace(predictions, patients=pd.concat([predictions.patients, of_rows], axis=1))


def unchecked(chosen: Chosen, known: Mapping[str, str] | None, lacking: Mapping[str, str]) -> list[Json]:
    """Which checks could not be made, and why; ``known`` as from `trained_on`; ``lacking``: why baselines could not be
    made, by their names."""
    found = not_compared(lacking)
    if not chosen.metrics["reference"]:
        why = "the training run has fewer than three training patients with features that differ"
        found.append({"check": "do patients look like those of training?", "why": why})
    if known is None:
        why = "the training run has no split.csv or no slides.csv any more"
        found.append({"check": "were patients in training?", "why": why})
    return found


def key_of_predictions(cohort: Cohort, used: Json) -> str:
    """Key of predictions of this cohort by the models of ``used`` (see `Chosen`)."""
    rows = []
    for state in cohort.done:
        patient = cohort.patients[state.slide.patient_id]
        rows.append((patient.patient_id, state.slide.slide_id, str(patient.label), state.key))
    return predict_key(used, rows)


def predicted_metrics(cohort: Cohort) -> Json:
    """metrics.json of a run that was predicted with models of another one. Raises NotReadyError where it is not of the
    present slides, labels and models, or predictions/ are others."""
    metrics, (why, remedy) = cohort.run.metrics(), out_of_date(cohort)
    if why or metrics is None:
        raise NotReadyError(f"the predictions of {cohort.run.root} are out of date: {why}", remedy=remedy)
    return metrics


def out_of_date(cohort: Cohort) -> tuple[str, str]:
    """Why the predictions of a run with models of another one are not of its present slides, labels and those models,
    empty where they are; and the command that makes them anew."""
    run = cohort.run
    model_run = model_run_of(run)
    remedy = f"hypoxia-hpc predict {run.word} --model {'MODEL_RUN' if model_run is None else model_run.word}"
    return _stale(cohort, run.metrics(), model_run), remedy


def left_to_predict(run: RunDir, model_run: RunDir | None) -> bool:
    """Has ``predict`` anything to do in a run that it predicted before, whose slides have features? ``model_run``: None
    where it is not there any more. Raises NotReadyError where it is needed then, or slides have no features."""
    why, remedy = out_of_date(load_cohort(run))
    if model_run is None and why:
        problem = f"the predictions of {run.root} are out of date ({why}), and the run of their models is not there"
        raise NotReadyError(problem, remedy=remedy)
    if model_run is None or why:
        return bool(why)
    clustering = made_by(model_run, model_run.config(), "phenotypes").keys
    return keys_of(run, "phenotypes", list(clustering)) != clustering


def _stale(cohort: Cohort, metrics: Json | None, model_run: RunDir | None) -> str:
    if metrics is None or USED not in metrics:
        return "metrics.json is missing, damaged or of an older version"
    if metrics["predictions"] != predictions_digest(cohort.run.predictions):
        return "predictions/ is damaged, or another one than metrics.json was made of"
    if metrics["key"] != key_of_predictions(cohort, metrics[USED]):
        return "slides, features or labels have changed since, or predict was of an older version"
    if model_run is None:
        return ""
    theirs, used = model_run.metrics(), metrics[USED]
    keys = {name: model_key(model_run.model(name)) for name in used["models"]}
    trained_anew = any(key is not None and key != used["models"][name] for name, key in keys.items())
    if trained_anew or (theirs is not None and theirs["content"] != used["content"]):
        return "the models were trained or evaluated anew since"
    return ""
