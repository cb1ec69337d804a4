"""When a fit is trusted, and which dye comes first."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.tiling.stain.stains import RUIFROK, Stains, angle_degrees, ordered, trusted

WHITE, STRONGEST = np.full(3, 240.0), np.array([2.0, 1.0])


def test_dyes_of_the_books_are_trusted_in_their_order_alone() -> None:
    directions = ordered(RUIFROK)
    assert trusted(Stains(directions, STRONGEST, WHITE)).found is not None
    assert np.linalg.norm(directions, axis=0) == pytest.approx(1.0)
    for mixed in (RUIFROK[:, ::-1], -RUIFROK, RUIFROK * [-3.0, 2.0]):
        assert ordered(mixed) == pytest.approx(directions)


@pytest.mark.parametrize(
    ("directions", "strongest", "reason"),
    [
        (np.array([[1.0, 0.1], [0.0, 1.0], [0.0, 0.1]]), STRONGEST, "haematoxylin lies 49 degrees"),
        (np.array([[0.65, 0.6], [0.7, 0.1], [0.29, 0.9]]), STRONGEST, "eosin lies"),
        (np.array([[0.5, 0.49], [0.8, 0.81], [0.3, 0.3]]), STRONGEST, "degrees apart"),
        (RUIFROK, np.array([0.0, 1.0]), "no haematoxylin"),
        (RUIFROK, np.array([1.0, -0.1]), "no eosin"),
    ],
)
def test_what_speaks_against_a_fit_is_said(directions: np.ndarray, strongest: np.ndarray, reason: str) -> None:
    fit = trusted(Stains(directions, strongest, WHITE))
    assert fit.found is None and reason in fit.why_not


def test_angles_are_in_degrees() -> None:
    assert angle_degrees(np.array([1.0, 0, 0]), np.array([0, 2.0, 0])) == pytest.approx(90)
    assert angle_degrees(np.array([1.0, 1, 0]), np.array([3.0, 3, 0])) == pytest.approx(0, abs=1e-5)
