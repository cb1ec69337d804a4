"""Exact p against every permutation by hand and scipy's; no signal is rarely called one."""

from __future__ import annotations

from math import comb

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from hypoxia_hpc.analysis import chance
from hypoxia_hpc.analysis.chance import auc_chance, class_auc_chance, holm, least_p, rank_sum_ways, verdict


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=8))
def test_equals_every_permutation_with_ties(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = auc_chance(labels, scores)
    if len(set(labels.tolist())) < 2:
        assert found == chance.Chance(1.0, "none")
    else:
        assert found.method == "exact"
        assert found.p == pytest.approx(naive.auc_p(labels.tolist(), scores.tolist()), rel=1e-12)


@pytest.mark.parametrize(("n_positive", "n_negative"), [(6, 6), (4, 20), (30, 25)])
def test_equals_scipys_exact_test_without_ties(n_positive, n_negative):
    generator = np.random.default_rng(n_positive)
    labels = np.r_[np.ones(n_positive, int), np.zeros(n_negative, int)]
    scores = generator.normal(size=len(labels)) + 0.6 * labels
    there = mannwhitneyu(scores[labels == 1], scores[labels == 0], method="exact").pvalue
    assert auc_chance(labels, scores).p == pytest.approx(there, rel=1e-9)
    assert auc_chance(labels, -scores).p == pytest.approx(there, rel=1e-9)


def test_permutations_at_random_agree_with_all_of_them(monkeypatch):
    generator = np.random.default_rng(2)
    labels, scores = np.r_[np.ones(14, int), np.zeros(25, int)], generator.random(39)
    scores = np.round(scores + 0.2 * labels, 1)
    exact = auc_chance(labels, scores)
    monkeypatch.setattr(chance, "EXACT_ADDITIONS", 0)
    random = auc_chance(labels, scores)
    assert (exact.method, random.method) == ("exact", "permutation")
    assert random.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p / chance.PERMUTATIONS))
    assert auc_chance(labels, scores, seed=1) != random
    assert auc_chance(labels, scores) == random


@pytest.mark.parametrize("seed", range(4))
def test_several_classes_agree_with_every_permutation_with_ties(seed):
    generator = np.random.default_rng(seed)
    labels = np.array([0, 1, 2, 0, 1, 2, 1])
    scores = np.round(generator.random((7, 3)) + 0.3 * np.eye(3)[labels], 1)
    expected = naive.class_auc_p(labels.tolist(), scores.tolist())
    found = class_auc_chance(labels, scores)
    assert found.method == "permutation"
    assert found.p == pytest.approx(expected, abs=8 * np.sqrt(expected / chance.PERMUTATIONS))
    assert class_auc_chance(labels, scores) == found


def test_few_patients_of_five_classes_are_enough_where_all_are_right():
    """20 of 20 patients: the interval of the mean area, by the 4 of a class, holds 1/2."""
    labels = np.arange(20) % 5
    assert class_auc_chance(labels, np.eye(5)[labels]).p == pytest.approx(2 / (1 + chance.PERMUTATIONS))
    assert class_auc_chance(labels, np.full((20, 5), 0.2)).p == 1
    assert class_auc_chance(labels % 4, np.eye(5)[labels]) == chance.Chance(1.0, "none")


def test_no_signal_of_five_classes_is_rarely_called_one():
    generator = np.random.default_rng(0)
    found = [class_auc_chance(np.arange(15) % 5, generator.random((15, 5))).p for _ in range(40)]
    assert np.mean(np.array(found) < 0.05) <= 0.15


def test_within_groups_labels_are_exchanged_within_them():
    """Two groups of 3 + 2 and 2 + 4: 10 · 15 ways, each pair of groups by hand."""
    labels = np.array([1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0])
    scores = np.array([5, 4, 2, 3, 1, 9, 7, 8, 6, 7, 5.0])
    groups = ["a"] * 5 + ["b"] * 6
    total = []
    for sums in _sums(scores[:5], 3), _sums(scores[5:], 2):
        total = [one + other for one in (total or [0]) for other in sums]
    found = sum(sums[0] for sums in (_sums(scores[:5], 3, labels[:5]), _sums(scores[5:], 2, labels[5:])))
    tails = np.mean(np.array(total) <= found), np.mean(np.array(total) >= found)
    assert len(total) == comb(5, 3) * comb(6, 2)
    assert auc_chance(labels, scores, within=groups).p == pytest.approx(2 * min(tails))


def _sums(scores, size, labels=None):
    from itertools import combinations

    from scipy.stats import rankdata

    ranks = rankdata(scores)
    chosen = [np.flatnonzero(labels == 1)] if labels is not None else map(list, combinations(range(len(scores)), size))
    return [float(ranks[list(each)].sum()) for each in chosen]


