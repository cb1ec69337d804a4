"""Logistic regression from stores: scikit-learn's optimum, found in passes that can be stopped anywhere."""

import threading
from pathlib import Path

import naive
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from stopping import StopAt
from stores_of_rows import cohort

from hypoxia_hpc.config import LogisticTable
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.networks.data.rows import TrainingData, opened_rows
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, standard_arrays
from hypoxia_hpc.networks.heads.checkpoints import FILE, Checkpoints
from hypoxia_hpc.networks.heads.logistic import Objective, train_logistic
from hypoxia_hpc.networks.heads.registry import predictor
from hypoxia_hpc.networks.heads.result import Arrays

LENGTH = 12
COUNTS = (300, 40, 17, 90, 260, 33, 50, 60, 70)


def fitted(data: TrainingData, folder: Path, *, c: float = 0.3, stop: threading.Event | None = None) -> Arrays:
    checkpoints = Checkpoints(folder, "key", 60)
    stop = stop or threading.Event()
    table = LogisticTable(c=c)
    return train_logistic(table, data, seed=0, checkpoints=checkpoints, on_epoch=lambda _: None, stop=stop).arrays


def standardised(data: TrainingData, arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    with opened_rows(data) as (train, _):
        rows = np.concatenate([train.read(k, 0, int(n)) for k, n in enumerate(train.counts)])
        labels = np.repeat(train.labels, train.counts)
    return (rows.astype(np.float64) - arrays[MEAN]) / arrays[SCALE], labels


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("difference", [0.0, 0.5, 3.0])
def test_it_finds_the_optimum_that_scikit_learn_finds(tmp_path: Path, c: float, difference: float) -> None:
    data = cohort(tmp_path, COUNTS, LENGTH, difference=difference)
    arrays = fitted(data, tmp_path / "c", c=c)
    rows, labels = standardised(data, arrays)
    exact = LogisticRegression(C=c, class_weight="balanced", solver="newton-cholesky", tol=1e-12, max_iter=1000)
    exact.fit(rows, labels)
    largest = np.abs(exact.coef_).max()
    np.testing.assert_allclose(arrays["coefficients"], exact.coef_[0], rtol=0, atol=1e-4 * largest)
    np.testing.assert_allclose(arrays["intercept"], exact.intercept_, rtol=0, atol=1e-4 * largest)
    found = predictor(LogisticTable(), arrays, LENGTH)((rows * arrays[SCALE] + arrays[MEAN]).astype(np.float32))
    np.testing.assert_allclose(found, exact.predict_proba(rows)[:, 1], atol=1e-4)


def test_value_and_gradient_are_those_of_the_slow_twin(tmp_path: Path) -> None:
    data = cohort(tmp_path, (40, 30, 300), LENGTH)
    with opened_rows(data) as (train, valid):
        standard = standard_arrays(train, valid)
        objective = Objective(train, standard, 0.3)
        at = np.random.default_rng(0).normal(size=LENGTH + 1)
        value, gradient = objective(at)
    rows, labels = standardised(data, standard)

    def twin(point: np.ndarray) -> float:
        return naive.logistic_loss(rows.tolist(), labels.tolist(), point[:-1].tolist(), float(point[-1]), 0.3)

    np.testing.assert_allclose(value, twin(at), rtol=1e-6)  # class weights are float32
    for place in (0, 5, LENGTH):
        step = np.eye(LENGTH + 1)[place] * 1e-5
        np.testing.assert_allclose(gradient[place], (twin(at + step) - twin(at - step)) / 2e-5, rtol=1e-4, atol=1e-8)


def test_stopped_after_any_pass_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    data = cohort(tmp_path, COUNTS, LENGTH)
    counting = StopAt(10**6)
    whole = {name: array.tobytes() for name, array in fitted(data, tmp_path / "a", stop=counting).items()}
    passes = 10**6 - counting.left
    assert passes > 5
    for n in range(2, passes):
        counting = StopAt(n)
        with pytest.raises(Stopped, match=f"after {n - 1} passes"):
            fitted(data, tmp_path / "b", stop=counting)
        counting = StopAt(10**6)
        again = fitted(data, tmp_path / "b", stop=counting)
        assert {name: array.tobytes() for name, array in again.items()} == whole
        assert 10**6 - counting.left == passes - (n - 1)  # the passes before were not made again
        (tmp_path / "b" / FILE).unlink()


def test_a_record_of_another_path_is_not_followed(tmp_path: Path) -> None:
    data = cohort(tmp_path, COUNTS, LENGTH)
    whole = fitted(data, tmp_path / "a")
    with pytest.raises(Stopped):
        fitted(data, tmp_path / "b", stop=StopAt(5))
    checkpoints = Checkpoints(tmp_path / "b", "key", 60)
    found = checkpoints.load()
    assert found is not None
    turned = {name: array.copy() for name, array in found.arrays.items()}
    turned["at"][2] += 1e-9
    turned["value"][3] = -1e9
    checkpoints.save({}, turned)
    again = fitted(data, tmp_path / "b")
    assert {name: array.tobytes() for name, array in again.items()} == {
        name: array.tobytes() for name, array in whole.items()
    }
