"""Logistic regression on more classes than two: scikit-learn's optimum."""

import threading
from pathlib import Path

import naive
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from stores_of_rows import store

from hypoxia_hpc.config import LogisticTable, OutcomeTable
from hypoxia_hpc.networks.data.rows import TrainingData, opened_rows
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, standard_arrays
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.logistic import train_logistic
from hypoxia_hpc.networks.heads.multinomial import SoftmaxObjective
from hypoxia_hpc.networks.heads.registry import predictor
from hypoxia_hpc.outcomes.classes import Classes

LENGTH = 6
OUTCOME = Classes(OutcomeTable(kind="classes", classes=("a", "b", "c")))


def of_three(folder: Path, counts: tuple[int, ...]) -> TrainingData:
    random = np.random.default_rng(2)
    stores = []
    for number, n in enumerate(counts):
        label = number % 3
        values = random.normal(5, 1, (n, LENGTH))
        values[:, label] += 1.0
        stores.append(store(folder, f"s{number}", values.astype(np.float32), label))
    return TrainingData(tuple(stores), (), LENGTH, OUTCOME)


def rows_of(data: TrainingData) -> tuple[np.ndarray, list[int]]:
    with opened_rows(data) as (train, valid):
        standard = standard_arrays(train, valid)
        rows = np.concatenate([train.read(k, 0, int(n)) for k, n in enumerate(train.counts)]).astype(np.float64)
        return (rows - standard[MEAN]) / standard[SCALE], np.repeat(train.labels, train.counts).tolist()


def test_it_finds_the_optimum_that_scikit_learn_finds(tmp_path: Path) -> None:
    data = of_three(tmp_path, (120, 40, 70, 30, 55, 20))
    table = LogisticTable(c=0.3)
    found = train_logistic(
        table,
        data,
        seed=0,
        checkpoints=Checkpoints(tmp_path / "checkpoint", "key", 60),
        on_epoch=lambda _: None,
        stop=threading.Event(),
    ).arrays
    rows, labels = rows_of(data)
    exact = LogisticRegression(C=0.3, class_weight="balanced", solver="lbfgs", tol=1e-10, max_iter=5000)
    exact.fit(rows, labels)
    np.testing.assert_allclose(found["coefficients"].T, exact.coef_, atol=1e-4)
    said = predictor(table, found, LENGTH, OUTCOME)((rows * found[SCALE] + found[MEAN]).astype(np.float32))
    np.testing.assert_allclose(said, exact.predict_proba(rows), atol=1e-4)


def test_value_and_gradient_are_those_of_the_slow_twin(tmp_path: Path) -> None:
    data = of_three(tmp_path, (30, 20, 25))
    with opened_rows(data) as (train, valid):
        objective = SoftmaxObjective(train, standard_arrays(train, valid), 0.3)
        at = np.random.default_rng(0).normal(size=objective.n_values)
        value, gradient = objective(at)
    rows, labels = rows_of(data)

    def twin(point: np.ndarray) -> float:
        return naive.softmax_loss(rows.tolist(), labels, point[:-3].reshape(-1, 3).tolist(), point[-3:].tolist(), 0.3)

    assert value == pytest.approx(twin(at), rel=1e-6)  # class weights are float32
    for place in (0, 7, objective.n_values - 1):
        step = np.eye(objective.n_values)[place] * 1e-5
        assert gradient[place] == pytest.approx((twin(at + step) - twin(at - step)) / 2e-5, rel=1e-4, abs=1e-8)
