"""Score metrics against scipy and scikit-learn on repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score

from hypoxia_hpc.analysis.rows import point
from hypoxia_hpc.analysis.scores import score_statistic


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_equals_scipy_and_scikit_learn(steps, far):
    generator = np.random.default_rng(1)
    truth = generator.normal(size=80) + far
    predicted = truth + generator.normal(size=80)
    if steps:
        truth, predicted = np.round(truth * steps) / steps, np.round(predicted * steps) / steps
    units = generator.integers(0, 12, 80)
    weights = generator.integers(0, 4, (12, 5)).astype(float)
    for lane, got in enumerate(score_statistic(truth, predicted, units, 12)(weights)):
        times = weights[units, lane].astype(int)
        y, p = np.repeat(truth, times), np.repeat(predicted, times)
        expected = spearmanr(y, p).statistic, r2_score(y, p), mean_absolute_error(y, p)
        assert got == pytest.approx(expected, abs=1e-9 if far else 1e-12)


def test_not_defined():
    same, rising = np.full(4, 2.0), np.arange(4.0)
    constant = point(score_statistic(same, rising, np.arange(4), 4), 4)
    assert np.isnan(constant).tolist() == [True, True, False]
    guessed = point(score_statistic(rising, same, np.arange(4), 4), 4)
    assert np.isnan(guessed).tolist() == [True, False, False]
    drawn = score_statistic(rising, rising, np.arange(4), 4)(np.array([[0.0], [0.0], [0.0], [0.0]]))
    assert np.isnan(drawn).all()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=25))
def test_order_does_not_matter_and_ranks_alone_make_spearman(rows):
    truth, predicted, units = (np.array(column) for column in zip(*rows, strict=True))
    units = np.unique(units, return_inverse=True)[1]
    n_units = units.max() + 1
    order = np.random.default_rng(0).permutation(len(units))
    found = point(score_statistic(truth, predicted, units, n_units), n_units)
    turned = point(score_statistic(truth[order], predicted[order], units[order], n_units), n_units)
    assert (turned == found)[~np.isnan(found)].all()
    other = point(score_statistic(np.exp(truth), predicted**3.0, units, n_units), n_units)
    assert other[0] == pytest.approx(found[0], abs=1e-12, nan_ok=True)
