"""The demo finds what was planted, and nothing where nothing was planted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hypoxia_hpc.analysis.auc_intervals import auc_interval
from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.analysis.resampling import Bounds
from hypoxia_hpc.cohorts.splits import SplitRule, members_of, split_members
from hypoxia_hpc.config import TrainTable
from hypoxia_hpc.models.outputs import head_outputs
from hypoxia_hpc.networks.data.rows import LabelledStore, TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.registry import HeadTable, train_head
from hypoxia_hpc.records import Patient
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.features import FeatureRows, open_features
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

DemoOf = Callable[..., Path]
SEEDS = (1, 2, 3, 4, 5)  # fixed in advance
# A demo of 60 patients takes some two minutes on two cores: they are for the exhaustive run. One of 30 is made for the
# journey anyway.
COHORTS = [(SEEDS[0], 30), *(pytest.param(seed, 60, marks=pytest.mark.long) for seed in SEEDS)]


@pytest.mark.parametrize(("seed", "patients"), COHORTS)
def test_every_head_finds_the_planted_difference(demo_of: DemoOf, seed: int, patients: int) -> None:
    metrics = json.loads((demo_of(seed, patients=patients) / "run" / "metrics.json").read_text())
    for head in TrainTable().heads:
        area = metrics["models"][head]["test"]["patient"]["roc_auc"]
        assert area["n"] == 0.4 * patients
        assert area["low"] > (0.6 if patients == 60 else 0.5), (head, area)
        assert metrics["chance"][head]["verdict"] == "above"


@pytest.mark.long
def test_colour_and_background_alone_stay_at_chance(demo_of: DemoOf) -> None:
    """All five cohorts together, 300 patients: with the 24 test patients of one, luck alone moves the area by 0.12."""
    cohorts = [_colour_of_patients(RunDir(demo_of(seed) / "run")) for seed in SEEDS]
    values, labels = (np.concatenate(parts) for parts in zip(*cohorts, strict=True))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    called = cross_val_predict(model, values, labels, cv=folds, method="predict_proba")[:, 1]
    area = auc_interval(labels, called, confidence=0.95)
    assert len(labels) == 300
    assert abs(area.value - 0.5) <= 0.08, area
    assert area.low <= 0.5 <= area.high, area


def _colour_of_patients(run: RunDir) -> tuple[np.ndarray, np.ndarray]:
    """Mean red, green, blue, background fraction and number of kept tiles of each labelled patient; and the labels."""
    labels = {patient.patient_id: patient.label for patient in run.patients()}
    rows, known = [], []
    for slide in run.slides():
        label = labels[slide.patient_id]
        if label is not None:
            tiles = open_tiles(run.tiles(slide.slide_id))
            colour = read_pixels(tiles, 0, len(tiles.xy)).mean(axis=(0, 1, 2))
            rows.append([*colour, tiles.background.mean(), len(tiles.xy)])
            known.append(label)
    return np.array(rows), np.array(known)


def _check_chance(areas: list[Bounds], permutations: int) -> None:
    values = [area.value for area in areas]
    covered = sum(area.low <= 0.5 <= area.high for area in areas)
    assert len(values) == permutations
    assert abs(np.mean(values) - 0.5) <= 0.08, values
    assert covered >= 0.85 * permutations, areas


@pytest.mark.parametrize(
    ("head", "difference", "patients", "permutations"),
    [
        ("logistic", None, 30, 16),
        *(
            pytest.param(head, difference, 60, 20, marks=pytest.mark.long)
            for head in ("logistic", "tanh", "funnel", "attention")
            for difference in (None, 0.0)
        ),
    ],
)
def test_permuted_labels_give_chance(
    demo_of: DemoOf, tmp_path: Path, head: str, difference: float | None, patients: int, permutations: int
) -> None:
    """Permutations of the labels on the stored features, in which a difference is planted or none: each split, trained
    and measured anew."""
    run = RunDir(demo_of(SEEDS[0], difference, patients=patients) / "run")
    table: HeadTable = getattr(run.config().train, head)
    labelled = [patient for patient in run.patients() if patient.label is not None]
    slides = {slide.patient_id: slide.slide_id for slide in run.slides()}
    stores = {
        patient.patient_id: run.features(run.config().extract.name, slides[patient.patient_id]) for patient in labelled
    }
    areas = []
    for permutation in range(permutations):
        labels = np.random.default_rng(permutation).permutation([patient.label for patient in labelled])
        permuted = [Patient(one.patient_id, int(label)) for one, label in zip(labelled, labels, strict=True)]
        checkpoints = Checkpoints(tmp_path, f"{permutation}", minutes=60)
        areas.append(_auc(table, permuted, stores, checkpoints, seed=permutation))
    _check_chance(areas, permutations)


def _auc(
    table: HeadTable, patients: list[Patient], stores: dict[str, Path], checkpoints: Checkpoints, seed: int
) -> Bounds:
    rule = SplitRule((0.4, 0.2, 0.4), seed=seed)
    split = split_members(members_of(patients), rule).table.set_index("patient_id")["set"]
    sets = {
        name: [patient for patient in patients if split[patient.patient_id] == name]
        for name in ("train", "valid", "test")
    }
    values = {one.patient_id: open_features(stores[one.patient_id]).values for one in sets["test"]}
    length = values[sets["test"][0].patient_id].shape[1]
    data = TrainingData(_labelled(sets["train"], stores), _labelled(sets["valid"], stores), length)
    stop = threading.Event()
    trained = train_head(table, data, seed=seed, checkpoints=checkpoints, on_epoch=lambda _: None, stop=stop)
    outputs = head_outputs(table, trained.arrays, length)
    frames = [
        pd.DataFrame(outputs(rows.astype(np.float32))).assign(patient_id=patient_id)
        for patient_id, rows in values.items()
    ]
    pooled = pool_tiles(pd.concat(frames, ignore_index=True), "patient")
    labels = {patient.patient_id: patient.label for patient in patients}
    truth = np.array([labels[name] for name in pooled["patient_id"]])
    return auc_interval(truth, pooled["probability"].to_numpy(), confidence=0.95)


def _labelled(patients: list[Patient], stores: dict[str, Path]) -> tuple[LabelledStore, ...]:
    paths = [stores[patient.patient_id] for patient in patients]
    return tuple(
        LabelledStore(path, FeatureRows(path).n, int(patient.label or 0), patient.patient_id)
        for path, patient in zip(paths, patients, strict=True)
    )
