"""Calibrated by construction is found calibrated, what is not is not; curves and likelihoods against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import chi2, t
from sklearn.linear_model import LogisticRegression

from hypoxia_hpc.analysis.intervals import wilson_interval
from hypoxia_hpc.analysis.reliability import (
    LEAST_PROBABILITY,
    calibration_curve,
    calibration_intercept,
    calibration_slope,
    clustered_calibration,
    fitted_intercept,
    logits_of,
    recalibration,
)


def patients_of(n, seed, *, shift=0.0, stretch=1.0, prevalence=0.3):
    """Labels drawn with their probabilities, and what a model says that is off by both."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(logit(prevalence), 1.2, n)
    return (generator.random(n) < expit(logits)).astype(int), expit(shift + stretch * logits)


def test_calibrated_by_construction():
    labels, probabilities = patients_of(3000, 1)
    intercept, slope = (f(labels, probabilities, 0.95) for f in (calibration_intercept, calibration_slope))
    assert intercept.low < 0 < intercept.high
    assert intercept.value == pytest.approx(0, abs=0.1)
    assert slope.low < 1 < slope.high
    assert slope.value == pytest.approx(1, abs=0.12)


def test_not_calibrated_by_construction():
    labels, probabilities = patients_of(3000, 2, shift=1.0)  # the odds e times too high
    intercept = calibration_intercept(labels, probabilities, 0.95)
    assert intercept.high < 0
    assert intercept.value == pytest.approx(-1, abs=0.12)
    assert calibration_slope(labels, probabilities, 0.95).low < 1
    labels, probabilities = patients_of(3000, 3, stretch=2.0)  # twice too sure
    slope = calibration_slope(labels, probabilities, 0.95)
    assert slope.high < 1
    assert slope.value == pytest.approx(0.5, abs=0.06)


def test_equals_scikit_learns_logistic_regression():
    labels, probabilities = patients_of(150, 4, shift=0.3, stretch=1.5)
    logits = logits_of(probabilities)
    model = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000).fit(logits[:, None], labels)
    intercept, slope = recalibration(labels, logits)
    assert slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert intercept == pytest.approx(model.intercept_[0], rel=1e-3, abs=1e-4)
    assert calibration_slope(labels, probabilities, 0.95).value == pytest.approx(slope)
    # With the intercept fitted, probabilities are right on average: both derivatives are 0.
    assert expit(intercept + slope * logits).mean() == pytest.approx(labels.mean(), abs=1e-8)
    assert expit(fitted_intercept(labels, logits) + logits).mean() == pytest.approx(labels.mean(), abs=1e-10)


def test_bounds_lie_where_the_likelihood_has_fallen_so_far():
    labels, probabilities = patients_of(80, 5)
    logits = logits_of(probabilities)

    def fall(intercept, slope):
        best = recalibration(labels, logits)
        one, other = (
            np.sum(labels * (a + b * logits) - np.logaddexp(0, a + b * logits)) for a, b in (best, (intercept, slope))
        )
        return 2 * (one - other)

    found = calibration_slope(labels, probabilities, 0.9)
    for bound in (found.low, found.high):
        assert fall(fitted_intercept(labels, bound * logits), bound) == pytest.approx(chi2.ppf(0.9, 1), rel=1e-5)


def test_intervals_cover():
    intercepts, slopes = 0, 0
    for seed in range(60):
        labels, probabilities = patients_of(60, seed + 100)
        intercept, slope = (f(labels, probabilities, 0.95) for f in (calibration_intercept, calibration_slope))
        intercepts += intercept.low <= 0 <= intercept.high
        slopes += slope.low <= 1 <= slope.high
    assert intercepts >= 53
    assert slopes >= 53


def test_of_patients_one_by_one_clusters_say_nearly_the_same():
    labels, probabilities = patients_of(800, 7)
    found = clustered_calibration(labels, probabilities, np.arange(800), 800, 0.95)
    alone = calibration_intercept(labels, probabilities, 0.95), calibration_slope(labels, probabilities, 0.95)
    for clustered, profile in zip(found, alone, strict=True):
        assert clustered.value == pytest.approx(profile.value)
        assert clustered.high - clustered.low == pytest.approx(profile.high - profile.low, rel=0.05)


def test_rows_said_ten_times_over_narrow_no_calibration():
    labels, probabilities = patients_of(60, 8)
    once = clustered_calibration(labels, probabilities, np.arange(60), 60, 0.9)
    rows = np.repeat(np.arange(60), 10)
    often = clustered_calibration(labels[rows], probabilities[rows], rows, 60, 0.9)
    for one, other in zip(once, often, strict=True):
        assert other == pytest.approx(one, rel=1e-6)


