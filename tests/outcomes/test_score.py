"""A score: how it is read, and how patients are dealt by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.outcomes.score import Score, fifths


def test_numbers_are_read() -> None:
    assert [Score().parse((cell,)) for cell in ("-3", "0.25", "1e3", "-0,5", "")] == [-3.0, 0.25, 1000.0, -0.5, None]
    assert Score().shown(0.5) == "0.5"


@pytest.mark.parametrize("cell", ["nan", "inf", "1e13", "high", "1,5,0", "1_0", "NA", "[Not Available]"])
def test_what_is_no_number_is_refused_with_the_range(cell: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number from -1e\+12 to 1e\+12"):
        Score().parse((cell,))


def test_the_balance_is_where_the_scores_lie() -> None:
    assert Score().balance_columns == ("with a score", "median", "range")
    assert Score().balance([0.5, -1, 2]) == ["3", "0.5", "-1 to 2"]
    assert Score().balance([]) == ["0", "", ""]


def test_scores_that_are_all_the_same_cannot_be_trained_on() -> None:
    assert Score().untrainable([1.0, 2.0]) == ""
    assert "1 different score" in Score().untrainable([1.0, 1.0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60, unique=True))
def test_fifths_are_of_equal_size_and_follow_the_order(values: list[float]) -> None:
    found = fifths(values)
    sizes = [found.count(number) for number in range(5)]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(found) == [found[values.index(value)] for value in sorted(values)]


def test_equal_scores_are_in_one_fifth() -> None:
    assert len(set(fifths([1.0] * 9))) == 1
