"""Columns of a table as columns of a model, learnt on some patients."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.cohorts.covariates import learnt
from hypoxia_hpc.errors import InputError


def test_numbers_stay_numbers() -> None:
    found = learnt("age", ["60", "7.5", "", "x"], [True, True, True, False])
    assert found.columns == ("age",)
    np.testing.assert_array_equal(found.values(["60", "", "x", "7,5"])[:, 0], [60, np.nan, np.nan, 7.5])


def test_words_are_held_against_the_commonest_of_those_learnt_on() -> None:
    found = learnt("stage", ["II", "I", "II", "III", "IV"], [True, True, True, True, False])
    assert found.columns == ("stage: I", "stage: III")
    np.testing.assert_array_equal(
        found.values(["I", "II", "III", "IV", ""]), [[1, 0], [0, 0], [0, 1], [np.nan, np.nan], [np.nan, np.nan]]
    )


def test_what_cannot_be_learnt() -> None:
    with pytest.raises(InputError, match="grade has no value among 1 patient"):
        learnt("grade", ["", "3"], [True, False])
    with pytest.raises(InputError, match="25 different ones; 20 are the most") as error:
        learnt("name", [f"n{number}" for number in range(25)], [True] * 25)
    assert len(error.value.offending) == 25
