"""Resamples that keep every class, the jackknife, and the BCa interval against a naive bootstrap and scipy's."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import average_precision_score

from hypoxia_hpc.analysis.bootstrap import LANES, patient_weights
from hypoxia_hpc.analysis.resampling import (
    bca_bounds,
    bootstrap_intervals,
    jackknife,
    jackknife_variance,
    kept_weights,
    resampled,
)
from hypoxia_hpc.analysis.rows import auc_statistic, average_precision_statistic, class_counts, mean_statistic, stacked

ONE_POSITIVE = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])


@pytest.mark.parametrize("n_resamples", [0, 1, LANES, 3 * LANES + 5])
def test_every_resample_keeps_every_class(n_resamples):
    blocks = list(kept_weights(ONE_POSITIVE, n_resamples, 1))
    drawn = np.hstack([np.zeros((10, 0)), *blocks])
    assert drawn.shape == (10, n_resamples)
    assert ((drawn.T @ ONE_POSITIVE) > 0).all()
    assert (drawn.sum(axis=0) == 10).all()


def test_the_resamples_are_those_of_the_patients_without_the_ones_that_lack_a_class():
    [block] = list(kept_weights(ONE_POSITIVE, 5, 3))
    everything = np.hstack(list(patient_weights(10, 64, 3)))
    assert (block == everything[:, everything[9] > 0][:, :5]).all()


def test_a_class_that_nobody_has_is_not_asked_for():
    counts = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert sum(block.shape[1] for block in kept_weights(counts, 40, 1)) == 40


def test_jackknife_leaves_out_each_unit_once():
    values = np.arange(50.0)
    left_out = jackknife(mean_statistic(values[:, None], np.arange(50), 50), 50)
    assert left_out[:, 0] == pytest.approx((values.sum() - values) / 49)
    # Of a mean it is the square of the standard error.
    assert jackknife_variance(left_out)[0] == pytest.approx(values.var(ddof=1) / 50)


def test_jackknife_variance_of_what_is_not_defined():
    left_out = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, 4.0], [3.0, np.nan]])
    found = jackknife_variance(left_out)
    assert found[0] == pytest.approx(2 / 3 * 2)
    assert np.isnan(found[1])


@pytest.mark.parametrize("seed", [1, 2])
def test_equals_a_naive_bootstrap(seed):
    generator = np.random.default_rng(seed)
    units = np.sort(generator.integers(0, 14, 60))
    labels, probabilities = units % 2, np.round(generator.random(60) + 0.3 * (units % 2), 1).clip(0, 1)
    rows_of = {unit: np.flatnonzero(units == unit) for unit in np.unique(units)}
    n_units = len(rows_of)
    codes = np.searchsorted(list(rows_of), units)

    def area(taken):
        rows = np.concatenate([rows_of[unit] for unit in taken])
        return naive.area(labels[rows], probabilities[rows])

    def precision(taken):
        rows = np.concatenate([rows_of[unit] for unit in taken])
        return average_precision_score(labels[rows], probabilities[rows])

    both = stacked(
        auc_statistic(labels, probabilities, codes, n_units),
        average_precision_statistic(labels, probabilities, codes, n_units),
    )
    counts = class_counts(labels, codes, n_units)
    got = bootstrap_intervals(both, counts, n_resamples=75, confidence=0.9, seed=seed)
    classes = {unit: {unit % 2} for unit in rows_of}
    for found, statistic in zip(got, (area, precision), strict=True):
        expected = naive.bca_interval(statistic, classes, bootstrap=75, confidence=0.9, seed=seed)
        assert found == pytest.approx(expected, abs=1e-12)


def test_agrees_with_scipy_on_a_mean():
    values = np.random.default_rng(5).exponential(size=40)
    statistic = mean_statistic(values[:, None], np.arange(40), 40)
    [got] = bootstrap_intervals(statistic, np.ones((40, 1)), n_resamples=4000, confidence=0.95, seed=1)
    there = bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(2))
    assert got.low == pytest.approx(there.confidence_interval.low, abs=0.03)
    assert got.high == pytest.approx(there.confidence_interval.high, abs=0.05)


def test_resamples_that_all_agree_have_no_interval():
    statistic = auc_statistic(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4), 4)
    counts = class_counts(np.array([0, 0, 1, 1]), np.arange(4), 4)
    [found] = bootstrap_intervals(statistic, counts, n_resamples=50, confidence=0.95, seed=1)
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()


def test_one_unit_has_no_interval():
    statistic = mean_statistic(np.array([[0.25]]), np.zeros(1, int), 1)
    [found] = bootstrap_intervals(statistic, np.ones((1, 1)), n_resamples=50, confidence=0.95, seed=1)
    assert found.value == 0.25
    assert np.isnan([found.low, found.high]).all()
    assert resampled(statistic, np.ones((1, 1)), 0, 1).shape == (0, 1)


def test_bca_without_bias_and_skew_is_the_percentile_interval():
    drawn = np.arange(-500.0, 501)
    low, high = bca_bounds(0.0, drawn, np.array([-1.0, 0.0, 1.0]), 0.9)
    assert (low, high) == pytest.approx((-450, 450), abs=1e-6)
