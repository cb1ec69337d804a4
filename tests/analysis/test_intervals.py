"""Newcombe's and Wilson's intervals against their published numbers, and against scipy and statistics by definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, t

from hypoxia_hpc.analysis.intervals import (
    bounded_interval,
    effective_inflation,
    effective_number,
    newcombe_interval,
    newcombe_variance,
    wilson_interval,
)

SHARES = st.floats(0, 1)
SIZES = st.integers(1, 500)


@pytest.mark.parametrize(
    ("n_positive", "n_negative", "low"),
    [(3, 3, 0.501), (6, 6, 0.689), (12, 12, 0.832), (30, 30, 0.933), (4, 20, 0.722), (2, 10, 0.546)],
)
def test_lower_bound_of_a_perfect_area(n_positive, n_negative, low):
    found = newcombe_interval(1.0, n_positive, n_negative, 0.95)
    assert found[0] == pytest.approx(low, abs=5e-4)
    assert found[1] == 1
    assert newcombe_interval(1.0, n_negative, n_positive, 0.95) == pytest.approx(found, abs=1e-9)
    assert newcombe_interval(0.0, n_positive, n_negative, 0.95) == pytest.approx((0, 1 - found[0]), abs=1e-9)


@given(SHARES, SIZES, SIZES, st.floats(0.5, 0.99))
def test_newcombe_holds_its_definition(auc, n_positive, n_negative, confidence):
    low, high = newcombe_interval(auc, n_positive, n_negative, confidence)
    assert 0 <= low <= auc <= high <= 1
    z = norm.ppf((1 + confidence) / 2)
    for bound in (low, high):
        if 1e-6 < bound < 1 - 1e-6:
            assert abs(bound - auc) == pytest.approx(
                z * math.sqrt(newcombe_variance(bound, n_positive, n_negative)), abs=1e-6
            )


def test_the_variance_of_equal_classes_is_hanleys_and_mcneils():
    # 1982, with Q1 = A / (2 - A), Q2 = 2 A² / (1 + A), for the exponential model.
    a, n = 0.8, 20
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    hanley = (a * (1 - a) + (n - 1) * (q1 - a**2 + q2 - a**2)) / n**2
    assert newcombe_variance(a, n, n) == pytest.approx(hanley, rel=1e-12)


def test_a_larger_variance_makes_a_wider_interval():
    low, high = newcombe_interval(0.8, 20, 20, 0.95)
    wide = newcombe_interval(0.8, 20, 20, 0.95, inflation=2)
    assert wide[0] < low < high < wide[1]


def test_wilson_of_24_of_24():
    assert wilson_interval(1.0, 24, 0.95) == pytest.approx((0.8620, 1), abs=5e-5)


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95]))
def test_wilson_equals_scipys(hits, misses, confidence):
    n = hits + misses
    there = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(hits / n, n, confidence) == pytest.approx((there.low, there.high), abs=1e-12)


def test_students_quantile_in_place_of_the_normal_one():
    assert effective_inflation(2.0, math.inf, 0.95) == 2.0
    assert effective_inflation(2.0, 5, 0.95) == pytest.approx(2 * (t.ppf(0.975, 5) / norm.ppf(0.975)) ** 2)
    # One unit leaves no freedom: as of two.
    assert effective_inflation(2.0, 0, 0.95) == effective_inflation(2.0, 1, 0.95)


def test_the_effective_number_of_independent_patients_is_theirs():
    share, n = 0.3, 400
    assert effective_number(share, share * (1 - share) / n, n, 1e9, 0.95) == pytest.approx(n, rel=1e-6)
    # Ten rows a patient that all say the same: a tenth of them.
    assert effective_number(share, 10 * share * (1 - share) / n, n, 1e9, 0.95) == pytest.approx(n / 10, rel=0.01)


@given(SHARES, st.floats(0, 0.5), st.integers(1, 300), st.sampled_from([0.0, -1.0]))
def test_a_bounded_interval_holds_its_metric_and_its_bounds(share, variance, n, lowest):
    value = lowest + (1 - lowest) * share
    low, high = bounded_interval(value, variance, n, 0.95, lowest=lowest)
    assert lowest - 1e-12 <= low <= value + 1e-9
    assert value - 1e-9 <= high <= 1 + 1e-12


def test_a_metric_of_one_without_any_variance_has_about_wilsons_interval():
    low, high = bounded_interval(1.0, 0.0, 24, 0.95)
    assert high == 1
    assert 0.84 < low < wilson_interval(1.0, 24, 0.95)[0]


def test_correlations_reach_from_minus_one():
    low, high = bounded_interval(0.0, 1 / 50, 50, 0.95, lowest=-1.0)
    assert low == pytest.approx(-high, abs=1e-12)
    assert high == pytest.approx(np.tanh(1.96 / math.sqrt(47)), abs=0.02)  # Fisher's


def test_the_effective_number_where_no_unit_differs_by_hand():
    """Half of a unit of ten: 0.05 · 0.95 / 10, beside 0.9 · 0.1 / 10 of the share."""
    added, binomial = 0.05 * 0.95 / 10, 0.9 * 0.1 / 10
    assert effective_number(0.9, 0.0, 10, math.inf, 0.95) == pytest.approx(10 * (binomial + added) / added)
    assert effective_number(1.0, 0.0, 10, math.inf, 0.95) == pytest.approx(10)