def test_intervals_of_clusters_cover():
    """Patients of 30 sites, each site with a shift of its own around 0."""
    hits = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        sites = generator.integers(0, 30, 300)
        logits = generator.normal(-0.5, 1, 300)
        labels = (generator.random(300) < expit(logits + 0.5 * generator.normal(size=30)[sites])).astype(int)
        _, slope = clustered_calibration(labels, expit(logits), sites, 30, 0.95)
        hits += slope.low <= 0.947 <= slope.high  # of 400,000 patients: a shift that is not known flattens the slope
    assert hits >= 52


def test_clusters_without_a_slope_or_a_second_unit():
    intercept, slope = clustered_calibration(np.array([0, 1]), np.array([0.2, 0.6]), np.arange(2), 2, 0.95)
    assert np.isnan(slope).all()
    assert expit(intercept.value + logit(np.array([0.2, 0.6]))).mean() == pytest.approx(0.5)
    assert np.isnan(clustered_calibration(np.ones(3, int), np.full(3, 0.4), np.arange(3), 3, 0.95)).all()
    labels, probabilities = patients_of(50, 9)
    for one in clustered_calibration(labels, probabilities, np.zeros(50, int), 1, 0.95):
        assert np.isnan(one).tolist() == [False, True, True]


def test_where_no_slope_is_best():
    apart = calibration_slope(np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.3, 0.9]), 0.95)
    assert np.isnan(apart).all()
    assert np.isnan(calibration_slope(np.array([1, 1, 0, 0]), np.array([0.1, 0.3, 0.4, 0.9]), 0.95)).all()
    assert np.isnan(calibration_slope(np.array([0, 1, 0]), np.full(3, 0.4), 0.95)).all()
    assert np.isnan(calibration_slope(np.ones(3, int), np.array([0.1, 0.2, 0.9]), 0.95)).all()
    assert np.isnan(calibration_intercept(np.ones(3, int), np.array([0.1, 0.2, 0.9]), 0.95)).all()
    assert np.isnan(calibration_intercept(np.zeros(0, int), np.zeros(0), 0.95)).all()


def test_probabilities_of_0_and_1_have_finite_log_odds():
    found = logits_of(np.array([0.0, 0.5, 1.0], dtype=np.float32))
    assert found.dtype == np.float64
    assert found.tolist() == pytest.approx([logit(LEAST_PROBABILITY), 0, -logit(LEAST_PROBABILITY)])
    labels = np.array([0, 1, 0, 1, 1, 0])
    found = calibration_intercept(labels, np.array([0.0, 1, 1, 0, 1, 0]), 0.95)
    assert found.low < found.value < found.high


# --- the curve ----------------------------------------------------------------------------------------------------


def test_curve_by_hand():
    labels, probabilities = np.array([0, 1, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
    curve = calibration_curve(labels, probabilities, 3, 0.95)
    assert curve["predicted"].tolist() == pytest.approx([0.15, 0.35, 0.85])
    assert curve["observed"].tolist() == [0.5, 0.5, 1]
    assert curve["n"].tolist() == [2, 2, 2]
    assert (curve["low"][2], curve["high"][2]) == pytest.approx(wilson_interval(1.0, 2, 0.95))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=1, max_size=60), st.integers(1, 12))
def test_a_curve_has_everyone_once_and_ties_together(rows, bins):
    labels, steps = (np.array(column) for column in zip(*rows, strict=True))
    curve = calibration_curve(labels, steps / 8, bins, 0.95)
    assert len(curve) <= bins
    assert curve["n"].sum() == len(labels)
    assert (curve["predicted"] * curve["n"]).sum() == pytest.approx(np.sum(steps / 8))
    assert (curve["observed"] * curve["n"]).sum() == pytest.approx(labels.sum())
    assert curve["predicted"].is_monotonic_increasing
    assert ((curve["low"] <= curve["observed"] + 1e-12) & (curve["observed"] <= curve["high"] + 1e-12)).all()


def test_a_curve_of_nobody_is_empty():
    assert len(calibration_curve(np.zeros(0, int), np.zeros(0), 10, 0.95)) == 0


def test_the_error_of_an_intercept_by_clusters_by_hand():
    """Sums of the residuals of three sites, squared, times 3 / 2, over the square of the information."""
    labels, sites = np.array([1, 0, 0, 1, 1, 0]), np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.array([0.3, 0.6, 0.2, 0.7, 0.4, 0.5])
    found, _ = clustered_calibration(labels, probabilities, sites, 3, 0.95)
    fitted = expit(found.value + logit(probabilities))
    residuals = labels - fitted
    sums = [residuals[sites == site].sum() for site in range(3)]
    variance = 1.5 * np.sum(np.square(sums)) / np.sum(fitted * (1 - fitted)) ** 2
    assert found.high - found.value == pytest.approx(t.ppf(0.975, 2) * np.sqrt(variance))
