"""Baselines by their definitions, slowly; a planted organ signal is named and vanishes within types."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hypoxia_hpc.analysis.baselines import (
    PRIOR_PATIENTS,
    fitted_log_rates,
    fitted_numbers,
    fitted_on_values,
    group_log_rates,
    group_means,
    group_shares,
    majority_class,
    paired_rows,
    within_statistic,
)
from hypoxia_hpc.analysis.rows import point
from hypoxia_hpc.errors import InputError


def test_majority():
    assert majority_class(np.array([0, 1, 1])) == 1
    assert majority_class(np.array([2, 0, 2, 1, 1]), 3) == 1
    with pytest.raises(InputError, match="no training patient has a label"):
        majority_class(np.zeros(0, int))


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 2)), min_size=1, max_size=20),
    st.lists(st.sampled_from("ABCD"), max_size=6),
)
def test_shares_are_shrunk_to_those_of_all(train, asked):
    groups, labels = zip(*train, strict=True)
    found = group_shares(np.array(labels), groups, asked, 3)
    assert found.shape == (len(asked), 3)
    for group, shares in zip(asked, found.tolist(), strict=True):
        assert shares == pytest.approx(naive.group_share(group, train, 3))
        assert sum(shares) == pytest.approx(1)


def test_shares_by_hand():
    """Two of three in A, none of one in B, half of all: (2 + 2.5) / 8, 2.5 / 6, and the prior of C."""
    found = group_shares(np.array([1, 1, 0, 0]), list("AAAB"), list("ABC"))
    assert PRIOR_PATIENTS == 5
    assert found[:, 1].tolist() == pytest.approx([4.5 / 8, 2.5 / 6, 0.5])


def test_type_and_site_together():
    train, labels = [("A", "x"), ("A", "y"), ("A", "x")], np.array([1, 0, 1])
    found = group_shares(labels, train, [("A", "x"), ("A", "y"), ("B", "x")])
    prior = 5 * 2 / 3
    assert found[:, 1].tolist() == pytest.approx([(2 + prior) / 7, prior / 6, 2 / 3])


def test_values_equal_scikit_learns_pipeline():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 60)
    train, asked = generator.normal(50, 9, (60, 1)) + 5 * labels[:, None], generator.normal(50, 9, (8, 1))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train, labels)
    assert fitted_on_values(labels, train, asked) == pytest.approx(model.predict_proba(asked), abs=1e-9)


def test_values_that_are_not_known_and_a_column_without_any():
    labels = np.array([0, 0, 1, 1])
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan], [4.0, np.nan]])
    found = fitted_on_values(labels, values, np.array([[np.nan, np.nan], [8 / 3, 7.0], [4.0, np.nan]]))
    assert found[0] == pytest.approx(found[1])
    assert found[2, 1] > found[1, 1]
    assert fitted_on_values(labels, values, np.zeros((0, 2))).shape == (0, 2)


def test_a_class_that_training_lacks():
    found = fitted_on_values(np.array([0, 2, 2, 0]), np.array([[0.0], [1], [1], [0]]), np.array([[1.0]]), 3)
    assert found[0, 1] == 0
    assert found.sum() == pytest.approx(1)
    assert fitted_on_values(np.array([1, 1]), np.array([[0.0], [1]]), np.array([[1.0]]), 3).tolist() == [[0, 1, 0]]


# --- within groups ------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.sampled_from("ABC")), min_size=1, max_size=25))
def test_area_within_equals_pairs_one_by_one(rows):
    labels, scores, groups = zip(*rows, strict=True)
    n = len(rows)
    statistic = within_statistic(np.array(labels), np.array(scores), groups, np.arange(n), n)
    assert point(statistic, n)[0] == pytest.approx(naive.area_within(labels, scores, groups), nan_ok=True, abs=1e-12)
    both = {group for group in groups if {y for y, g in zip(labels, groups, strict=True) if g == group} == {0, 1}}
    assert paired_rows(np.array(labels), groups).tolist() == [group in both for group in groups]


def test_one_group_is_the_area():
    generator = np.random.default_rng(2)
    labels, scores = generator.integers(0, 2, 50), generator.random(50)
    statistic = within_statistic(labels, scores, ["A"] * 50, np.arange(50), 50)
    assert point(statistic, 50)[0] == pytest.approx(roc_auc_score(labels, scores))


def test_weights_count_pairs_of_both():
    labels, scores, groups = np.array([1, 0, 0, 1]), np.array([0.9, 0.5, 0.95, 0.2]), list("AAAB")
    measure = within_statistic(labels, scores, groups, np.array([0, 1, 2, 2]), 3)
    assert measure(np.array([[1.0, 2, 1], [1.0, 1, 3], [1.0, 3, 0]]))[:, 0] == pytest.approx([1 / 2, 1 / 4, 1])


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_planted_organ_signal_is_named_and_vanishes_within_types(seed):
    generator = np.random.default_rng(seed)
    types = generator.integers(0, 6, 1200)
    labels = (generator.random(1200) < np.array([0.85, 0.15])[types % 2]).astype(int)
    model = (types % 2 == 0) + 0.5 * generator.normal(size=1200)  # a model that knows the organ alone
    train, test = slice(0, 400), slice(400, 1200)
    type_alone = group_shares(labels[train], types[train].tolist(), types[test].tolist())[:, 1]
    # Of half and half: a pair is in order with 0.85 · 0.85, a tie with 2 · 0.85 · 0.15.
    assert roc_auc_score(labels[test], np.round(type_alone)) == pytest.approx(0.85**2 + 0.85 * 0.15, abs=0.03)
    within = within_statistic(labels[test], model[test], types[test].tolist(), np.arange(800), 800)
    assert roc_auc_score(labels[test], model[test]) > 0.7
    assert point(within, 800)[0] == pytest.approx(0.5, abs=0.08)


def test_a_planted_site_signal_is_named_and_vanishes_within_sites():
    """Eight hospitals with 85 or 15 % positive patients: site alone has an area of 0.85, within sites there is none."""
    alone, within = [], []
    for seed in (1, 2, 3, 4, 5):
        generator = np.random.default_rng(seed)
        sites = generator.integers(0, 8, 2000)
        labels = (generator.random(2000) < np.array([0.85, 0.15])[sites % 2]).astype(int)
        train, test = slice(0, 800), slice(800, 2000)
        shares = group_shares(labels[train], sites[train].tolist(), sites[test].tolist())[:, 1]
        alone.append(roc_auc_score(labels[test], shares))
        model = shares + 0.1 * generator.normal(size=1200)
        statistic = within_statistic(labels[test], model, sites[test].tolist(), np.arange(1200), 1200)
        within.append(point(statistic, 1200)[0])
    assert np.mean(alone) == pytest.approx(0.85, abs=0.02)
    assert np.mean(within) == pytest.approx(0.5, abs=0.03)


def test_means_of_groups_are_shrunk_to_that_of_all():
    found = group_means(np.array([1.0, 3.0, 8.0]), ["a", "a", "b"], ["a", "b", "c"])
    assert found == pytest.approx([(4 + 5 * 4) / 7, (8 + 5 * 4) / 6, 4])


def test_rates_of_groups_are_events_over_follow_up():
    found = group_log_rates(np.array([2.0, 4.0, 6.0]), np.array([1, 1, 0]), ["a", "a", "b"], ["a", "b", "c"])
    expected = [(2 + 5 * 2 / 3) / (6 + 5 * 4), (0 + 5 * 2 / 3) / (6 + 5 * 4), 2 / 12]
    assert np.exp(found) == pytest.approx(expected)
    assert group_log_rates(np.ones(2), np.zeros(2, dtype=int), ["a", "b"], ["a"]).tolist() == [0]


def test_numbers_and_rates_are_learnt_from_values():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(500, 2))
    numbers = 3 * values[:, 0] - 7
    assert fitted_numbers(numbers, values, np.array([[1.0, 0.0], [np.nan, 0.0]])) == pytest.approx([-4, -7], abs=0.3)
    time = generator.exponential(np.exp(-values[:, 0]))
    found = fitted_log_rates(time, np.ones(500, dtype=int), values, np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert found == pytest.approx([1, -1], abs=0.25)
    assert fitted_log_rates(time, np.zeros(500, dtype=int), values, values[:2]).tolist() == [0, 0]


@pytest.mark.parametrize(
    "learn",
    [lambda nothing: group_means(nothing, [], ["a"]), lambda nothing: group_log_rates(nothing, nothing, [], ["a"])],
)
def test_nothing_is_learnt_from_no_patients(learn):
    with pytest.raises(InputError, match="no training patient has a label"):
        learn(np.zeros(0))
