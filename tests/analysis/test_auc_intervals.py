"""Areas of patients have Newcombe's interval; those of rows that belong together one that covers."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import t

from hypoxia_hpc.analysis.auc_intervals import AreaSpread, area_spreads, auc_interval, folds_factor, relative_variance
from hypoxia_hpc.analysis.intervals import newcombe_interval, newcombe_variance


def tiles_of(generator, area, n_positive, n_negative, spread):
    """labels, scores, patients: of ``spread`` between patients (1 within); the tiles have this area."""
    patients = np.repeat(np.arange(n_positive + n_negative), generator.integers(4, 30, n_positive + n_negative))
    labels = (patients < n_positive).astype(int)
    shift = np.sqrt(2 * (1 + spread**2)) * ndtri(area)
    noise = spread * generator.normal(size=n_positive + n_negative)[patients] + generator.normal(size=len(patients))
    return labels, shift * labels + noise, patients.astype(str)


def test_of_patients_it_is_newcombes():
    labels, scores = np.array([0] * 9 + [1] * 7), np.random.default_rng(1).random(16)
    value = naive.area(labels, scores)
    found = auc_interval(labels, scores, confidence=0.9)
    assert found == pytest.approx((value, *newcombe_interval(value, 7, 9, 0.9)))
    # The same patients, each said to be a unit of its own.
    assert auc_interval(labels, scores, confidence=0.9, units=np.arange(16).astype(str)) == found


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 4)), min_size=2, max_size=40))
def test_bounds_order_and_monotone_transforms(rows):
    labels, scores, units = (np.array(column) for column in zip(*rows, strict=True))
    if len(np.unique(labels)) < 2:
        assert np.isnan(auc_interval(labels, scores, confidence=0.95)).all()
        return
    if np.ptp(scores) == 0:  # 1/2 in any cohort, without an interval
        assert auc_interval(labels, scores, confidence=0.95) == pytest.approx((0.5, np.nan, np.nan), nan_ok=True)
        return
    for drawn in (None, units.astype(str)):
        found = auc_interval(labels, scores, confidence=0.95, units=drawn)
        assert 0 <= found.low <= found.value <= found.high <= 1
        order = np.random.default_rng(0).permutation(len(labels))
        turned = auc_interval(
            labels[order], scores[order], confidence=0.95, units=None if drawn is None else drawn[order]
        )
        assert turned == pytest.approx(found, abs=1e-9)
        assert auc_interval(labels, np.exp(scores / 2), confidence=0.95, units=drawn) == pytest.approx(found, abs=1e-12)


def test_rows_said_a_hundred_times_over_narrow_no_interval():
    generator = np.random.default_rng(3)
    labels, scores, patients = tiles_of(generator, 0.8, 8, 12, 1.0)
    once = auc_interval(labels, scores, confidence=0.95, units=patients)
    often = auc_interval(
        *(np.repeat(each, 100) for each in (labels, scores)), confidence=0.95, units=np.repeat(patients, 100)
    )
    assert often == pytest.approx(once, abs=1e-9)


def test_a_perfect_area_of_tiles_has_an_interval():
    labels, scores, patients = tiles_of(np.random.default_rng(4), 0.5, 6, 6, 0.5)
    found = auc_interval(labels, scores + 100 * labels, confidence=0.95, units=patients)
    assert found.value == found.high == 1
    # With five degrees of freedom, wider than that of 12 patients.
    assert 0.5 < found.low < newcombe_interval(1.0, 6, 6, 0.95)[0]


def test_one_unit_of_a_class_has_newcombes_interval():
    labels, scores, units = np.array([1, 1, 0, 0, 0]), np.array([3.0, 1, 2, 0, 1]), np.array(list("aabcd"))
    found = auc_interval(labels, scores, confidence=0.95, units=units)
    assert found == pytest.approx((found.value, *newcombe_interval(found.value, 1, 3, 0.95)))


def test_the_ratio_of_variances():
    assert relative_variance(0.8, newcombe_variance(0.8, 10, 20), 10, 20) == pytest.approx(1)
    assert relative_variance(1.0, 0.0, 10, 20) == 1
    assert relative_variance(0.7, 0.0, 10, 20) < 0.05


def test_p_is_that_of_the_interval_that_just_holds_chance():
    for spread in (AreaSpread(0.8, 9, 14), AreaSpread(0.3, 9, 14, 1.7, 11.0)):
        p = spread.p_of_chance()
        bounds = spread.interval(1 - p)
        assert min(abs(bound - 0.5) for bound in bounds) < 1e-6
    assert AreaSpread(0.5, 9, 14).p_of_chance() == 1
    deviations = 0.2 / np.sqrt(1.7 * newcombe_variance(0.5, 9, 14))
    assert AreaSpread(0.3, 9, 14, 1.7, 11.0).p_of_chance() == pytest.approx(2 * t.sf(deviations, 11))


def test_correlation_of_two_areas():
    labels, scores, patients = tiles_of(np.random.default_rng(6), 0.7, 10, 10, 1.0)
    for units in (None, patients):
        assert area_spreads(labels, np.column_stack([scores, scores]), units)[1] == pytest.approx(1)
        assert area_spreads(labels, np.column_stack([scores, -scores]), units)[1] == pytest.approx(-1)
    assert area_spreads(labels, np.column_stack([scores, labels]), patients)[1] == 0


def coverage(cohorts, area, n_positive, n_negative, spread):
    generator, hits = np.random.default_rng(7), 0
    for _ in range(cohorts):
        labels, scores, patients = tiles_of(generator, area, n_positive, n_negative, spread)
        found = auc_interval(labels, scores, confidence=0.95, units=patients)
        hits += found.low <= area <= found.high
    return hits / cohorts


def test_intervals_of_tiles_cover():
    assert coverage(100, 0.95, 12, 12, 1.0) >= 0.9


@pytest.mark.long
@pytest.mark.parametrize("area", [0.6, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("n_positive", "n_negative"), [(3, 9), (12, 12), (6, 18), (30, 30)])
def test_intervals_of_tiles_cover_everywhere(area, spread, n_positive, n_negative):
    # 400 cohorts of which 95 % are covered: 92 % or less once in a thousand times.
    assert coverage(400, area, n_positive, n_negative, spread) >= 0.92


def test_sites_with_a_signal_of_their_own_hold_chance():
    """Forty sites of 85 or 15 % positive patients, scores that know the site alone: 0.5 among sites never seen."""
    hits = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        sites = np.repeat(np.arange(40), 6)
        labels = (generator.random(240) < np.where(sites % 2 == 0, 0.85, 0.15)).astype(int)
        scores = generator.normal(size=40)[sites] + 0.5 * generator.normal(size=240)
        found = auc_interval(labels, scores, confidence=0.95, units=sites.astype(str))
        hits += found.low <= 0.5 <= found.high
    assert hits >= 53


def test_the_pooled_area_of_a_cross_validation_varies_more():
    """Nadeau and Bengio's factor: 1 + k / (k - 1)."""
    labels, said = np.arange(60) % 2, np.linspace(0, 1, 60) ** 2 % 0.3
    plain, pooled = (auc_interval(labels, said, confidence=0.95, folds=folds) for folds in (1, 5))
    assert folds_factor(1) == 1
    assert folds_factor(5) == 2.25
    assert folds_factor(2) == 3
    assert plain.value == pooled.value
    [spread], _ = area_spreads(labels, said[:, None], None, 5)
    assert spread.interval(0.95) == (pooled.low, pooled.high)
    assert (pooled.high - pooled.low) / (plain.high - plain.low) == pytest.approx(1.5, abs=0.1)
