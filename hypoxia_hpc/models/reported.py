"""What a report says about the patients of a run: from its tables, its split and its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import pandas as pd

from hypoxia_hpc.cohorts.groups import SITE, joined, said_groups
from hypoxia_hpc.cohorts.tables import read_split
from hypoxia_hpc.cohorts.textfiles import unguard
from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.models.prediction_tables import CLUSTERS_FILE, DISTANCE, PATIENTS_FILE, UNLIKE, reading_predictions
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Label, Patient
from hypoxia_hpc.reports.data import ClusterShares, CohortPatient, PatientPrediction
from hypoxia_hpc.runs.directory import RunDir


def cohort_of(run: RunDir, patients: Mapping[str, Patient]) -> tuple[CohortPatient, ...]:
    """Every patient with set, tumour type and, where a table or a TCGA barcode says it, site."""
    sets = _shown_sets(read_split(run.split_file)) if run.split_file.exists() else {}
    sites = joined(said_groups([run.patients_file, run.slides_file], SITE, patients))
    return tuple(
        CohortPatient(name, one.label, one.tumour_type, sets.get(name, ""), sites.get(name, ""))
        for name, one in patients.items()
    )


def _shown_sets(split: pd.DataFrame) -> dict[str, str]:
    """The set of each patient; in cross-validation, where everyone is in several, the fold in which it is tested."""
    if split["fold"].max() == 0:
        return dict(zip(split["patient_id"], split["set"], strict=True))
    shown = split[split["set"].isin(["test", "unlabelled"])]
    words = shown["set"].where(shown["set"] == "unlabelled", "test of fold " + shown["fold"].astype(str))
    return dict(zip(shown["patient_id"], words, strict=True))


def predictions_of(
    run: RunDir, config: RunConfig, outcome: Outcome, patients: Mapping[str, Patient]
) -> tuple[PatientPrediction, ...]:
    """patients.csv of predictions/, one row a model, set and patient: the mean over the folds that have several."""
    file = run.predictions / PATIENTS_FILE
    if not file.exists():
        return ()
    with reading_predictions(file) as opened:
        return _predictions(opened, config, outcome, patients)


def _predictions(
    opened: BinaryIO, config: RunConfig, outcome: Outcome, patients: Mapping[str, Patient]
) -> tuple[PatientPrediction, ...]:
    table = pd.read_csv(opened, dtype={"model": str, "set": str, "id": str, "call": str}, keep_default_na=False)
    table["id"] = table["id"].map(unguard)
    # As many as there are outputs, and in their order.
    calibrated = [column for column in table.columns if column == "calibrated" or column.startswith("calibrated_")]
    said = calibrated or list(outcome.outputs)
    labels = {name: patient.label for name, patient in patients.items()}
    found = []
    for (model, set_name, patient_id), rows in table.groupby(["model", "set", "id"], sort=False):
        values = tuple(float(value) for value in rows[said].astype("float64").mean())
        call = _call(rows, values, outcome, config.evaluate.threshold)
        n_tiles, label = int(rows["n_tiles"].iloc[0]), labels.get(str(patient_id))
        name = str(patient_id)
        found.append(PatientPrediction(str(model), str(set_name), name, label, values, n_tiles, call, *_distance(rows)))
    return tuple(found)


def _distance(rows: pd.DataFrame) -> tuple[float | None, bool]:
    if DISTANCE not in rows:
        return None, False
    return float(rows[DISTANCE].iloc[0]), bool(int(rows[UNLIKE].iloc[0]))


def _call(rows: pd.DataFrame, said: tuple[float, ...], outcome: Outcome, threshold: float) -> str:
    """The class that the predictions name, of several folds the most frequent one; where they name none, the class
    above the threshold, of several the most probable."""
    if "call" in rows and rows["call"].iloc[0]:
        return str(rows["call"].map(unguard).mode().iloc[0])
    return outcome.called(said, threshold)


def clusters_of(run: RunDir, config: RunConfig, labels: Mapping[str, Label | None]) -> tuple[ClusterShares, ...]:
    """Mean shares of test patients in each cluster, by clustering and fold. For two classes."""
    file = run.predictions / CLUSTERS_FILE
    if not file.exists() or config.outcome.kind != "binary":
        return ()
    with reading_predictions(file) as opened:
        return _clusters(pd.read_csv(opened, dtype={"id": str}), config, labels)


def _clusters(table: pd.DataFrame, config: RunConfig, labels: Mapping[str, Label | None]) -> tuple[ClusterShares, ...]:
    table = table[(table["level"] == "patient") & (table["set"] == "test")]
    known = table["id"].map(unguard).map(dict(labels))
    columns = [column for column in table.columns if column.startswith("share_")]
    found = []
    for (model, fold), rows in table.groupby(["model", "fold"], sort=True):
        by_class = [rows[known[rows.index] == label][columns] for label in (0, 1)]
        name = f"{model}, fold {fold}" if config.train.folds > 1 else str(model)
        means = zip(*(part.mean().fillna(0.0) for part in by_class), strict=True)
        found.append(ClusterShares(name, (len(by_class[0]), len(by_class[1])), tuple(means)))
    return tuple(found)
