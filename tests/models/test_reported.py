"""What a report says of patients is what the run's tables, split and predictions say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.config.loading import parse_config
from hypoxia_hpc.models.reported import clusters_of, cohort_of, predictions_of
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.records import Patient
from hypoxia_hpc.reports.data import PatientPrediction
from hypoxia_hpc.runs.directory import RunDir

PATIENTS = {name: Patient(name, label, "COAD") for name, label in (("TCGA-AA-0001", 0), ("b", 1), ("c", None))}


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(csv_text(pd.DataFrame(rows)))


def said(run: RunDir, kind: str = "binary") -> tuple[PatientPrediction, ...]:
    classes = ["x", "y", "z"] if kind == "classes" else ["cold", "hot"]
    heads = {"heads": ["linear" if kind in ("score", "survival") else "attention"], "clusterings": []}
    raw = {"study": "hypoxia", "outcome": {"kind": kind, "classes": classes}, "train": heads}
    config = parse_config(raw, source="the test")
    return predictions_of(run, config, outcome_of(config.outcome), PATIENTS)


def row(patient_id: str, fold: int | str = 0, **values: object) -> dict[str, object]:
    return {"model": "tanh", "fold": fold, "set": "test", "id": patient_id, **values, "n_tiles": 4}


def test_calls_are_by_the_threshold_where_the_table_has_none(tmp_path: Path) -> None:
    write(tmp_path / "predictions" / "patients.csv", [row("TCGA-AA-0001", probability=0.6), row("b", probability=0.5)])
    found = said(RunDir(tmp_path))
    assert [(one.patient_id, one.label, one.said, one.call) for one in found] == [
        ("TCGA-AA-0001", 0, (0.6,), "hot"),
        ("b", 1, (0.5,), "cold"),
    ]


def test_calibrated_probabilities_and_calls_of_the_table_come_first(tmp_path: Path) -> None:
    rows = [
        row("b", fold, probability=0.9, calibrated=calibrated, call=call)
        for fold, calibrated, call in ((0, 0.2, "cold"), (1, 0.6, "cold"), (2, 0.7, "hot"))
    ]
    write(tmp_path / "predictions" / "patients.csv", rows)
    [found] = said(RunDir(tmp_path))
    assert found.said == (pytest.approx(0.5),) and found.call == "cold"


def test_distances_from_training_are_read_where_there_are_some(tmp_path: Path) -> None:
    rows = [
        row("b", probability=0.9, distance=2.5, unlike_training=1),
        row("c", probability=0.1, distance=1, unlike_training=0),
    ]
    write(tmp_path / "predictions" / "patients.csv", rows)
    assert [(one.distance, one.is_unlike) for one in said(RunDir(tmp_path))] == [(2.5, True), (1.0, False)]


def test_classes_scores_and_risks(tmp_path: Path) -> None:
    file = tmp_path / "predictions" / "patients.csv"
    write(file, [row("b", probability_x=0.2, probability_y=0.5, probability_z=0.3)])
    assert [(one.said, one.call) for one in said(RunDir(tmp_path), "classes")] == [((0.2, 0.5, 0.3), "y")]
    calibrated = {"calibrated_x": 0.1, "calibrated_y": 0.2, "calibrated_z": 0.7, "call": "z"}
    write(file, [row("b", probability_x=0.2, probability_y=0.5, probability_z=0.3, **calibrated)])
    assert [(one.said, one.call) for one in said(RunDir(tmp_path), "classes")] == [((0.1, 0.2, 0.7), "z")]
    write(file, [row("c", predicted=1.25)])
    assert [(one.said, one.call) for one in said(RunDir(tmp_path), "score")] == [((1.25,), "")]
    write(file, [row("c", risk=-0.5)])
    assert [(one.said, one.call) for one in said(RunDir(tmp_path), "survival")] == [((-0.5,), "")]
    file.unlink()
    assert said(RunDir(tmp_path)) == ()


def test_sites_are_of_a_table_or_of_the_barcode(tmp_path: Path) -> None:
    sites = {"TCGA-AA-0001": "", "b": "Ulm", "c": ""}
    write(tmp_path / "patients.csv", [{"patient_id": name, "label": "", "site": site} for name, site in sites.items()])
    split = [{"patient_id": "b", "fold": 0, "set": "test"}, {"patient_id": "c", "fold": 0, "set": "unlabelled"}]
    write(tmp_path / "split.csv", split)
    found = {one.patient_id: (one.set_name, one.site, one.tumour_type) for one in cohort_of(RunDir(tmp_path), PATIENTS)}
    assert found == {"TCGA-AA-0001": ("", "aa", "COAD"), "b": ("test", "ulm", "COAD"), "c": ("unlabelled", "", "COAD")}


def test_shares_of_clusters_are_means_over_test_patients_of_a_class(tmp_path: Path) -> None:
    shares = {("a", "test"): 0.2, ("b", "test"): 0.4, ("c", "test"): 1.0, ("d", "train"): 0.0}
    base = {"model": "k", "fold": 0, "level": "patient"}
    rows = [{**base, "set": of, "id": name, "share_0": one, "share_1": 1 - one} for (name, of), one in shares.items()]
    write(tmp_path / "predictions" / "clusters.csv", rows)
    config = parse_config({"study": "hypoxia"}, source="the test")
    [found] = clusters_of(RunDir(tmp_path), config, {"a": 0, "b": 0, "c": 1, "d": 1})
    assert (found.name, found.n_patients) == ("k", (2, 1))
    assert found.shares == ((pytest.approx(0.3), 1.0), (pytest.approx(0.7), 0.0))
