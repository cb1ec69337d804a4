"""How often patients are drawn, and the order in which rows are ranked; intervals made of both are in test_metrics."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.analysis.bootstrap import LANES, patient_weights, rank_order, twice_concordant


@pytest.mark.parametrize("n_resamples", [0, 1, LANES - 1, LANES, LANES + 1, 2 * LANES + 6])
def test_every_resample_draws_as_many_patients_as_there_are(n_resamples: int) -> None:
    """Twin: one resample after another, one patient after another."""
    generator, expected = np.random.Generator(np.random.PCG64(5)), np.zeros((n_resamples, 7))
    for resample in expected:
        for patient in generator.integers(0, 7, size=7):
            resample[patient] += 1
    blocks = list(patient_weights(7, n_resamples, 5))
    assert [block.shape[1] for block in blocks[:-1]] == [LANES] * (len(blocks) - 1)
    drawn = np.hstack([np.zeros((7, 0)), *blocks])
    assert drawn.shape == (7, n_resamples)
    assert (drawn == expected.T).all()
    assert (drawn.sum(axis=0) == 7).all()


def test_weights_are_float64_in_the_order_in_which_they_are_read() -> None:
    [block] = patient_weights(3, 2, 1)
    assert block.dtype == np.float64
    assert block.flags.c_contiguous


def test_another_seed_draws_other_patients() -> None:
    one, other = (next(patient_weights(50, LANES, seed)) for seed in (1, 2))
    assert (one != other).any()


def test_rows_by_rising_probability_and_label_0_before_1_where_it_ties() -> None:
    order, begins = rank_order(np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.1, 0.9]))
    assert order.tolist() == [2, 1, 0, 3]
    assert begins.tolist() == [True, True, False, True]
    assert begins.dtype == bool


def test_no_rows_have_no_order() -> None:
    order, begins = rank_order(np.zeros(0, dtype=int), np.zeros(0))
    assert (order.tolist(), begins.tolist(), begins.dtype) == ([], [], np.dtype(bool))


def test_pairs_are_counted_by_the_weights_of_both_patients() -> None:
    """Negative 0.1 and 0.5 of patients 0 and 1, positive 0.5 and 0.9 of patients 1 and 2: a tie and three in order."""
    positive, begins = np.array([False, False, True, True]), np.array([True, True, False, True])
    weights = np.array([[1.0, 2.0], [1.0, 0.0], [1.0, 3.0]])
    pairs = twice_concordant(positive, begins, np.array([0, 1, 1, 2]), weights)
    assert pairs.tolist() == [2 + 1 + 2 + 2, 2 * 2 * 3]
