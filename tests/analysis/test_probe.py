"""A site that is in the features is read, one that is not is not; McNemar's test against its binomial."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from hypoxia_hpc.analysis.probe import FOLDS, Probed, mcnemar_p, probe_groups


def patients_of(n, n_sites, d, seed, *, shift):
    generator = np.random.default_rng(seed)
    sites = generator.integers(0, n_sites, n)
    features = generator.normal(size=(n, d)) + shift * generator.normal(size=(n_sites, d))[sites]
    return features, [f"site{number}" for number in sites]


@pytest.mark.parametrize("d", [8, 300])
def test_a_planted_site_is_read(d):
    found = probe_groups(*patients_of(160, 6, d, 1, shift=0.8), seed=1)
    assert found.readable
    assert found.accuracy > 0.7
    assert found.majority < 0.4
    assert (found.n, found.groups, found.left_out) == (160, 6, 0)


def test_sites_that_are_not_in_the_features_are_not_read():
    read = [probe_groups(*patients_of(120, 5, 40, seed, shift=0.0), seed=seed).readable for seed in range(8)]
    assert sum(read) <= 1


def test_equals_the_same_regression_without_turning():
    features, sites = patients_of(60, 3, 100, 2, shift=0.3)
    found = probe_groups(features, sites, seed=4)
    codes, hits = np.unique(sites, return_inverse=True)[1], 0
    for others, own in StratifiedKFold(FOLDS, shuffle=True, random_state=4).split(features, codes):
        scaler = StandardScaler().fit(features[others])
        train, asked = (scaler.transform(features[rows]) / np.sqrt(100) for rows in (others, own))
        hits += np.sum(LogisticRegression(max_iter=2000).fit(train, codes[others]).predict(asked) == codes[own])
    assert found.accuracy == pytest.approx(hits / 60, abs=1 / 60)


def test_small_sites_are_left_out_and_one_site_is_nothing_to_read():
    features = np.random.default_rng(1).normal(size=(20, 3))
    found = probe_groups(features, ["a"] * 9 + ["b"] * 7 + ["c"] * 4, seed=1)
    assert (found.n, found.groups, found.left_out) == (16, 2, 4)
    alone = probe_groups(features, ["a"] * 16 + ["b"] * 4, seed=1)
    assert alone == Probed(None, None, None, 16, 1, 4)
    assert not alone.readable
    assert probe_groups(features[:0], [], seed=1) == Probed(None, None, None, 0, 0, 0)


def test_a_feature_that_never_varies():
    features, sites = patients_of(50, 2, 4, 3, shift=2.0)
    features[:, 2] = 7.0
    assert probe_groups(features, sites, seed=1).readable


@pytest.mark.parametrize(("only_one", "only_other"), [(0, 0), (5, 0), (3, 3), (12, 4)])
def test_mcnemar(only_one, only_other):
    n, few = only_one + only_other, min(only_one, only_other)
    assert mcnemar_p(only_one, only_other) == pytest.approx(min(1.0, 2 * binom.cdf(few, n, 0.5)) if n else 1.0)
    assert mcnemar_p(only_other, only_one) == mcnemar_p(only_one, only_other)


def test_the_penalty_means_the_same_for_every_length_of_features():
    read, guessed = [], []
    for seed in range(6):
        features, sites = patients_of(60, 3, 10, seed, shift=0.5)
        one, sixteen = (probe_groups(each, sites, seed=seed, c=0.05) for each in (features, np.tile(features, 16)))
        read.append(one.accuracy)
        guessed.append(sixteen.accuracy)
    assert read == guessed
