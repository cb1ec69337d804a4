"""Statistics of weighted units against scikit-learn on rows that are repeated as often as the weights say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from hypoxia_hpc.analysis.rows import (
    auc_statistic,
    average_precision_statistic,
    class_counts,
    divided,
    group_codes,
    in_order,
    mean_of_parts,
    mean_statistic,
    point,
    stacked,
    sums_by_unit,
    unit_codes,
)


def rows_of(n, n_units, seed, steps=None):
    generator = np.random.default_rng(seed)
    units = generator.integers(0, n_units, n)
    labels = generator.integers(0, 2, n)
    probabilities = np.clip(generator.random(n) + 0.2 * labels, 0, 1)
    return labels, np.round(probabilities * steps) / steps if steps else probabilities, units


@pytest.mark.parametrize("steps", [None, 2, 5])
def test_equals_scikit_learn_on_repeated_rows(steps):
    labels, probabilities, units = rows_of(90, 12, 3, steps)
    weights = np.random.default_rng(0).integers(0, 4, (12, 6)).astype(float)
    squares = ((labels - probabilities) ** 2)[:, None]
    measure = stacked(
        auc_statistic(labels, probabilities, units, 12),
        average_precision_statistic(labels, probabilities, units, 12),
        mean_statistic(squares, units, 12),
    )
    for lane, got in enumerate(measure(weights)):
        times = weights[units, lane].astype(int)
        y, p = np.repeat(labels, times), np.repeat(probabilities, times)
        expected = roc_auc_score(y, p), average_precision_score(y, p), brier_score_loss(y, p)
        assert got == pytest.approx(expected, abs=1e-12)


def test_not_defined():
    weights = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])  # both units, the negative one, none
    labels, probabilities, units = np.array([1, 0]), np.array([0.3, 0.7]), np.array([0, 1])
    assert np.isnan(auc_statistic(labels, probabilities, units, 2)(weights)[:, 0]).tolist() == [False, True, True]
    precision = average_precision_statistic(labels, probabilities, units, 2)(weights)[:, 0]
    assert precision[0] == 0.5
    assert np.isnan(precision[1:]).all()
    assert np.isnan(mean_statistic(probabilities[:, None], units, 2)(weights)[:, 0]).tolist() == [False, False, True]


def test_order_of_the_rows_does_not_matter_to_the_last_bit():
    labels, probabilities, units = rows_of(300, 20, 4)
    order = np.random.default_rng(1).permutation(300)
    for statistic in (auc_statistic, average_precision_statistic):
        one = point(statistic(labels, probabilities, units, 20), 20)
        assert (point(statistic(labels[order], probabilities[order], units[order], 20), 20) == one).all()
    values = probabilities[:, None]
    assert (sums_by_unit(values, units, 20) == sums_by_unit(values[order], units[order], 20)).all()


def test_a_mean_of_parts_counts_each_by_its_rows_and_leaves_out_what_is_not_defined():
    labels, probabilities, units = rows_of(60, 10, 5)
    parts, halves = [], (np.arange(60) < 40, np.arange(60) >= 40)
    for own in halves:
        sizes = np.bincount(units[own], minlength=10).astype(float)
        parts.append((auc_statistic(labels[own], probabilities[own], units[own], 10), sizes))
    areas = [roc_auc_score(labels[own], probabilities[own]) for own in halves]
    assert point(mean_of_parts(parts), 10)[0] == pytest.approx((40 * areas[0] + 20 * areas[1]) / 60)
    one_class = (auc_statistic(np.ones(4, int), np.arange(4.0), np.arange(4), 10), np.ones(10))
    assert point(mean_of_parts([parts[0], one_class]), 10)[0] == pytest.approx(areas[0])
    assert np.isnan(point(mean_of_parts([one_class]), 10)[0])


def test_units_are_numbered_by_their_sorted_ids():
    codes, n = unit_codes(["b", "a", "b", "c"])
    assert (codes.tolist(), n, codes.dtype) == ([1, 0, 1, 2], 3, np.int64)


def test_rows_in_order():
    codes, n, (labels, values) = in_order(
        ["b", "a", "b"], np.array([1, 0, 0]), np.array([[0.1, 9], [0.2, 8], [0.3, 7]])
    )
    assert (codes.tolist(), n, labels.tolist(), values[:, 1].tolist()) == ([0, 1, 1], 2, [0, 0, 1], [8, 7, 9])
    codes, n, (values,) = in_order(None, np.array([3.0, 1.0, 2.0]))
    assert (codes.tolist(), n, values.tolist()) == ([0, 1, 2], 3, [1, 2, 3])
    assert in_order(None, np.zeros(0))[1] == 0


def test_a_tuple_is_one_group():
    assert group_codes([("A", "x"), ("A", "y"), ("A", "x"), "A"]).tolist() == [0, 1, 0, 2]


def test_class_counts():
    assert class_counts(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 2, 3).tolist() == [[1, 1, 0], [0, 1, 1]]


def test_a_quotient_of_nothing_is_not_defined():
    assert divided(np.array([1.0, 1.0, 2.0]), np.array([0.0, -1.0, 4.0]))[2] == 0.5
    assert np.isnan(divided(np.array([1.0, 1.0]), np.array([0.0, -1.0]))).all()
