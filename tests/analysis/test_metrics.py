"""Metrics and their intervals against scikit-learn on the resampled rows, and against theory."""

import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score

from hypoxia_hpc.analysis.bootstrap import LANES
from hypoxia_hpc.analysis.metrics import (
    COUNT_METRICS,
    Interval,
    binary_metrics,
    confusion,
    roc_points,
)
from hypoxia_hpc.errors import InputError

USUAL = {"threshold": 0.5, "bootstrap": 70, "confidence": 0.95, "seed": 3}


def cohort(n, n_patients, seed, *, steps=None, shift=0.15):
    """Rows in any order; with ``steps``, probabilities of few values, so that many tie."""
    generator = np.random.default_rng(seed)
    patient = generator.integers(0, n_patients, n)
    labels = patient % 2
    probabilities = np.clip(generator.random(n) + shift * (labels - 0.5), 0, 1)
    if steps:
        probabilities = np.round(probabilities * steps) / steps
    return labels, probabilities.astype(np.float32), np.array([f"p{i}" for i in patient], dtype=object)


@pytest.mark.parametrize("steps", [None, 1, 4])
@pytest.mark.parametrize(("n", "n_patients"), [(400, 30), (40, 40), (9, 3), (60, 2)])
def test_equals_scikit_learn_on_the_resampled_rows(n, n_patients, steps):
    rows = cohort(n, n_patients, n + n_patients, steps=steps)
    fast, slow = binary_metrics(*rows, **USUAL), naive.binary_metrics(*rows, **USUAL)
    assert list(fast) == list(slow)
    for name, interval in fast.items():
        assert (interval.value, interval.low, interval.high) == pytest.approx(slow[name], abs=1e-12), name
        assert interval.n == n


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=25),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_point_values_for_any_rows(rows, threshold):
    # Labels differ within a patient here, one class may be missing, values lie on the threshold.
    labels, steps, patients = (np.array(column) for column in zip(*rows, strict=True))
    got = binary_metrics(
        labels, steps / 4, patients.astype(str), threshold=threshold, bootstrap=1, confidence=0.9, seed=0
    )
    for name, expected in naive.metric_values(labels, steps / 4, threshold).items():
        value = got[name].value
        assert (value is None) if math.isnan(expected) else value == pytest.approx(expected, abs=1e-12)


def test_number_of_resamples_across_blocks():
    # 2 * LANES + 6 resamples were drawn above in three blocks; here the first of them alone.
    rows = cohort(200, 20, 1)
    for bootstrap in (1, LANES, LANES + 1):
        usual = USUAL | {"bootstrap": bootstrap}
        fast, slow = binary_metrics(*rows, **usual), naive.binary_metrics(*rows, **usual)
        assert (fast["roc_auc"].low, fast["roc_auc"].high) == pytest.approx(slow["roc_auc"][1:], abs=1e-12)


def test_same_seed_same_result_and_order_does_not_matter():
    labels, probabilities, patients = cohort(300, 25, 2, steps=10)
    order = np.random.default_rng(0).permutation(300)
    there = binary_metrics(labels, probabilities, patients, **USUAL)
    assert binary_metrics(labels[order], probabilities[order], patients[order], **USUAL) == there
    assert binary_metrics(labels, probabilities, patients, **(USUAL | {"seed": 4})) != there


def test_patients_are_resampled_not_rows():
    # Every row a hundred times over changes no metric and must narrow no interval.
    labels, probabilities, patients = cohort(40, 20, 3)
    once = binary_metrics(labels, probabilities, patients, **USUAL)
    often = binary_metrics(*(np.repeat(column, 100) for column in (labels, probabilities, patients)), **USUAL)
    for name, interval in once.items():
        assert often[name] == Interval(
            *map(pytest.approx, (interval.value, interval.low, interval.high)), n=len(labels) * 100
        )