def test_groups_of_one_class_tell_nothing():
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.9, 0.8, 0.1, 0.2])
    assert auc_chance(labels, scores, within=["a", "a", "b", "b"]) == chance.Chance(1.0, "none")
    assert auc_chance(labels, scores, units=list("aabb")).method == "clustered"
    assert auc_chance(np.ones(3, int), np.arange(3.0), units=list("abc")) == chance.Chance(1.0, "none")


def test_what_tells_groups_apart_is_no_signal_within_them():
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(8), 20)
    labels = (generator.random(160) < np.where(groups % 2 == 0, 0.8, 0.2)).astype(int)
    scores = (groups % 2 == 0) + 0.1 * generator.random(160)
    assert auc_chance(labels, scores).p < 1e-6
    assert auc_chance(labels, scores, within=groups.tolist()).p > 0.05


def test_ways_are_all_there_are():
    ways = rank_sum_ways(np.array([1, 2, 2, 5]), 2)
    assert ways.tolist() == [0, 0, 0, 2, 1, 0, 1, 2]
    assert rank_sum_ways(np.arange(2, 202, 2), 50).sum() == pytest.approx(comb(100, 50), rel=1e-12)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.5, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_as_holms_steps_do(p_values):
    named = {f"h{number}": p for number, p in enumerate(p_values)}
    adjusted = holm(named)
    assert list(adjusted) == list(named)
    rejected, left = set(), len(p_values)
    for name in sorted(named, key=lambda each: named[each]):
        if named[name] * left >= 0.05:
            break
        rejected.add(name)
        left -= 1
    assert {name for name, p in adjusted.items() if p < 0.05} == rejected


def test_words():
    assert [verdict(0.8, 0.01), verdict(0.2, 0.01), verdict(0.8, 0.05)] == ["above", "below", "not told apart"]
    assert verdict(None, 0.0) == verdict(0.5, 0.01) == "not told apart"


# --- where there is no signal -----------------------------------------------------------------------------------------


def claims(n_positive, n_negative, cohorts):
    generator, said = np.random.default_rng(11), []
    labels = np.r_[np.ones(n_positive, int), np.zeros(n_negative, int)]
    for _ in range(cohorts):
        scores = generator.random(len(labels))
        said.append(verdict(naive.area(labels, scores), auc_chance(labels, scores).p))
    return said.count("above") / cohorts, said.count("below") / cohorts


@pytest.mark.parametrize("n_each", [1, 2])
def test_nothing_is_claimed_of_one_and_two_patients_a_class(n_each):
    labels = np.r_[np.ones(n_each, int), np.zeros(n_each, int)]
    assert verdict(1.0, auc_chance(labels, labels * 1.0).p) == "not told apart"
    assert verdict(0.0, auc_chance(labels, -labels * 1.0).p) == "not told apart"


@pytest.mark.parametrize(("n_positive", "n_negative"), [(0, 5), (1, 1), (3, 3), (4, 4), (2, 9), (12, 12)])
def test_no_p_is_less_than_that_of_a_perfect_area(n_positive, n_negative):
    labels = np.r_[np.zeros(n_negative, int), np.ones(n_positive, int)]
    assert least_p(n_positive, n_negative) == pytest.approx(auc_chance(labels, np.arange(len(labels))).p, rel=1e-12)


def test_no_signal_is_rarely_called_one():
    assert max(claims(6, 6, 60)) <= 0.06


@pytest.mark.long
@pytest.mark.parametrize(("n_positive", "n_negative"), [(6, 6), (12, 12), (2, 10)])
def test_no_signal_is_rarely_called_one_in_600_cohorts(n_positive, n_negative):
    assert max(claims(n_positive, n_negative, 600)) <= 0.035


def test_sites_with_a_signal_of_their_own_are_no_signal_of_the_label():
    """Labels exchanged between patients of 16 sites find one in half of the cohorts; by sites it is rare."""
    exchanged, by_sites = 0, 0
    for seed in range(25):
        generator = np.random.default_rng(seed)
        sites = np.repeat(np.arange(16), 10)
        labels = (generator.random(160) < np.where(sites % 2 == 0, 0.85, 0.15)).astype(int)
        scores = generator.normal(size=16)[sites] + 0.5 * generator.normal(size=160)
        exchanged += auc_chance(labels, scores).p < 0.05
        by_sites += auc_chance(labels, scores, units=sites.astype(str)).p < 0.05
    assert exchanged > 6
    assert by_sites <= 4
