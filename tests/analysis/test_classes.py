"""Metrics of several classes against scikit-learn on repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from hypoxia_hpc.analysis.classes import (
    class_auc_statistic,
    class_call_names,
    class_call_statistic,
    confusion_of_classes,
)
from hypoxia_hpc.analysis.rows import point


def rows_of(n, n_classes, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    scores = np.round(generator.random((n, n_classes)) + 0.4 * np.eye(n_classes)[labels], 1) + 0.1
    return labels, scores / scores.sum(axis=1, keepdims=True), generator.integers(0, 15, n)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_equals_scikit_learn_on_repeated_rows(n_classes):
    labels, probabilities, units = rows_of(120, n_classes, n_classes)
    weights = np.random.default_rng(1).integers(0, 4, (15, 4)).astype(float)
    calls = class_call_statistic(labels, probabilities, units, 15)(weights)
    areas = class_auc_statistic(labels, probabilities, units, 15)(weights)
    for lane in range(4):
        times = weights[units, lane].astype(int)
        y, p = np.repeat(labels, times), np.repeat(probabilities, times, axis=0)
        called, every = p.argmax(axis=1), list(range(n_classes))
        f1 = metrics.f1_score(y, called, labels=every, average=None, zero_division=0)
        expected = [metrics.accuracy_score(y, called), metrics.balanced_accuracy_score(y, called), *f1, f1.mean()]
        assert calls[lane] == pytest.approx(expected, abs=1e-12)
        own = [metrics.roc_auc_score(y == number, p[:, number]) for number in every]
        assert areas[lane] == pytest.approx([*own, np.mean(own)], abs=1e-12)
        if n_classes > 2:
            assert areas[lane, -1] == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr", average="macro"))


def test_names_are_as_many_as_metrics():
    labels, probabilities, units = rows_of(30, 4, 1)
    assert class_call_names(4) == ("top1", "balanced_accuracy", "f1_0", "f1_1", "f1_2", "f1_3", "f1_macro")
    assert len(point(class_call_statistic(labels, probabilities, units, 15), 15)) == len(class_call_names(4))


def test_confusion_equals_scikit_learn():
    labels, probabilities, _ = rows_of(200, 4, 2)
    expected = metrics.confusion_matrix(labels, probabilities.argmax(axis=1))
    assert (confusion_of_classes(labels, probabilities) == expected).all()


def test_confusion_has_all_cells_and_the_first_of_equal_ones_is_called():
    found = confusion_of_classes(np.array([2, 0]), np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]))
    assert found.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_a_class_without_rows():
    labels, probabilities = np.array([0, 1, 1]), np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    areas = point(class_auc_statistic(labels, probabilities, np.arange(3), 3), 3)
    assert np.isnan(areas).tolist() == [False, False, True, True]
    calls = point(class_call_statistic(labels, probabilities, np.arange(3), 3), 3)
    assert calls.tolist() == pytest.approx([2 / 3, np.nan, 2 / 3, 2 / 3, 0, 4 / 9], nan_ok=True)
