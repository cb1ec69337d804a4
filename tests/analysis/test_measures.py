"""Every metric of an outcome with its interval: each the one that its own function gives, and honest at the ends."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss

from hypoxia_hpc.analysis.auc_intervals import auc_interval
from hypoxia_hpc.analysis.call_intervals import call_intervals
from hypoxia_hpc.analysis.calls import CALL_METRICS
from hypoxia_hpc.analysis.intervals import bounded_interval, newcombe_interval, wilson_interval
from hypoxia_hpc.analysis.measures import (
    binary_intervals,
    class_intervals,
    score_intervals,
    survival_intervals,
    within_interval,
)
from hypoxia_hpc.analysis.metrics import Interval
from hypoxia_hpc.analysis.reliability import calibration_slope
from hypoxia_hpc.errors import InputError


def patients_of(n, seed, effect=1.0):
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % 2)
    return labels, expit(generator.normal(size=n) + effect * (labels - 0.5))


def test_binary_metrics_and_where_each_comes_from():
    labels, probabilities = patients_of(40, 1)
    found = binary_intervals(labels, probabilities, threshold=0.4, confidence=0.9)
    assert set(found) == {
        "prevalence",
        "roc_auc",
        "average_precision",
        "brier",
        *CALL_METRICS,
        "calibration_intercept",
        "calibration_slope",
    }
    assert found["roc_auc"] == Interval(*auc_interval(labels, probabilities, confidence=0.9), 40)
    assert found["average_precision"].value == pytest.approx(average_precision_score(labels, probabilities))
    assert found["prevalence"] == Interval(0.5, *wilson_interval(0.5, 40, 0.9), 40)
    assert found["brier"].value == pytest.approx(brier_score_loss(labels, probabilities))
    for name, bounds in call_intervals(labels, probabilities > 0.4, confidence=0.9).items():
        assert found[name] == Interval(*bounds, 40)
    slope = found["calibration_slope"]
    assert (slope.value, slope.low, slope.high) == pytest.approx(calibration_slope(labels, probabilities, 0.9))


def test_24_patients_all_right_have_no_interval_of_width_zero():
    labels = np.repeat([0, 1], 12)
    found = binary_intervals(labels, 0.1 + 0.8 * labels, threshold=0.5, confidence=0.95)
    for name in ("roc_auc", "average_precision", *CALL_METRICS):
        assert found[name].value == found[name].high == 1
        assert found[name].low < 0.93, name
    assert found["calibration_slope"] == Interval(None, None, None, 24)
    assert found["brier"].low < 0.01 < found["brier"].high


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 4)), max_size=20))
def test_bounds_hold_whatever_the_rows(rows):
    labels, steps, units = (
        (np.array(column, dtype=int) for column in zip(*rows, strict=True)) if rows else np.zeros((3, 0), int)
    )
    for drawn in (None, units.astype(str)):
        found = binary_intervals(labels, steps / 5, threshold=0.5, confidence=0.95, units=drawn)
        for name, each in found.items():
            assert each.n == len(rows)
            assert (each.low is None) == (each.high is None)
            if each.low is not None:
                assert each.low - 1e-9 <= each.value <= each.high + 1e-9, name


def test_labels_that_cannot_be_measured():
    with pytest.raises(InputError, match="metrics cannot be computed"):
        binary_intervals(np.array([0, 2]), np.array([0.1, 0.2]), threshold=0.5, confidence=0.95)


def test_tiles_go_by_how_much_patients_differ():
    labels, probabilities = patients_of(30, 2)
    once = binary_intervals(labels, probabilities, threshold=0.5, confidence=0.95)
    rows = np.repeat(labels, 50), np.repeat(probabilities, 50)
    tiles = binary_intervals(*rows, threshold=0.5, confidence=0.95, units=np.repeat(np.arange(30), 50).astype(str))
    for name, each in once.items():
        assert tiles[name].value == pytest.approx(each.value)
        assert tiles[name].n == 1500
        assert tiles[name].high - tiles[name].low == pytest.approx(each.high - each.low, rel=0.25), name


@pytest.mark.parametrize(("n_sites", "has"), [(2, False), (5, False), (6, True)])
def test_few_sites_are_not_bootstrapped(n_sites, has):
    truth, sites = np.arange(30.0), [f"s{number % n_sites}" for number in range(30)]
    predicted = truth + np.random.default_rng(1).normal(size=30)
    found = score_intervals(truth, predicted, confidence=0.95, bootstrap=50, seed=1, units=sites)
    assert [found[name].low is not None for name in ("spearman", "r2", "mae")] == [True, has, has]


def test_one_row_a_unit_is_no_unit():
    """One slide a patient: metrics of slides and patients are the same, with the same intervals."""
    (labels, probabilities), ids = patients_of(40, 5), [f"u{(7 * number) % 40}" for number in range(40)]
    classes, three = np.arange(40) % 3, np.column_stack([probabilities, 0.3 * labels, 1 - probabilities])
    measured = [
        lambda units: binary_intervals(labels, probabilities, threshold=0.5, confidence=0.95, units=units),
        lambda units: class_intervals(classes, three, confidence=0.95, units=units),
        lambda units: score_intervals(labels, probabilities, confidence=0.95, bootstrap=50, seed=1, units=units),
        lambda units: survival_intervals(1 + probabilities, labels, probabilities, confidence=0.95, units=units),
        lambda units: {"": within_interval(labels, probabilities, classes.tolist(), confidence=0.95, units=units)},
    ]
    for each in measured:
        assert each(ids) == each(None)
        assert each([name[:2] for name in ids]) != each(None)


@pytest.mark.parametrize("by_unit", [False, True])
def test_the_order_of_the_rows_does_not_matter_to_the_last_bit(by_unit):
    labels, probabilities = patients_of(90, 8)
    generator = np.random.default_rng(9)
    units, order = np.array([f"u{number}" for number in generator.integers(0, 25, 90)]), generator.permutation(90)
    three = np.column_stack([probabilities, generator.random(90), 1 - probabilities])
    time = generator.random(90)

    def measured(rows):
        ids = {"units": units[rows] if by_unit else None, "confidence": 0.95}
        y, p = labels[rows], probabilities[rows]
        yield binary_intervals(y, p, threshold=0.5, **ids)
        yield class_intervals((3 * time).astype(int)[rows], three[rows], **ids)
        yield score_intervals(time[rows], p, bootstrap=40, seed=1, **ids)
        yield survival_intervals(time[rows], y, p, **ids)
        yield within_interval(y, p, [f"g{number}" for number in (rows % 4).tolist()], **ids)

    for there, turned in zip(measured(np.arange(90)), measured(order), strict=True):
        assert turned == there


def test_classes():
    generator = np.random.default_rng(3)
    labels = np.arange(45) % 3
    scores = generator.random((45, 3)) + 0.6 * np.eye(3)[labels]
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    found = class_intervals(labels, probabilities, confidence=0.95)
    assert list(found)[:4] == ["roc_auc_0", "roc_auc_1", "roc_auc_2", "roc_auc_macro"]
    for number in range(3):
        own, area = naive.area((labels == number).astype(int), probabilities[:, number]), found[f"roc_auc_{number}"]
        assert (area.value, area.low, area.high) == pytest.approx((own, *newcombe_interval(own, 15, 30, 0.95)))
    right = np.mean(probabilities.argmax(axis=1) == labels)
    assert found["top1"] == Interval(right, *wilson_interval(right, 45, 0.95), 45)
    assert all(each.low <= each.value <= each.high for each in found.values())
    slides = class_intervals(labels, probabilities, confidence=0.95, units=(np.arange(45) // 3).astype(str))
    assert slides["top1"].value == found["top1"].value
    assert slides["top1"].low != found["top1"].low


def test_a_class_that_is_absent_has_no_metrics():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.4, 0.5, 0.1]])
    found = class_intervals(np.array([0, 1, 0, 1]), probabilities, confidence=0.95)
    assert found["roc_auc_2"] == found["roc_auc_macro"] == Interval(None, None, None, 4)
    assert found["top1"].value == 1
    assert found["f1_macro"].low is None
    assert class_intervals(np.zeros(0, int), np.zeros((0, 2)), confidence=0.95)["top1"] == Interval(None, None, None, 0)


def test_perfect_classes_have_an_interval():
    labels = np.arange(30) % 3
    found = class_intervals(labels, np.eye(3)[labels] * 0.7 + 0.1, confidence=0.95)
    for name, each in found.items():
        assert each.value == each.high == 1
        assert 0.5 < each.low < 0.97, name


def test_scores():
    generator = np.random.default_rng(4)
    truth = generator.normal(size=50)
    predicted = truth + generator.normal(size=50)
    found = score_intervals(truth, predicted, confidence=0.95, bootstrap=200, seed=1)
    assert found == score_intervals(truth, predicted, confidence=0.95, bootstrap=200, seed=1)
    assert all(each.low < each.value < each.high and each.n == 50 for each in found.values())
    fisher = np.tanh(np.arctanh(found["spearman"].value) + np.array([-1.96, 1.96]) * 1.06 / np.sqrt(47))
    assert (found["spearman"].low, found["spearman"].high) == pytest.approx(fisher, abs=0.05)
    other = score_intervals(truth, predicted, confidence=0.95, bootstrap=200, seed=2)
    assert other["mae"] != found["mae"]
    assert other["spearman"] == found["spearman"]


def test_a_cross_validation_widens_intervals_of_scores():
    """By the root of 1 + k / (k - 1), within what the metrics can be."""
    generator = np.random.default_rng(4)
    truth = generator.normal(size=50)
    predicted = truth + generator.normal(size=50)
    alone, pooled = (
        score_intervals(truth, predicted, confidence=0.95, bootstrap=200, seed=1, folds=folds) for folds in (1, 5)
    )
    for name in ("r2", "mae"):
        one, other = alone[name], pooled[name]
        assert other.value == one.value
        reaches = (other.value - other.low) / (one.value - one.low), (other.high - other.value) / (one.high - one.value)
        assert reaches == pytest.approx((1.5, 1.5))
    near = score_intervals(truth, truth + (np.arange(50) == 3), confidence=0.95, bootstrap=200, seed=1, folds=2)
    assert near["mae"].low >= 0
    assert near["r2"].high <= 1


def test_a_perfect_rank_correlation_has_an_interval():
    found = score_intervals(np.arange(20.0), np.arange(20.0) ** 3, confidence=0.95, bootstrap=50, seed=1)["spearman"]
    assert found.value == pytest.approx(1)
    assert 0.4 < found.low < 0.8


def test_survival():
    generator = np.random.default_rng(5)
    risk = generator.normal(size=60)
    time, event = generator.exponential(np.exp(-risk)), (generator.random(60) < 0.7).astype(int)
    found = survival_intervals(time, event, risk, confidence=0.95)
    assert found["harrell"].value == pytest.approx(naive.concordance(time, event, risk))
    assert found["uno"].value == pytest.approx(naive.concordance(time, event, risk, weighted=True))
    assert all(each.low < each.value < each.high and each.n == 60 for each in found.values())
    assert found["harrell"].low > 0.5
    assert survival_intervals(time, np.zeros(60, int), risk, confidence=0.95)["uno"] == Interval(None, None, None, 60)


def test_within_groups():
    labels, scores = patients_of(60, 6)
    groups = [*"AB"] * 29 + ["C", "C"]
    labels[-2:] = 1  # nobody of C is in a pair
    found = within_interval(labels, scores, groups, confidence=0.95)
    assert found.value == pytest.approx(naive.area_within(labels, scores, groups))
    assert found.n == 58
    assert 0 <= found.low < found.value < found.high <= 1
    assert within_interval(labels, scores, range(60), confidence=0.95) == Interval(None, None, None, 0)


def within_coverage(cohorts, n_groups, n):
    generator, hits = np.random.default_rng(7), 0
    for _ in range(cohorts):
        groups = generator.integers(0, n_groups, n)
        labels = (generator.random(n) < np.array([0.8, 0.2])[groups % 2]).astype(int)
        scores = generator.normal(size=n_groups)[groups] + generator.normal(size=n)
        found = within_interval(labels, scores, groups.tolist(), confidence=0.95)
        hits += found.low is None or found.low <= 0.5 <= found.high
    return hits / cohorts


def test_intervals_within_groups_cover():
    assert within_coverage(60, 4, 40) >= 0.88


@pytest.mark.long
@pytest.mark.parametrize(("n_groups", "n"), [(2, 24), (6, 60), (8, 200), (20, 60)])
def test_intervals_within_groups_cover_everywhere(n_groups, n):
    assert within_coverage(400, n_groups, n) >= 0.92


def test_average_precision_goes_by_the_jackknife_and_the_positive_patients():
    labels, probabilities = patients_of(26, 10)
    labels[:18] = 0
    found = binary_intervals(labels, probabilities, threshold=0.5, confidence=0.95)["average_precision"]
    without = [average_precision_score(np.delete(labels, i), np.delete(probabilities, i)) for i in range(26)]
    value = average_precision_score(labels, probabilities)
    bounds = bounded_interval(value, np.var(without) * 25, labels.sum(), 0.95, freedom=25)
    assert (found.value, found.low, found.high) == pytest.approx((value, *bounds), abs=1e-9)


def test_the_area_within_groups_of_one_pair_has_an_interval():
    """Without either of the two there is no pair, so that the jackknife knows nothing."""
    found = within_interval(np.array([1, 0, 1]), np.array([0.8, 0.2, 0.5]), ["a", "a", "b"], confidence=0.95)
    assert (found.value, found.n) == (1.0, 2)
    assert found.low is not None and 0 <= found.low < 0.5
