"""Balanced sampling is undone; probabilities of a planted cohort are right on average, no worse than its prevalence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from hypoxia_hpc.analysis.calibration import (
    LEAST_SLOPE,
    PATIENTS_A_PARAMETER,
    Calibration,
    fit_calibration,
    sampling_log_odds,
    without_sampling,
)
from hypoxia_hpc.analysis.reliability import calibration_intercept, calibration_slope, logits_of
from hypoxia_hpc.errors import InputError

# 10 % of the patients have label 1; training is balanced by weights.
TRAIN, VALID, TEST, PREVALENCE = 700, 300, 500, 0.1


def planted(seed, *, effect=1.0, features=5):
    """Labels and a balanced model's probabilities of training, validation and test patients, and the log-odds that
    the balance added."""
    generator = np.random.default_rng(seed)
    n = TRAIN + VALID + TEST
    labels = (np.arange(n) % 10 == 0).astype(int)
    values = generator.normal(size=(n, features)) + effect * labels[:, None] / np.sqrt(features)
    model = LogisticRegression(class_weight="balanced").fit(values[:TRAIN], labels[:TRAIN])
    probabilities = model.predict_proba(values)[:, 1]
    counts = np.bincount(labels[:TRAIN])
    added = sampling_log_odds(counts, np.array([1.0, 1.0]))
    parts = [slice(0, TRAIN), slice(TRAIN, TRAIN + VALID), slice(TRAIN + VALID, n)]
    return [(labels[part], probabilities[part]) for part in parts], added


@pytest.mark.parametrize("effect", [0.0, 1.0, 3.0])
def test_a_planted_cohort_of_one_in_ten(effect):
    for seed in (1, 2, 3):
        (_, valid, (labels, probabilities)), added = planted(seed, effect=effect)
        alone = brier_score_loss(labels, np.full(TEST, PREVALENCE))
        assert abs(probabilities.mean() - PREVALENCE) > 0.05  # as the balanced model says them
        fitted = fit_calibration(*valid, added[1])
        assert fitted.rule == "platt"
        for calibrated in (fitted.apply(probabilities), without_sampling(probabilities, added)):
            assert abs(calibrated.mean() - PREVALENCE) <= 0.05
        assert brier_score_loss(labels, fitted.apply(probabilities)) <= alone * (1.0 if effect else 1.005)
        area = roc_auc_score(labels, fitted.apply(probabilities))
        assert area == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-4)


def test_a_model_without_the_sampling_passes_the_check_and_with_it_does_not():
    (_, _, (labels, probabilities)), added = planted(4, effect=2.0)
    assert calibration_intercept(labels, probabilities, 0.95).high < 0
    corrected = without_sampling(probabilities, added)
    found = calibration_intercept(labels, corrected, 0.95)
    assert found.low < 0 < found.high
    assert calibration_slope(labels, corrected, 0.95).low < 1 < calibration_slope(labels, corrected, 0.95).high


def test_log_odds_by_hand():
    assert sampling_log_odds(np.array([900, 100]), np.array([1, 1])).tolist() == pytest.approx([0, np.log(9)])
    # Nothing was added where every row was seen equally often.
    assert sampling_log_odds(np.array([7, 5, 3]), np.array([70, 50, 30])).tolist() == pytest.approx([0, 0, 0])
    # Weights n / (2 n_class) are balance as well.
    weights = np.array([900, 100]) * np.array([1000 / 1800, 1000 / 200])
    assert sampling_log_odds(np.array([900, 100]), weights)[1] == pytest.approx(np.log(9))


@pytest.mark.parametrize(("rows", "seen"), [([0, 5], [1, 1]), ([5, 5], [1, 0])])
def test_log_odds_of_a_class_that_is_not_there(rows, seen):
    with pytest.raises(InputError, match="no log-odds of a sampling"):
        sampling_log_odds(np.array(rows), np.array(seen))


def test_two_classes_by_either_form():
    probabilities, added = np.array([0.2, 0.5, 0.9]), np.array([0.0, np.log(9)])
    corrected = without_sampling(probabilities, added)
    both = without_sampling(np.column_stack([1 - probabilities, probabilities]), added)
    assert both[:, 1].tolist() == pytest.approx(corrected.tolist())
    assert both.sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert corrected[1] == pytest.approx(0.1)
    assert without_sampling(np.array([[1.0, 0.0]]), added).tolist() == [[1, 0]]


def test_bayes_undone():
    """A posterior under a balanced prior becomes that under the true one, for three classes."""
    likelihood, prior = np.array([[0.2, 0.5, 0.1], [0.7, 0.1, 0.3]]), np.array([0.7, 0.2, 0.1])
    balanced, true = (
        posterior / posterior.sum(axis=1, keepdims=True) for posterior in (likelihood, likelihood * prior)
    )
    assert without_sampling(balanced, sampling_log_odds(prior, np.ones(3))) == pytest.approx(true)


def few(n_0, n_1, seed=1):
    generator = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [n_0, n_1])
    return labels, expit(generator.normal(size=n_0 + n_1) + labels)


def test_what_is_fitted_depends_on_the_smaller_class():
    one, two = PATIENTS_A_PARAMETER, 2 * PATIENTS_A_PARAMETER
    rules = [fit_calibration(*few(200, n_1), 0.7).rule for n_1 in (0, one - 1, one, two - 1, two)]
    assert rules == ["none", "none", "intercept", "intercept", "platt"]
    assert fit_calibration(*few(two - 1, 200), 0.7).rule == "intercept"


def test_with_too_few_patients_the_sampling_is_all():
    found = fit_calibration(*few(50, 4), 1.3)
    assert (found.intercept, found.slope, found.n_0, found.n_1) == (-1.3, 1.0, 50, 4)
    _, probabilities = few(50, 4)
    assert found.apply(probabilities) == pytest.approx(without_sampling(probabilities, np.array([0.0, 1.3])))


def test_an_intercept_makes_validation_right_on_average():
    labels, probabilities = few(40, 12)
    found = fit_calibration(labels, probabilities, 0.4)
    assert found.apply(probabilities).mean() == pytest.approx(12 / 52, abs=1e-9)
    assert found.slope == 1


def test_platt_mends_a_model_that_is_too_sure():
    generator = np.random.default_rng(6)
    truth = generator.normal(size=4000)
    labels = (generator.random(4000) < expit(truth)).astype(int)
    found = fit_calibration(labels, expit(1.5 + 2 * truth), 0.5)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.intercept == pytest.approx(-0.75, abs=0.1)
    assert found.apply(expit(1.5 + 2 * truth)) == pytest.approx(expit(truth), abs=0.03)


def test_platts_targets_keep_the_slope_finite_where_classes_are_apart():
    labels = np.repeat([0, 1], 25)
    found = fit_calibration(labels, np.where(labels == 1, 0.9, 0.2), 0.0)
    assert found.rule == "platt"
    assert found.apply(np.array([0.2, 0.9])) == pytest.approx([1 / 27, 26 / 27], abs=1e-4)


def test_a_calibration_never_turns_the_ranking_and_equal_probabilities_have_no_slope():
    labels, probabilities = few(60, 40)
    turned = fit_calibration(labels, 1 - probabilities, 0.0)
    assert (turned.rule, turned.slope) == ("platt", LEAST_SLOPE)
    assert turned.apply(1 - probabilities).mean() == pytest.approx(0.4, abs=1e-6)
    assert np.ptp(turned.apply(1 - probabilities)) < 0.03
    flat = fit_calibration(labels, np.full(100, 0.3), 0.0)
    assert flat.rule == "intercept"
    assert flat.apply(np.array([0.3])) == pytest.approx([0.4])


def test_nothing_to_apply_changes_no_bit():
    probabilities = np.random.default_rng(1).random(50).astype(np.float32)
    assert (Calibration(0.0, 1.0, "none", 3, 3).apply(probabilities) == probabilities.astype(np.float64)).all()
    assert logits_of(Calibration(-1.0, 2.0, "platt", 30, 30).apply(np.array([0.3]))) == pytest.approx(
        2 * logit(0.3) - 1
    )
