"""Concordance against pairs one by one and against lifelines."""

from __future__ import annotations

import warnings

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.analysis.concordance import concordance_statistic
from hypoxia_hpc.analysis.rows import point

PATIENTS = st.tuples(st.integers(1, 6), st.integers(0, 1), st.integers(0, 4))


def cohort(n, seed):
    generator = np.random.default_rng(seed)
    risk = generator.normal(size=n)
    dies, leaves = generator.exponential(np.exp(-risk)), generator.exponential(1.5, n)
    return np.minimum(dies, leaves), (dies <= leaves).astype(int), risk


@settings(max_examples=50)
@given(st.lists(PATIENTS, min_size=1, max_size=14), st.one_of(st.none(), st.integers(1, 7)))
def test_equals_pairs_one_by_one(rows, until):
    time, event, risk = (list(column) for column in zip(*rows, strict=True))
    n = len(rows)
    statistic = concordance_statistic(np.array(time), np.array(event), np.array(risk), np.arange(n), until=until)
    harrell, uno = point(statistic, n)
    assert harrell == pytest.approx(naive.concordance(time, event, risk), nan_ok=True, abs=1e-12)
    limit = np.inf if until is None else until
    expected = naive.concordance(time, event, risk, weighted=True, until=limit)
    assert uno == pytest.approx(expected, nan_ok=True, abs=1e-9)


@pytest.mark.parametrize("steps", [None, 4])
def test_equals_lifelines(steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from lifelines.utils import concordance_index
    time, event, risk = cohort(300, 1)
    if steps:
        time, risk = np.ceil(time * steps), np.round(risk * steps)
    found = point(concordance_statistic(time, event, risk, np.arange(300)), 300)[0]
    assert found == pytest.approx(concordance_index(time, -risk, event), abs=1e-12)


def test_a_statistic_is_of_repeated_patients():
    """A patient twice is no pair with itself: at equal times, two events are none, nor are two without."""
    time, event, risk = cohort(40, 2)
    units = np.random.default_rng(3).integers(0, 9, 40)
    weights = np.random.default_rng(4).integers(0, 4, (9, 5)).astype(float)
    for lane, got in enumerate(concordance_statistic(time, event, risk, units)(weights)):
        times = weights[units, lane].astype(int)
        again = [np.repeat(each, times).tolist() for each in (time, event, risk)]
        assert got == pytest.approx((naive.concordance(*again), naive.concordance(*again, weighted=True)), abs=1e-9)


def test_without_censoring_both_are_the_same():
    time, _, risk = cohort(60, 5)
    harrell, uno = point(concordance_statistic(time, np.ones(60, int), risk, np.arange(60)), 60)
    assert harrell == pytest.approx(uno, abs=1e-12)


def test_no_event_has_no_pairs_and_nobody_has_none():
    all_live = concordance_statistic(np.arange(3.0), np.zeros(3, int), np.arange(3.0), np.arange(3))
    assert np.isnan(point(all_live, 3)).all()
    nobody = concordance_statistic(np.zeros(0), np.zeros(0, int), np.zeros(0), np.zeros(0, int))
    assert np.isnan(nobody(np.ones((0, 1)))).all()


def test_order_units_and_monotone_transforms():
    time, event, risk = cohort(50, 6)
    found = point(concordance_statistic(time, event, risk, np.arange(50)), 50)
    order = np.random.default_rng(0).permutation(50)
    turned = concordance_statistic(time[order], event[order], np.exp(risk[order]), np.arange(50))
    assert point(turned, 50) == pytest.approx(found, abs=1e-12)
    against = point(concordance_statistic(time, event, -risk, np.arange(50)), 50)
    assert against == pytest.approx(1 - found, abs=1e-12)


def test_an_event_at_the_end_is_left_out():
    """Of the events at 1 and 2 the second is right, the first wrong; until 2 there is the first alone."""
    time, event, risk = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 0, 0]), np.array([0.0, 9.0, 5.0, 4.0])
    for until, expected in ((2.0, 0.0), (2.5, 2 / 5), (1.0, np.nan), (None, 2 / 5)):
        _, uno = point(concordance_statistic(time, event, risk, np.arange(4), until=until), 4)
        assert uno == pytest.approx(expected, nan_ok=True)
