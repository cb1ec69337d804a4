"""Shares have Wilson's interval, other metrics of calls one that is not 0 wide and covers; clusters widen them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from hypoxia_hpc.analysis.call_intervals import PREVALENCE, SHARES, call_intervals, share_interval
from hypoxia_hpc.analysis.calls import CALL_METRICS, call_cells, call_metrics
from hypoxia_hpc.analysis.intervals import wilson_interval


def calls_of(true_0, false_1, false_0, true_1):
    counts = (true_0, false_1, false_0, true_1)
    return np.repeat([0, 0, 1, 1], counts), np.repeat([False, True, False, True], counts)


def test_shares_are_wilsons():
    found = call_intervals(*calls_of(10, 3, 4, 7), confidence=0.9)
    for name, (hits, n) in {
        "accuracy": (17, 24),
        "f1_micro": (17, 24),
        "sensitivity": (7, 11),
        "specificity": (10, 13),
        "ppv": (7, 10),
        "npv": (10, 14),
    }.items():
        assert found[name] == pytest.approx((hits / n, *wilson_interval(hits / n, n, 0.9)))
    assert tuple(found) == CALL_METRICS
    assert set(SHARES) < set(CALL_METRICS)


def test_all_24_right():
    found = call_intervals(*calls_of(12, 0, 0, 12), confidence=0.95)
    assert found["accuracy"] == pytest.approx((1, 0.862, 1), abs=5e-4)
    for name in ("f1_1", "f1_macro", "balanced_accuracy", "mcc"):
        assert found[name].value == found[name].high == 1
        assert 0.7 < found[name].low < 0.93


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_bounds_hold_and_order_does_not_matter(rows):
    labels, called, units = (np.array(column) for column in zip(*rows, strict=True))
    order = np.random.default_rng(0).permutation(len(labels))
    for drawn in (None, units.astype(str)):
        found = call_intervals(labels, called, confidence=0.95, units=drawn)
        again = call_intervals(
            labels[order], called[order], confidence=0.95, units=None if drawn is None else drawn[order]
        )
        [values] = call_metrics(call_cells(labels, called).sum(axis=0, keepdims=True))
        for (name, bounds), value in zip(found.items(), values.tolist(), strict=True):
            assert bounds.value == pytest.approx(value, nan_ok=True)
            assert again[name] == pytest.approx(bounds, abs=1e-9, nan_ok=True)
            if not np.isnan(bounds.low):
                assert -1 <= bounds.low <= bounds.value + 1e-12 <= bounds.high + 2e-12 <= 1 + 3e-12


def test_no_rows_and_one_class():
    assert all(np.isnan(each).all() for each in call_intervals(*calls_of(0, 0, 0, 0), confidence=0.95).values())
    found = call_intervals(*calls_of(0, 0, 2, 3), confidence=0.95)
    assert found["sensitivity"].value == 0.6
    assert np.isnan(found["specificity"]).all()
    assert found["f1_1"].value == 0.75
    assert np.isnan(found["f1_1"][1:]).all()


def test_rows_that_say_the_same_count_once():
    """Ten tiles a patient, all called alike: as the patients alone, but for Student's quantile."""
    labels, called = calls_of(20, 5, 4, 21)
    patients = np.arange(50).astype(str)
    alone = call_intervals(labels, called, confidence=0.95)
    tiles = call_intervals(
        *(np.repeat(each, 10) for each in (labels, called)), confidence=0.95, units=np.repeat(patients, 10)
    )
    naive = call_intervals(*(np.repeat(each, 10) for each in (labels, called)), confidence=0.95)
    for name in CALL_METRICS:
        width, of_tiles, of_naive = (each[name].high - each[name].low for each in (alone, tiles, naive))
        assert width * 0.95 < of_tiles < width * 1.15
        assert of_naive < 0.5 * width


def test_one_patient_says_nothing_of_how_patients_differ():
    labels, called = calls_of(0, 0, 20, 30)
    found = call_intervals(labels, called, confidence=0.95, units=["a"] * 50)
    assert found["sensitivity"] == pytest.approx((0.6, *wilson_interval(0.6, 1, 0.95)))


def test_any_share():
    hits = np.array([True, False, True, True])
    assert share_interval(hits, confidence=0.95) == (0.75, *wilson_interval(0.75, 4, 0.95))
    labels, called = np.ones(40, int), np.arange(40) % 4 > 0
    units = (np.arange(40) // 4).astype(str)
    found = share_interval(called, confidence=0.95, units=units)
    assert found == pytest.approx(call_intervals(labels, called, confidence=0.95, units=units)["sensitivity"])
    assert np.isnan(share_interval(np.zeros(0, bool), confidence=0.95)).all()


def covered(cohorts, sensitivity, specificity, prevalence, n, *, tiles):
    """Share of cohorts whose interval holds the truth, by metric."""
    truth = np.array([[(1 - prevalence) * specificity, (1 - prevalence) * (1 - specificity)]])
    truth = call_metrics(np.column_stack([truth, [[prevalence * (1 - sensitivity), prevalence * sensitivity]]]))[0]
    generator, hits = np.random.default_rng(3), np.zeros(len(CALL_METRICS))
    for _ in range(cohorts):
        patients = np.repeat(np.arange(n), generator.integers(5, 30, n) if tiles else 1)
        labels = (generator.random(n) < prevalence).astype(int)[patients]
        score = (generator.normal(size=n)[patients] + generator.normal(size=len(patients))) / np.sqrt(2)
        called = np.where(labels == 1, score < ndtri(sensitivity), score > ndtri(specificity))
        found = call_intervals(labels, called, confidence=0.95, units=patients.astype(str) if tiles else None)
        hits += [
            np.isnan(each.low) or each.low <= t <= each.high for each, t in zip(found.values(), truth, strict=True)
        ]
    return dict(zip(CALL_METRICS, hits / cohorts, strict=True))


@pytest.mark.parametrize("tiles", [False, True])
def test_intervals_cover(tiles):
    assert min(covered(50, 0.8, 0.9, 0.4, 40, tiles=tiles).values()) >= 0.86


@pytest.mark.long
@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.6, 0.7), (0.9, 0.9)])
@pytest.mark.parametrize("prevalence", [0.2, 0.5])
@pytest.mark.parametrize("n", [12, 60])
def test_intervals_cover_everywhere(tiles, sensitivity, specificity, prevalence, n):
    assert min(covered(200, sensitivity, specificity, prevalence, n, tiles=tiles).values()) >= 0.88


def test_prevalence_is_of_all_rows():
    assert PREVALENCE == ((2, 3), (0, 1, 2, 3))


def test_other_metrics_are_of_jeffreys_posterior():
    """Draws of another generator, ten times as many; prevalence too."""
    found = call_intervals(*calls_of(9, 2, 3, 5), confidence=0.9)
    generator = np.random.default_rng(0)
    sensitivity, specificity, ones = (
        generator.beta(hits + 0.5, misses + 0.5, 200_000) for hits, misses in ((5, 3), (9, 2), (8, 11))
    )
    positive, wrong = ones * sensitivity, ones * (1 - sensitivity) + (1 - ones) * (1 - specificity)
    drawn = {"balanced_accuracy": (sensitivity + specificity) / 2, "f1_1": 2 * positive / (2 * positive + wrong)}
    for name, values in drawn.items():
        assert (found[name].low, found[name].high) == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=0.006)