def test_intervals_cover():
    # 200 cohorts of 60 patients, AUC of N(0, 1) against N(1, 1): 0.7602. 95 % intervals that hold it: 190, sd 3.1; the
    # percentile interval of so few is known to be a little short.
    generator, hits, labels = np.random.default_rng(5), 0, np.arange(60) % 2
    for seed in range(200):
        scores = generator.normal(labels)
        ranks = scores.argsort().argsort() / 59
        auc = binary_metrics(labels, ranks, np.arange(60).astype(str), **(USUAL | {"bootstrap": 300, "seed": seed}))[
            "roc_auc"
        ]
        assert auc.low is not None
        assert auc.high is not None
        hits += auc.low <= 0.7602 <= auc.high
    assert 178 <= hits <= 199


def test_one_class_has_no_area():
    metrics = binary_metrics(np.ones(6, int), np.linspace(0, 1, 6), np.array(list("aabbcc")), **USUAL)
    assert metrics["roc_auc"] == Interval(None, None, None, 6)
    assert metrics["f1_0"].value == 0
    assert metrics["accuracy"].value == 0.5


def test_one_patient_has_no_interval():
    metrics = binary_metrics(np.array([0, 1]), np.array([0.2, 0.7]), np.array(["a", "a"]), **USUAL)
    assert metrics == dict.fromkeys((*COUNT_METRICS, "roc_auc"), Interval(1.0, None, None, 2))


def test_no_rows():
    metrics = binary_metrics(np.zeros(0, int), np.zeros(0), np.zeros(0, dtype=object), **USUAL)
    assert metrics == dict.fromkeys((*COUNT_METRICS, "roc_auc"), Interval(None, None, None, 0))


def test_resamples_with_one_class_are_left_out_of_the_area():
    # Two patients: half the resamples draw one of them twice. The others see both, with an area of 1.
    metrics = binary_metrics(np.array([0, 1]), np.array([0.2, 0.7]), np.array(["a", "b"]), **USUAL)
    assert metrics["roc_auc"] == Interval(1.0, 1.0, 1.0, 2)


def test_the_threshold_itself_is_not_above_it():
    labels, probabilities = np.array([0, 1, 1]), np.array([0.5, 0.5, 0.6])
    assert confusion(labels, probabilities, 0.5).tolist() == [[1, 0], [1, 1]]
    assert binary_metrics(labels, probabilities, np.array(list("abc")), **USUAL)["accuracy"].value == pytest.approx(
        2 / 3
    )


def test_confusion_equals_scikit_learn():
    labels, probabilities, _ = cohort(200, 20, 6)
    assert (confusion(labels, probabilities, 0.4) == confusion_matrix(labels, probabilities > 0.4)).all()


@pytest.mark.parametrize(
    ("labels", "probabilities", "item"),
    [
        ([0, 2], [0.1, 0.2], "1 labels are not 0 or 1: 2"),
        ([0, 1], [0.1, math.nan], "1 probabilities are not in 0..1: nan"),
        ([0, 1], [-0.1, 1.2], "2 probabilities are not in 0..1: -0.1, 1.2"),
        ([*range(14)], [0.5] * 14, "12 labels are not 0 or 1: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ..."),
        ([3, 1, 3], [0.5] * 3, "2 labels are not 0 or 1: 3"),
    ],
)
def test_rows_that_cannot_be_measured(labels, probabilities, item):
    with pytest.raises(InputError) as caught:
        binary_metrics(np.array(labels), np.array(probabilities), np.array(["a"] * len(labels)), **USUAL)
    assert caught.value.problem == "metrics cannot be computed from these predictions"
    assert caught.value.offending == (item,)
    assert caught.value.remedy.startswith("mend the values that were given; in a run, mend the labels in patients.csv")


def test_confusion_has_four_cells_whatever_occurs():
    assert confusion(np.array([0]), np.array([0.1]), 0.5).tolist() == [[1, 0], [0, 0]]


def test_roc_points_enclose_the_area():
    labels, probabilities, _ = cohort(500, 50, 7, steps=20)
    points = roc_points(labels, probabilities)
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-12)
    assert roc_points(np.ones(3, int), np.zeros(3)).shape == (0, 2)


def test_roc_points_are_corners_alone():
    labels, probabilities = np.array([0, 0, 0, 1, 1, 1]), np.linspace(0, 1, 6)
    assert roc_points(labels, probabilities).tolist() == [[0, 0], [0, 1 / 3], [0, 1], [1, 1]]
