"""Metrics and baselines of whole runs, computed anew by slow code from the tables that a run leaves."""

from __future__ import annotations

import csv
import json
import threading
from dataclasses import asdict
from typing import Any

import naive
import numpy as np
import pandas as pd
import pytest
from feature_runs import make_run

from hypoxia_hpc.analysis.calibration import fit_calibration
from hypoxia_hpc.analysis.call_intervals import call_intervals
from hypoxia_hpc.analysis.measures import binary_intervals
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir, metrics_content
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.train import train


@pytest.fixture(scope="module", params=[1, 3], ids=["one split", "folds"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Logistic regression, which needs no backend, on 32 patients of three tumour types; a third has two slides."""
    table = {"heads": ["logistic"], "clusterings": [], "folds": request.param, "split": [0.4, 0.2, 0.4]}
    made = make_run(tmp_path_factory.mktemp("evaluated") / "run", table, difference=1.0, n_unlabelled=2)
    train(made, progress=NoProgress(), stop=threading.Event())
    evaluate(made, progress=NoProgress(), stop=threading.Event())
    return made


def metrics_of(run: RunDir) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.metrics_file.read_text())["models"]
    return found


def patients_of(run: RunDir) -> dict[str, tuple[int | None, str]]:
    with run.patients_file.open() as file:
        rows = list(csv.DictReader(file))
    return {row["patient_id"]: (int(row["label"]) if row["label"] else None, row["tumour_type"]) for row in rows}


def sets_of(run: RunDir) -> dict[tuple[str, int], str]:
    with run.split_file.open() as file:
        return {(row["patient_id"], int(row["fold"])): row["set"] for row in csv.DictReader(file)}


def close(found: dict[str, Any], expected: Interval) -> None:
    bounds = (expected.value, expected.low, expected.high)
    for ours, theirs in zip((found["value"], found["low"], found["high"]), bounds, strict=True):
        assert ours == (None if theirs is None or np.isnan(theirs) else pytest.approx(theirs, abs=1e-9))
    assert found["n"] == expected.n


def test_intervals_of_tiles_are_over_patients(run: RunDir) -> None:
    """Labels from patients.csv and sets from split.csv, nothing but probabilities from tiles.parquet."""
    sets, patients = sets_of(run), patients_of(run)
    tiles = pd.read_parquet(run.predictions / "tiles.parquet")
    rows = [
        (tile.patient_id, patients[tile.patient_id][0], tile.probability)
        for tile in tiles.itertuples()
        if not pd.isna(tile.fold) and sets[tile.patient_id, tile.fold] == "test"
    ]
    assert len(rows) > 2 * len({patient_id for patient_id, _, _ in rows})
    owners, labels, said = (np.array(column) for column in zip(*rows, strict=True))
    found = metrics_of(run)["logistic"]["test"]["tile"]
    assert found["roc_auc"]["value"] == pytest.approx(naive.area(labels, said), abs=1e-9)
    config = run.config()
    settings = {"threshold": 0.5, "confidence": config.evaluate.confidence, "folds": config.train.folds}
    for name, expected in binary_intervals(labels, said, units=owners, **settings).items():
        close(found[name], expected)
    alone = binary_intervals(labels, said, **settings)["roc_auc"]
    assert (found["roc_auc"]["low"], found["roc_auc"]["high"]) != pytest.approx((alone.low, alone.high), abs=1e-3)


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_every_metric_of_slides_and_patients_is_of_calibrated_probabilities(run: RunDir, level: str) -> None:
    sets, patients = sets_of(run), patients_of(run)
    owners = {slide.slide_id: slide.patient_id for slide in run.slides()} | {name: name for name in patients}
    pooled = pd.read_csv(run.predictions / f"{level}s.csv")
    pooled = pooled[(pooled["model"] == "logistic") & pooled["fold"].notna()]
    mine = pooled[[sets[owners[row.id], int(row.fold)] == "test" for row in pooled.itertuples()]]
    ids = np.array([owners[name] for name in mine["id"]])
    labels = np.array([patients[name][0] for name in ids])
    said, called = mine["calibrated"].to_numpy(), (mine["calibrated"] > mine["threshold"]).to_numpy()
    assert mine["call"].tolist() == [("normoxic", "hypoxic")[int(one)] for one in called]
    units, confidence = None if level == "patient" else ids, run.config().evaluate.confidence
    folds = run.config().train.folds
    found = metrics_of(run)["logistic"]["test"][level]
    expected = binary_intervals(labels, said, threshold=0.5, confidence=confidence, units=units, folds=folds)
    chosen = call_intervals(labels, called, confidence=confidence, units=units)
    expected |= {f"chosen_{name}": Interval(*bounds, len(labels)) for name, bounds in chosen.items()}
    assert set(found) == set(expected)
    for name, one in expected.items():
        close(found[name], one)


def test_calls_and_thresholds_are_fitted_on_validation_patients_alone(run: RunDir) -> None:
    called = pd.read_csv(run.predictions / "patients.csv")
    called = called[called["model"] == "logistic"]
    for operating in json.loads(run.metrics_file.read_text())["operating"]["logistic"]:
        mine = called[called["fold"] == operating["fold"]]
        valid = mine[(mine["set"] == "valid") & mine["label"].notna()]
        labels, said = valid["label"].to_numpy(dtype=int), valid["probability"].to_numpy()
        expected = fit_calibration(labels, said, _log_odds(mine[mine["set"] == "train"]))
        assert operating["calibration"] == pytest.approx(asdict(expected))
        assert mine["calibrated"].to_numpy() == pytest.approx(expected.apply(mine["probability"].to_numpy()))


def _log_odds(train: pd.DataFrame) -> float:
    """Logistic regression is balanced: what it added to the log-odds of the positive class."""
    return float(np.log((train["label"] == 0).sum() / (train["label"] == 1).sum()))


def test_the_baseline_knows_training_patients_alone(run: RunDir) -> None:
    sets, patients = sets_of(run), patients_of(run)
    folds = range(run.config().train.folds)
    training = [[name for name in patients if sets.get((name, fold)) == "train"] for fold in folds]
    called = pd.read_csv(run.predictions / "patients.csv")
    baseline = called[called["model"] == "tumour-type"]
    logistic = called[called["model"] == "logistic"]
    assert list(baseline["id"]) == list(logistic["id"])
    for row in baseline.itertuples():
        seen = folds if pd.isna(row.fold) else [int(row.fold)]
        shares = [naive.type_share(patients[row.id][1], patients, training[fold]) for fold in seen]
        assert row.probability == pytest.approx(sum(shares) / len(shares), abs=1e-12), row.id
        assert row.n_tiles == 0
    tested = baseline[baseline["set"] == "test"]
    found = metrics_of(run)["tumour-type"]["test"]["patient"]["roc_auc"]
    areas = {
        fold: naive.area(own["label"].to_numpy(), own["probability"].to_numpy()) for fold, own in tested.groupby("fold")
    }
    expected = sum(areas[fold] * len(own) for fold, own in tested.groupby("fold")) / len(tested)
    assert found["value"] == pytest.approx(expected), "what the folds say is ranked together"


def test_what_is_said_beside_the_metrics(run: RunDir) -> None:
    metrics = json.loads(run.metrics_file.read_text())
    assert metrics["schema"] == 2
    assert set(metrics["models"]) == {"logistic", "majority-class", "tumour-type", "n-tiles"}
    assert set(metrics["compared"]) == {"majority-class", "tumour-type", "n-tiles"}
    assert metrics["lead"]["model"] == "logistic"
    assert metrics["chance"]["logistic"]["method"] == ("exact" if run.config().train.folds == 1 else "interval")
    assert sum(one["n"] for one in metrics["groups"]["tumour_type"]) == metrics["compared"]["n-tiles"]["n"]
    assert {one["check"] for one in metrics["unchecked"]} >= {"comparison with site"}
    assert run.metrics() is not None
    metrics["warnings"] = []
    assert metrics_content(metrics) != metrics["content"], "a warning could be taken out without anyone seeing it"
