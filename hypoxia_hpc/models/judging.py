"""From predictions to metrics.json: calibrated probabilities and calls, each patient once, the seals of the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from hypoxia_hpc.analysis.pooling import SERIES
from hypoxia_hpc.evaluation.content import Said
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.operating import THRESHOLD, Operating, with_calls
from hypoxia_hpc.models.predictions import Predictions, over_repeats
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir, metrics_content
from hypoxia_hpc.stores.commit import committed_file


def called(predictions: Predictions, operating: Mapping[str, Sequence[Operating]], measures: Measures) -> Predictions:
    """With calibrated probabilities and calls of slides and patients, where the outcome has any."""
    if not measures.calibrated:
        return predictions
    outcome = measures.outcome

    def with_own(rows: pd.DataFrame) -> pd.DataFrame:
        return with_calls(rows, operating, outcome.outputs, measures.calibrated, outcome.table.classes)

    series = None if predictions.series is None else with_own(predictions.series)
    slides, patients = with_own(predictions.slides), with_own(predictions.patients)
    return replace(predictions, slides=slides, patients=patients, series=series)


def said_of(predictions: Predictions, measures: Measures) -> Said:
    """The predictions, and those of slides and patients once each."""
    averaged = [*measures.outcome.outputs, *measures.calibrated, THRESHOLD]
    once = {
        level: over_repeats(rows, [name for name in averaged if name in rows])
        for level, rows in (("slide", predictions.slides), ("patient", predictions.patients))
    }
    if predictions.series is not None:
        parts = [own for _, own in predictions.series.groupby(SERIES, sort=True)]
        once[SERIES] = pd.concat([over_repeats(own, [name for name in averaged if name in own]) for own in parts])
    return Said(predictions.tiles, predictions.slides, predictions.patients, once)


def write_metrics(run: RunDir, key: str, predictions: str, measured: Json) -> Json:
    """Commit metrics.json and return its content. ``key``: of what was measured, ``predictions``: digest of the tables
    it was measured from. Raises MachineError."""
    metrics = {"schema": 2, "key": key, "predictions": predictions, **measured}
    metrics["content"] = metrics_content(metrics)
    committed_file(run.metrics_file, (json.dumps(metrics, indent=1, sort_keys=True) + "\n").encode())
    return metrics
