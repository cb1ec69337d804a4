"""Metrics and baselines of whole runs, computed anew by slow code from the tables that a run leaves."""

from __future__ import annotations

import csv
import json
import threading
from typing import Any

import naive
import numpy as np
import pandas as pd
import pytest
from feature_runs import make_run

from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
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


def interval(run: RunDir, rows: list[tuple[Any, ...]]) -> tuple[float, float, float]:
    table = run.config().evaluate
    found: tuple[float, float, float] = naive.area_interval(
        rows, bootstrap=table.bootstrap, confidence=table.confidence, seed=table.seed
    )
    return found


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
    found = metrics_of(run)["logistic"]["test"]["tile"]["roc_auc"]
    expected = interval(run, rows)
    assert (found["value"], found["low"], found["high"]) == pytest.approx(expected, abs=1e-9)
    assert found["n"] == len(rows)
    rows_alone = [(str(number), *row[1:]) for number, row in enumerate(rows)]
    assert (found["low"], found["high"]) != pytest.approx(interval(run, rows_alone)[1:], abs=1e-3), (
        "rows would not show"
    )


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_every_metric_of_slides_and_patients_is_that_of_the_twin(run: RunDir, level: str) -> None:
    sets, patients = sets_of(run), patients_of(run)
    owners = {slide.slide_id: slide.patient_id for slide in run.slides()} | {name: name for name in patients}
    pooled = pd.read_csv(run.predictions / f"{level}s.csv")
    pooled = pooled[(pooled["model"] == "logistic") & pooled["fold"].notna()]
    mine = pooled[[sets[owners[row.id], int(row.fold)] == "test" for row in pooled.itertuples()]]
    ids = np.array([owners[name] for name in mine["id"]])
    labels = np.array([patients[name][0] for name in ids])
    table = run.config().evaluate
    expected = naive.binary_metrics(
        labels,
        mine["probability"].to_numpy(),
        ids,
        threshold=table.threshold,
        bootstrap=table.bootstrap,
        confidence=table.confidence,
        seed=table.seed,
    )
    for name, found in metrics_of(run)["logistic"]["test"][level].items():
        assert (found["value"], found["low"], found["high"]) == pytest.approx(expected[name], abs=1e-9), name


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
    table = run.config().evaluate
    rows = list(zip(tested["id"], tested["label"], tested["probability"], strict=True))
    expected = naive.area_interval(rows, bootstrap=table.bootstrap, confidence=table.confidence, seed=table.seed)
    assert (found["value"], found["low"], found["high"]) == pytest.approx(expected, abs=1e-9)
