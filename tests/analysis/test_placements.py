"""Variances of areas against DeLong's structural components and Obuchowski's formulas, unit by unit."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from hypoxia_hpc.analysis.placements import LEAST_FREEDOM, auc_covariance, placements


def cohort(n, n_units, seed, *, mixed):
    generator = np.random.default_rng(seed)
    units = generator.integers(0, n_units, n)
    labels = generator.integers(0, 2, n) if mixed else units % 2
    return labels, np.round(generator.random(n) + 0.3 * labels, 1), units


def test_placements_are_shares_of_the_other_class():
    labels, scores, _ = cohort(40, 40, 1, mixed=True)
    placed = placements(labels, scores)
    for label, score, found in zip(labels, scores, placed, strict=True):
        others = scores[labels != label]
        below = (np.sum(others < score) + np.sum(others == score) / 2) / len(others)
        assert found == pytest.approx(below if label else 1 - below)
    assert placed[labels == 1].mean() == pytest.approx(naive.area(labels, scores))
    assert placed[labels == 0].mean() == pytest.approx(naive.area(labels, scores))


def test_equals_obuchowskis_variance():
    labels, scores, units = cohort(80, 11, 2, mixed=False)
    codes = np.unique(units, return_inverse=True)[1]
    found = auc_covariance(labels, scores[:, None], codes, codes.max() + 1)
    rows = list(zip(units.tolist(), labels.tolist(), scores.tolist(), strict=True))
    assert found.matrix[0, 0] == pytest.approx(naive.clustered_auc_variance(rows), rel=1e-10)
    assert not found.independent


def test_of_units_with_both_classes_it_is_the_jackknifes():
    labels, scores, units = cohort(80, 9, 2, mixed=True)
    other = np.random.default_rng(5).random(80)
    without = np.array([[naive.area(labels[units != u], p[units != u]) for p in (scores, other)] for u in range(9)])
    found = auc_covariance(labels, np.column_stack([scores, other]), units, 9)
    assert found.matrix == pytest.approx(np.cov(without, rowvar=False, bias=True) * 8, rel=1e-9)
    # With many units it comes near Obuchowski's.
    labels, scores, units = cohort(2000, 200, 3, mixed=True)
    rows = list(zip(units.tolist(), labels.tolist(), scores.tolist(), strict=True))
    found = auc_covariance(labels, scores[:, None], units, 200)
    assert found.matrix[0, 0] == pytest.approx(naive.clustered_auc_variance(rows), rel=0.03)


def test_a_site_without_which_a_class_is_gone_is_not_counted():
    labels, scores = np.array([1, 0, 0, 0, 0]), np.array([0.5, 0.1, 0.9, 0.2, 0.3])
    found = auc_covariance(labels, scores[:, None], np.array([0, 0, 1, 2, 2]), 3)
    assert found.matrix[0, 0] == pytest.approx(np.var([1.0, 0.5]))
    assert np.isnan(auc_covariance(labels, scores[:, None], np.array([0, 0, 0, 0, 1]), 2).matrix).all()


def test_of_single_rows_it_is_delongs():
    labels, scores, _ = cohort(30, 30, 3, mixed=True)
    other = np.random.default_rng(4).random(30)
    placed = np.column_stack([placements(labels, scores), placements(labels, other)])
    found = auc_covariance(labels, np.column_stack([scores, other]), np.arange(30), 30)
    parts = [np.cov(placed[labels == label], rowvar=False) / np.sum(labels == label) for label in (0, 1)]
    assert found.matrix == pytest.approx(parts[0] + parts[1], rel=1e-10)
    assert found.independent
    assert (found.n_positive, found.n_negative) == (labels.sum(), 30 - labels.sum())
    # Welch and Satterthwaite: at most the sum of both.
    assert (found.freedom <= 28).all()
    assert (found.freedom >= LEAST_FREEDOM).all()


def test_freedom_of_a_class_by_hand():
    """With many negative patients the positive ones make up the variance: 2 n / (kurtosis - 1) of their placements."""
    generator = np.random.default_rng(5)
    labels = np.r_[np.ones(20, int), np.zeros(20_000, int)]
    scores = generator.normal(size=20_020) + np.r_[np.full(16, 3.0), [0.0, 0.5, 1.0, 1.5], np.zeros(20_000)]
    placed = placements(labels, scores)[:, None]
    deviations = placed[:20, 0] - placed[:20, 0].mean()
    kurtosis = np.mean(deviations**4) / np.mean(deviations**2) ** 2
    found = auc_covariance(labels, scores[:, None], np.arange(20_020), 20_020)
    assert found.freedom[0] == pytest.approx(40 / (kurtosis - 1), rel=0.01)
    assert LEAST_FREEDOM < found.freedom[0] < 15


def test_freedom_at_the_ends():
    labels, scores, units = cohort(80, 11, 2, mixed=True)
    codes = np.unique(units, return_inverse=True)[1]
    found = auc_covariance(labels, scores[:, None], codes, codes.max() + 1)
    assert LEAST_FREEDOM <= found.freedom[0] <= codes.max()
    perfect = auc_covariance(np.array([0, 0, 0, 1, 1]), np.arange(5.0)[:, None], np.arange(5), 5)
    assert (perfect.matrix[0, 0], perfect.freedom[0]) == (0, 1)


def test_one_unit_of_a_class_has_no_variance():
    labels, scores = np.array([0, 0, 0, 1]), np.array([0.1, 0.4, 0.2, 0.3])
    assert np.isnan(auc_covariance(labels, scores[:, None], np.arange(4), 4).matrix).all()


def test_one_unit_that_makes_up_the_variance():
    """One positive patient of thirty is out of order: freedom of its own would be some 2, it counts as 4."""
    labels = np.r_[np.ones(30, int), np.zeros(3000, int)]
    scores = np.r_[np.full(29, 9.0), 0.0, np.linspace(-1, 1, 3000)]
    assert auc_covariance(labels, scores[:, None], np.arange(3030), 3030).freedom.tolist() == [4.0]
