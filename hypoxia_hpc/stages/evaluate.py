"""evaluate: frozen models and features -> predictions, metrics with intervals, baselines and warnings."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.colours import SlideColour
from hypoxia_hpc.analysis.probe import Probed, probe_groups
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.evaluation.baselines import SITE, baseline_rows, makeable
from hypoxia_hpc.evaluation.content import Context, Said, content_of
from hypoxia_hpc.evaluation.kinds import measures_of
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.operating import Operating, with_calls
from hypoxia_hpc.models.clusterings import ClusterTables, ClusterTally, saved_clusterings
from hypoxia_hpc.models.colours import slide_colours
from hypoxia_hpc.models.facts import kept_together, patient_facts
from hypoxia_hpc.models.finetuned import make_probabilities
from hypoxia_hpc.models.operating import operating_of
from hypoxia_hpc.models.patient_means import PatientMeans
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
from hypoxia_hpc.records import Float64Array, Json
from hypoxia_hpc.runs.cohort import Cohort, FoldSets, by_patient, each_features, listened, load_cohort
from hypoxia_hpc.runs.directory import RunDir, metrics_content
from hypoxia_hpc.runs.receipts import timed_receipt
from hypoxia_hpc.stores.commit import committed_file

STAGE = "evaluate"


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
        passed = _predict(cohort, folds, progress, stop)
        measures = measures_of(cohort.outcome, cohort.config.evaluate)
        predictions, context = _judged(cohort, folds, passed, measures)
        measured = content_of(_said(predictions, measures), context, measures)
        digest = write_predictions(run.predictions, predictions, passed.clusters)
        metrics = {"schema": 2, "key": key, "predictions": digest, **measured}
        metrics["content"] = metrics_content(metrics)
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


@dataclass(frozen=True, slots=True)
class _Found:
    """What the models say, the clusters of tiles, the mean features (d,) of each patient, and each slide's colour."""

    predictions: Predictions
    clusters: ClusterTables | None
    means: Mapping[str, Float64Array]
    colours: Mapping[str, SlideColour]


def _predict(cohort: Cohort, folds: FoldSets, progress: Progress, stop: threading.Event) -> _Found:
    slides = [state.slide for state in cohort.done]
    make_probabilities(cohort.run, cohort.run, slides, progress=progress, stop=stop)
    models = saved_members(cohort.run, cohort.run, folds)
    tally, means = ClusterTally(saved_clusterings(cohort.run, folds)), PatientMeans()
    pooling = pooling_of(cohort.config.evaluate)
    states = by_patient(cohort.done)
    progress.begin(STAGE, len(states), len(states), "slide")
    try:
        features = means.passing(tally.passing(listened(each_features(cohort, states), progress, stop)))
        predictions = predict_cohort(models, states, features, cohort.patients, cohort.outcome, pooling)
    finally:
        progress.end()
    if note := pooling_note(pooling, predictions):
        progress.note(note)
    colours = slide_colours(cohort.run, cohort.config.tile, slides, progress=progress, stop=stop)
    return _Found(predictions, tally.tables(), means.means(), colours)


def _judged(cohort: Cohort, folds: FoldSets, found: _Found, measures: Measures) -> tuple[Predictions, Context]:
    """The predictions with calls and with the rows of baselines, and what is known beside them."""
    config = cohort.config
    operating = operating_of(found.predictions.patients, config.train, measures)
    slides, patients = (
        _with_calls(rows, operating, measures) for rows in (found.predictions.slides, found.predictions.patients)
    )
    first = patients[patients["model"] == config.train.heads[0]]
    n_tiles = dict(zip(first["id"], first["n_tiles"], strict=True))
    facts = patient_facts(cohort, n_tiles, found.colours)
    baselines = [baseline_rows(name, first, facts, folds, measures) for name in makeable(facts)[0]]
    judged = replace(found.predictions, slides=slides, patients=pd.concat([patients, *baselines], ignore_index=True))
    context = Context(
        heads=config.train.heads,
        facts=facts,
        n_folds=config.train.n_folds,
        units=kept_together(cohort),
        probed=_probed(facts, found.means, folds, config.evaluate.seed),
        operating=operating,
    )
    return judged, context


def _with_calls(rows: pd.DataFrame, operating: Mapping[str, Sequence[Operating]], measures: Measures) -> pd.DataFrame:
    if not measures.calibrated:
        return rows
    outcome = measures.outcome
    return with_calls(rows, operating, outcome.outputs, measures.calibrated, outcome.table.classes)


def _probed(facts: pd.DataFrame, means: Mapping[str, Float64Array], folds: FoldSets, seed: int) -> Probed | None:
    """Can the site be read from the mean features of training patients? Of all labelled patients where each is in the
    training set of some fold. None where no site is known."""
    asked = sorted(name for name in means if facts.loc[name, SITE] and any(sets.get(name) == "train" for sets in folds))
    if not asked:
        return None
    features = np.stack([means[name] for name in asked])
    return probe_groups(features, [str(facts.loc[name, SITE]) for name in asked], seed=seed)


def _said(predictions: Predictions, measures: Measures) -> Said:
    """The predictions, and those of slides and patients once each."""
    averaged = [*measures.outcome.outputs, *measures.calibrated, *(["threshold"] if measures.calibrated else [])]
    once = {
        level: over_repeats(rows, [name for name in averaged if name in rows])
        for level, rows in (("slide", predictions.slides), ("patient", predictions.patients))
    }
    return Said(predictions.tiles, predictions.slides, predictions.patients, once)
