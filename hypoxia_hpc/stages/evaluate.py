"""evaluate: frozen models and features -> predictions, metrics with intervals, baselines and warnings."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.colours import SlideColour
from hypoxia_hpc.analysis.probe import Probed, probe_groups
from hypoxia_hpc.config import STUDIES
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.evaluation.baselines import SITE, baseline_rows, makeable, training_facts
from hypoxia_hpc.evaluation.content import Context, content_of
from hypoxia_hpc.evaluation.image_split import image_split, image_split_warning
from hypoxia_hpc.evaluation.kinds import measures_of
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.outside import stain_warning
from hypoxia_hpc.evaluation.warnings import leak_warnings
from hypoxia_hpc.models.colours import slide_colours, stain_doubts
from hypoxia_hpc.models.facts import facts_of_predicted, kept_together, training_table
from hypoxia_hpc.models.judging import called, said_of, write_metrics
from hypoxia_hpc.models.operating import operating_of
from hypoxia_hpc.models.outside import TRAINED
from hypoxia_hpc.models.predicting import Predicted, predict_features
from hypoxia_hpc.models.predictions import Predictions, predictions_digest, write_predictions
from hypoxia_hpc.models.reference import is_kept, keep_reference
from hypoxia_hpc.models.tile_sample import tile_sample
from hypoxia_hpc.networks.heads.saved import model_key
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Float64Array, Json
from hypoxia_hpc.runs.cohort import Cohort, FoldSets, load_cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import timed_receipt

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
    if held is not None and _is_current(run, held, key):
        return Evaluated(held, fresh=False)
    with timed_receipt(run.receipts(STAGE), key):
        made = predict_features(cohort, run, folds, stage=STAGE, progress=progress, stop=stop)
        slides = [state.slide for state in cohort.done]
        colours = slide_colours(run, cohort.config.tile, slides, progress=progress, stop=stop)
        measures = measures_of(cohort.outcome, cohort.config.evaluate, cohort.config.train.folds)
        predictions, context = _judged(cohort, folds, made, colours, measures)
        measured = content_of(said_of(predictions, measures), context, measures)
        study = STUDIES[cohort.config.study]
        if study.is_stained:
            measured["warnings"] += map(asdict, stain_warning(stain_doubts(colours), len(slides)))
        leaks = leak_warnings(measured, measures, study.ceiling)
        measured["warnings"] = [*map(asdict, leaks), *measured["warnings"]]
        if cohort.config.evaluate.image_split:
            measured["image_split"] = image_split(
                *tile_sample(cohort, stage=STAGE, progress=progress, stop=stop), measures
            )
            said_on_top = image_split_warning(measured["image_split"], measures)
            measured["warnings"] = [*map(asdict, said_on_top), *measured["warnings"]]
        measured |= {"reference": keep_reference(run, made.means, folds), TRAINED: _trained(cohort, folds)}
        table = training_table(training_facts(context.facts, folds, measures))
        digest = write_predictions(run.predictions, predictions, made.clusters, table)
        return Evaluated(write_metrics(run, key, digest, measured), fresh=True)


def _is_current(run: RunDir, metrics: Json, key: str) -> bool:
    found = predictions_digest(run.predictions)
    sealed = found is not None and (metrics.get("key"), metrics.get("predictions")) == (key, found)
    return sealed and "reference" in metrics and is_kept(run, metrics["reference"])


def _trained(cohort: Cohort, folds: FoldSets) -> dict[str, str]:
    """The key of every model of a head: `predict` holds them against the models that it finds."""
    return {model.name: model.key for model in cohort.planned(folds) if model.head in cohort.config.train.heads}


def _require_models(cohort: Cohort, folds: FoldSets) -> None:
    models = cohort.planned(folds)
    missing = [model.name for model in models if model_key(cohort.run.model(model.name)) != model.key]
    if missing:
        raise NotReadyError(
            f"{len(missing)} of {len(models)} models are not trained (on the present cohort and run.toml)",
            offending=missing,
            remedy=f"hypoxia-hpc train {cohort.run.word}",
        )


def _judged(
    cohort: Cohort,
    folds: FoldSets,
    made: Predicted,
    colours: Mapping[str, SlideColour],
    measures: Measures,
) -> tuple[Predictions, Context]:
    """The predictions with calls and with the rows of baselines, and what is known beside them."""
    config = cohort.config
    operating = operating_of(made.predictions.patients, config.train, measures)
    predictions = called(made.predictions, operating, measures)
    patients = predictions.patients
    first = patients[patients["model"] == config.train.heads[0]]
    facts = facts_of_predicted(cohort, first, colours)
    training = training_facts(facts, folds, measures)
    baselines = [baseline_rows(name, first, facts, training, measures) for name in makeable(facts)[0]]
    judged = replace(predictions, patients=pd.concat([patients, *baselines], ignore_index=True))
    context = Context(
        heads=config.train.heads,
        facts=facts,
        n_folds=config.train.n_folds,
        units=kept_together(cohort),
        probed=_probed(facts, made.means, folds, config.evaluate.seed),
        operating=operating,
    )
    return judged, context


def _probed(facts: pd.DataFrame, means: Mapping[str, Float64Array], folds: FoldSets, seed: int) -> Probed | None:
    """Can the site be read from the mean features of training patients? Of all labelled patients where each is in the
    training set of some fold. None where no site is known."""
    asked = sorted(name for name in means if facts.loc[name, SITE] and any(sets.get(name) == "train" for sets in folds))
    if not asked:
        return None
    features = np.stack([means[name] for name in asked])
    return probe_groups(features, [str(facts.loc[name, SITE]) for name in asked], seed=seed)
