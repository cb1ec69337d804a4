"""Two models on the same patients: DeLong's own numbers where there are many, an interval where there are few."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import norm

from hypoxia_hpc.analysis.auc_intervals import auc_interval
from hypoxia_hpc.analysis.comparison import Compared, compare_auc
from hypoxia_hpc.analysis.placements import auc_covariance


def two_models(generator, n_positive, n_negative, areas, correlation):
    labels = np.r_[np.ones(n_positive, int), np.zeros(n_negative, int)]
    noise = generator.normal(size=(len(labels), 2))
    noise[:, 1] = correlation * noise[:, 0] + np.sqrt(1 - correlation**2) * noise[:, 1]
    return labels, *(noise + np.sqrt(2) * ndtri(np.array(areas)) * labels[:, None]).T


def test_of_many_patients_it_is_nearly_delongs():
    labels, one, other = two_models(np.random.default_rng(1), 400, 500, (0.8, 0.75), 0.5)
    covariance = auc_covariance(labels, np.column_stack([one, other]), np.arange(900), 900).matrix
    deviation = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = naive.area(labels, one) - naive.area(labels, other)
    found = compare_auc(labels, one, other, confidence=0.95)
    assert found.n == 900
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.low == pytest.approx(difference - 1.96 * deviation, abs=0.004)
    assert found.high == pytest.approx(difference + 1.96 * deviation, abs=0.004)
    assert found.p == pytest.approx(2 * norm.sf(abs(difference) / deviation), rel=0.25)


def test_p_and_interval_say_the_same():
    for seed in range(8):
        labels, one, other = two_models(np.random.default_rng(seed), 12, 15, (0.9, 0.7), 0.4)
        found = compare_auc(labels, one, other, confidence=0.95)
        assert found.told_apart == (found.p < 0.05)
        at_p = compare_auc(labels, one, other, confidence=1 - found.p)
        assert min(abs(at_p.low), abs(at_p.high)) < 1e-6


def test_a_difference_beyond_doubt_has_a_p():
    labels = np.repeat([0, 1], 300)
    found = compare_auc(labels, labels * 1.0, 1.0 - labels, confidence=0.95)
    assert found.difference == 1
    assert found.told_apart
    assert 0 < found.p < 1e-8


def test_a_model_is_not_told_apart_from_itself():
    labels, one, _ = two_models(np.random.default_rng(2), 10, 14, (0.8, 0.8), 0.0)
    found = compare_auc(labels, one, np.exp(one), confidence=0.95)
    assert (found.difference, found.p, found.told_apart) == (0, 1, False)


def test_two_perfect_models_have_an_interval():
    labels = np.repeat([0, 1], 6)
    found = compare_auc(labels, labels + 0.1, labels * 2.0, confidence=0.95)
    assert found.difference == 0
    assert found.high == -found.low > 0.2


def test_one_class():
    found = compare_auc(np.ones(3, int), np.arange(3.0), np.arange(3.0), confidence=0.95)
    assert found == Compared(None, None, None, None, 3)
    assert not found.told_apart


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 5), st.integers(0, 6)), min_size=4, max_size=30
    )
)
def test_turned_around_it_is_the_same(rows):
    labels, one, other, units = (np.array(column) for column in zip(*rows, strict=True))
    if len(np.unique(labels)) < 2:
        return
    for drawn in (None, units.astype(str)):
        found = compare_auc(labels, one, other, confidence=0.9, units=drawn)
        turned = compare_auc(labels, other, one, confidence=0.9, units=drawn)
        assert -1 <= found.low <= found.difference <= found.high <= 1
        assert (turned.difference, turned.low, turned.high, turned.p) == pytest.approx(
            (-found.difference, -found.high, -found.low, found.p), abs=1e-6
        )


def coverage(cohorts, n_positive, n_negative, areas, correlation):
    generator, hits = np.random.default_rng(5), 0
    for _ in range(cohorts):
        found = compare_auc(*two_models(generator, n_positive, n_negative, areas, correlation), confidence=0.95)
        hits += found.low <= areas[0] - areas[1] <= found.high
    return hits / cohorts


def test_intervals_of_differences_cover():
    assert coverage(100, 12, 12, (0.99, 0.9), 0.6) >= 0.93  # DeLong's: 86 %


@pytest.mark.long
@pytest.mark.parametrize("areas", [(0.5, 0.5), (0.8, 0.8), (0.95, 0.8), (0.99, 0.9), (0.9, 0.5)])
@pytest.mark.parametrize(("n_positive", "n_negative"), [(6, 6), (12, 12), (6, 18), (30, 30)])
def test_intervals_of_differences_cover_everywhere(areas, n_positive, n_negative):
    assert coverage(400, n_positive, n_negative, areas, 0.6) >= 0.89


def test_sites_widen_the_interval_of_a_difference():
    generator = np.random.default_rng(8)
    sites = np.repeat(np.arange(12), 15)
    labels = (generator.random(180) < np.where(sites % 2 == 0, 0.85, 0.15)).astype(int)
    one, other = (generator.normal(size=12)[sites] + 0.3 * generator.normal(size=180) for _ in range(2))
    alone, by_sites = (
        compare_auc(labels, one, other, confidence=0.95, units=units) for units in (None, sites.astype(str))
    )
    assert by_sites.high - by_sites.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize("units", [None, np.repeat(np.arange(8), 3).astype(str)])
def test_against_what_says_the_same_of_everyone_the_interval_is_the_models_own(units):
    """The area of equal probabilities is 1/2 in any cohort: nothing is to be added to the model's own error."""
    labels, said, _ = two_models(np.random.default_rng(3), 12, 12, (0.8, 0.5), 0.0)
    own = auc_interval(labels, said, confidence=0.95, units=units)
    found = compare_auc(labels, said, np.full(24, 0.3), confidence=0.95, units=units)
    assert (found.difference, found.low, found.high) == pytest.approx([bound - 0.5 for bound in own])
    assert auc_interval(labels, np.full(24, 0.3), confidence=0.95, units=units)[0] == 0.5
    assert np.isnan(auc_interval(labels, np.full(24, 0.3), confidence=0.95, units=units)[1:]).all()
    both = compare_auc(labels, np.full(24, 0.1), np.full(24, 0.3), confidence=0.95, units=units)
    assert (both.difference, both.low, both.high, both.p) == (0, 0, 0, 1)
