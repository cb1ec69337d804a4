"""Shares that sum to one as columns of full rank."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.analysis.compositions import as_columns, commonest, without_zeros

SHARES = np.array([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.2, 0.3, 0.5]])
TILES = np.array([10, 4, 100])


def test_zeros_are_half_a_tile_and_the_sum_stays_one():
    found = without_zeros(SHARES, TILES)
    assert found[0] == pytest.approx([0.475, 0.475, 0.05])
    assert found[1:] == pytest.approx(SHARES[1:])
    assert found.sum(axis=1) == pytest.approx(1)


def test_a_patient_of_one_tile_in_many_clusters():
    found = without_zeros(np.eye(1, 50), np.array([1]))
    assert (found > 0).all() and found.sum() == pytest.approx(1) and found[0, 0] > 0.5


def test_one_share_is_left_out_and_the_rank_is_full():
    reference = commonest(SHARES)
    assert reference == 1
    assert as_columns(SHARES, TILES, "reference", reference) == pytest.approx(SHARES[:, [0, 2]])
    ratios = as_columns(SHARES, TILES, "log-ratio", reference)
    assert ratios[1] == pytest.approx(np.log([0.5, 0.5]))
    assert ratios[0] == pytest.approx(np.log([1, 0.05 / 0.475]))
    assert np.linalg.matrix_rank(ratios - ratios.mean(axis=0)) == 2
