"""Patients unlike those of training."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from hypoxia_hpc.analysis.outliers import Reference, distances, origin_of_limit, reference_of

D = 64


def cohort(rng: np.random.Generator, n: int) -> np.ndarray:
    """Mean feature vectors (n, D) that go together, as those of a network do."""
    loadings = np.random.default_rng(7).normal(size=(8, D)) / np.sqrt(8)
    return rng.normal(size=(n, 8)) @ loadings + 0.5 * rng.normal(size=(n, D)) + np.arange(D)


def reference(train: np.ndarray, valid: np.ndarray) -> Reference:
    found = reference_of(train, valid)
    assert found is not None
    return found


def beyond(found: Reference, means: np.ndarray) -> int:
    return int((distances(means, found.mean, found.scale) > found.limit).sum())


@pytest.mark.parametrize(("n_train", "n_valid"), [(3, 0), (8, 3), (90, 30)])
def test_equals_twin(n_train: int, n_valid: int) -> None:
    rng = np.random.default_rng(1)
    train, valid = cohort(rng, n_train)[:, :6], cohort(rng, n_valid)[:, :6]
    train[:, 0], train[0, 0] = 0, 1  # a feature that one patient alone has
    found = reference(train, valid)
    assert found.n == n_train + n_valid
    assert found.limit == pytest.approx(naive.distance_limit(train.tolist(), valid.tolist()))
    asked = cohort(rng, 5)[:, :6]
    expected = [naive.distance(row, train.tolist()) for row in asked.tolist()]
    assert distances(asked, found.mean, found.scale).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("n_train", "n_valid"), [(12, 4), (20, 5), (60, 20), (100, 40)])
def test_a_cohort_shifted_by_three_deviations_is_flagged_whole_and_one_of_the_same_kind_hardly(
    n_train: int, n_valid: int
) -> None:
    held_out, shifted = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        train = cohort(rng, n_train)
        found = reference(train, cohort(rng, n_valid))
        held_out.append(beyond(found, cohort(rng, 40)))
        signs = rng.choice([-1.0, 1.0], D)
        shifted.append(beyond(found, cohort(rng, 40) + 3 * signs * train.std(axis=0)))
    assert shifted == [40] * 20
    assert sum(held_out) <= 0.05 * 20 * 40
    assert sum(held_out) > 0, "the limit is where it flags nobody"


def test_a_patient_in_the_middle_of_the_others_leaves_a_limit() -> None:
    found = reference(np.array([[1.0], [2.0], [3.0]]), np.empty((0, 1)))
    assert np.isfinite(found.limit)
    assert found.limit > 1


def test_features_that_few_patients_have_do_not_lift_the_limit() -> None:
    rng = np.random.default_rng(3)
    train, others = cohort(rng, 40), cohort(rng, 40)
    sparse = np.zeros((40, 16))
    sparse[np.arange(16), np.arange(16)] = 0.5
    found = reference(np.hstack([train, sparse]), np.empty((0, D + 16)))
    assert found.limit < 2 * reference(train, np.empty((0, D))).limit
    shifted = np.hstack([others + 3 * train.std(axis=0), np.zeros((40, 16))])
    assert beyond(found, shifted) == 40


@pytest.mark.parametrize("train", [np.ones((2, 3)), np.ones((5, 3)), np.array([[1.0, 2.0]] * 4 + [[3.0, 4.0]])])
def test_without_three_patients_that_differ_there_is_no_reference(train: np.ndarray) -> None:
    assert reference_of(train, train[:1]) is None


def test_how_rough_the_limit_is() -> None:
    said = origin_of_limit(16)
    assert said.startswith(
        "a rough limit, for it is of 16 training and validation patients alone: about 3% of patients"
    )
    assert origin_of_limit(99).startswith("a rough limit")
    assert origin_of_limit(100) == "the 99th percentile of training and validation patients"
