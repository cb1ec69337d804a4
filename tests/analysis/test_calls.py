"""Metrics of calls against scikit-learn; thresholds by their definition; net benefit by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from hypoxia_hpc.analysis.calls import (
    CALL_METRICS,
    call_cells,
    call_metrics,
    call_statistic,
    decision_curve,
    sensitivity_threshold,
    youden_threshold,
)
from hypoxia_hpc.errors import InputError

ROWS = st.lists(st.tuples(st.integers(0, 1), st.booleans()), min_size=1, max_size=25)


def by_scikit_learn(labels, called):
    def recall(of, label):
        return metrics.recall_score(labels, of, pos_label=label, zero_division=math.nan)

    def precision(of, label):
        return metrics.precision_score(labels, of, pos_label=label, zero_division=math.nan)

    f1 = metrics.f1_score(labels, called, labels=[0, 1], average=None, zero_division=0)
    sensitivity, specificity = recall(called, 1), recall(called, 0)
    return {
        "accuracy": metrics.accuracy_score(labels, called),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "f1_0": f1[0],
        "f1_1": f1[1],
        "f1_micro": metrics.f1_score(labels, called, labels=[0, 1], average="micro", zero_division=0),
        "f1_macro": metrics.f1_score(labels, called, labels=[0, 1], average="macro", zero_division=0),
        "mcc": metrics.matthews_corrcoef(labels, called) if len(set(labels.tolist() + called.tolist())) > 1 else 0.0,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": precision(called, 1),
        "npv": precision(called, 0),
    }


@settings(max_examples=30)
@given(ROWS)
def test_equals_scikit_learn(rows):
    labels, called = (np.array(column).astype(int) for column in zip(*rows, strict=True))
    [found] = call_metrics(call_cells(labels, called == 1).sum(axis=0, keepdims=True))
    expected = by_scikit_learn(labels, called)
    assert tuple(expected) == CALL_METRICS
    assert found.tolist() == pytest.approx(list(expected.values()), abs=1e-12, nan_ok=True)


def test_balanced_accuracy_equals_scikit_learns_where_both_classes_are_there():
    generator = np.random.default_rng(1)
    labels, called = generator.integers(0, 2, 60), generator.random(60) > 0.4
    [found] = call_metrics(call_cells(labels, called).sum(axis=0, keepdims=True))
    assert found[1] == pytest.approx(metrics.balanced_accuracy_score(labels, called))


def test_a_statistic_is_of_repeated_rows():
    generator = np.random.default_rng(2)
    labels, called, units = generator.integers(0, 2, 50), generator.random(50) > 0.5, generator.integers(0, 8, 50)
    weights = generator.integers(0, 4, (8, 5)).astype(float)
    for lane, got in enumerate(call_statistic(labels, called, units, 8)(weights)):
        times = weights[units, lane].astype(int)
        expected = by_scikit_learn(np.repeat(labels, times), np.repeat(called, times).astype(int))
        assert got.tolist() == pytest.approx(list(expected.values()), abs=1e-12, nan_ok=True)


# --- thresholds ---------------------------------------------------------------------------------------------------


def shares(labels, probabilities, threshold):
    called = probabilities > threshold
    return np.mean(called[labels == 1]), np.mean(~called[labels == 0])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=20), st.floats(0, 1))
def test_no_other_threshold_is_better(rows, wanted):
    labels, steps = (np.array(column) for column in zip(*rows, strict=True))
    probabilities = steps / 6
    if len(np.unique(labels)) < 2:
        with pytest.raises(InputError, match="one class"):
            youden_threshold(labels, probabilities)
        return
    every = np.linspace(0, 1, 400)
    best, youden = (
        max(sum(shares(labels, probabilities, each)) for each in every),
        youden_threshold(labels, probabilities),
    )
    assert (youden is None) == (best <= 1 + 1e-12)
    assert youden is None or sum(shares(labels, probabilities, youden)) >= best - 1e-12
    found = shares(labels, probabilities, sensitivity_threshold(labels, probabilities, wanted))
    possible = [pair for pair in (shares(labels, probabilities, each) for each in every) if pair[0] >= wanted]
    if possible:
        assert found[0] >= wanted - 1e-12
        assert found[1] >= max(specificity for _, specificity in possible) - 1e-12


def test_of_several_thresholds_the_one_nearest_a_half():
    assert youden_threshold(np.array([0, 1, 0, 1]), np.array([0.1, 0.3, 0.5, 0.7])) == pytest.approx(0.6)
    # Halfway between neighbours, so that those of a hair's breadth do not decide.
    assert youden_threshold(np.array([0, 1]), np.array([0.2, 0.8])) == pytest.approx(0.5)


@pytest.mark.parametrize("probabilities", [[0.3] * 4, [0.9, 0.9, 0.1, 0.1], [0.0] * 4])
def test_no_threshold_where_none_is_better_than_calling_everyone_the_same(probabilities):
    assert youden_threshold(np.array([0, 0, 1, 1]), np.array(probabilities)) is None


def test_a_wanted_sensitivity_by_hand():
    labels, probabilities = np.array([1, 1, 1, 1, 0, 0]), np.array([0.9, 0.7, 0.5, 0.2, 0.6, 0.1])
    assert sensitivity_threshold(labels, probabilities, 0.75) == pytest.approx(0.35)
    assert sensitivity_threshold(labels, probabilities, 0.5) == pytest.approx(0.65)
    assert sensitivity_threshold(labels, probabilities, 1.0) == pytest.approx(0.15)


def test_a_probability_of_zero_is_above_no_threshold():
    labels, probabilities = np.array([1, 1, 0]), np.array([0.0, 0.9, 0.5])
    assert sensitivity_threshold(labels, probabilities, 1.0) == 0
    assert shares(labels, probabilities, 0.0) == (0.5, 0)


# --- net benefit --------------------------------------------------------------------------------------------------


def test_decision_curve_by_hand():
    labels, probabilities = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.3, 0.6, 0.1, 0.2])
    curve = decision_curve(labels, probabilities, np.array([0.2, 0.5]))
    # At 0.2: 2 true, 1 false positive (0.2 itself is not above), odds 1/4. At 0.5: one of each, odds 1.
    assert curve["model"].tolist() == pytest.approx([(2 - 0.25) / 5, 0])
    assert curve["treat_all"].tolist() == pytest.approx([0.4 - 0.6 / 4, 0.4 - 0.6])
    assert curve["treat_none"].tolist() == [0, 0]
    assert curve["threshold"].tolist() == [0.2, 0.5]


def test_a_model_that_calls_everyone_is_treating_all():
    labels = np.array([1, 0, 0, 1])
    curve = decision_curve(labels, np.ones(4), np.linspace(0.05, 0.95, 7))
    assert curve["model"].tolist() == pytest.approx(curve["treat_all"].tolist())


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_thresholds_without_odds(threshold):
    with pytest.raises(InputError, match="between 0 and 1"):
        decision_curve(np.array([0, 1]), np.array([0.1, 0.9]), np.array([0.5, threshold]))
