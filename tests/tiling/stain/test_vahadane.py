"""Vahadane's fit finds the dyes that are there; its codes are the best there are."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from dyed import GLASS, SLIDE, WHITE, dyed

from hypoxia_hpc.tiling.stain.stains import angle_degrees
from hypoxia_hpc.tiling.stain.vahadane import fit_vahadane, sparse_codes, sparse_directions


def test_planted_dyes_are_found_the_same_each_time() -> None:
    fit = fit_vahadane(dyed(), WHITE, GLASS)
    again = fit_vahadane(dyed(), WHITE, GLASS)
    assert fit.found is not None and again.found is not None, fit.why_not
    assert np.array_equal(fit.found.directions, again.found.directions)
    for dye in range(2):
        assert angle_degrees(fit.found.directions[:, dye], SLIDE.directions[:, dye]) < 5


def test_codes_are_those_of_trying_all_cases() -> None:
    rng = np.random.default_rng(0)
    directions = np.abs(rng.normal(size=(2, 3)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = np.abs(rng.normal(size=(300, 3)))
    expected = [naive.sparse_code(point, directions, 0.2) for point in points]
    assert sparse_codes(points, directions, 0.2) == pytest.approx(np.array(expected), abs=1e-12)
    assert {tuple(code > 0) for code in expected} == {(True, True), (True, False), (False, True)}


def test_what_has_no_two_dyes_is_not_trusted() -> None:
    one_dye = np.outer(np.linspace(0.2, 2, 500), [0.6, 0.7, 0.3])
    assert sparse_directions(one_dye) is None
    assert "stained pixels" in fit_vahadane(np.full((9, 9, 3), 255, np.uint8), WHITE, GLASS).why_not
    black = fit_vahadane(np.zeros((50, 50, 3), np.uint8), WHITE, GLASS)
    assert black.found is None and black.why_not
