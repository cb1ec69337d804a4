"""Shares: every slide in exactly one, equal to the slow twin, and never dependent on what is done."""

from __future__ import annotations

import itertools
from pathlib import Path

import naive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Share, Slide
from hypoxia_hpc.workers.shares import choose_slides, costliest_first, parse_share, slides_of_share

costs_by_id = st.dictionaries(st.text("abc-1", min_size=1, max_size=6), st.integers(0, 50), max_size=40)


def slides_of(costs: dict[str, int]) -> list[Slide]:
    return [Slide(name, Path(name), "p", cost) for name, cost in costs.items()]


def ids(slides: list[Slide]) -> list[str]:
    return [slide.slide_id for slide in slides]


@given(costs=costs_by_id, count=st.integers(1, 50))
def test_shares_equal_their_twin(costs: dict[str, int], count: int) -> None:
    slides = slides_of(costs)
    assert [ids(slides_of_share(slides, Share(index, count))) for index in range(count)] == naive.shares(costs, count)


@given(costs=costs_by_id, count=st.integers(1, 50), data=st.data())
def test_every_slide_is_in_one_share_in_whatever_order_the_table_is(
    costs: dict[str, int], count: int, data: st.DataObject
) -> None:
    slides = slides_of(costs)
    shuffled = data.draw(st.permutations(slides))
    parts = [ids(slides_of_share(shuffled, Share(index, count))) for index in range(count)]
    assert sorted(name for part in parts for name in part) == sorted(costs)
    assert parts == [ids(slides_of_share(slides, Share(index, count))) for index in range(count)]


@settings(max_examples=50)
@given(costs=st.lists(st.integers(0, 30), min_size=1, max_size=7), count=st.integers(1, 3))
def test_no_share_costs_more_than_graham_says(costs: list[int], count: int) -> None:
    """4/3 - 1/(3 count) of the best of all possible schedules (Graham 1969)."""
    slides = slides_of({f"s{index}": cost for index, cost in enumerate(costs)})
    loads = [sum(slide.cost for slide in slides_of_share(slides, Share(index, count))) for index in range(count)]
    schedules = itertools.product(range(count), repeat=len(costs))
    best = min(
        max(sum(cost for cost, share in zip(costs, schedule, strict=True) if share == index) for index in range(count))
        for schedule in schedules
    )
    assert 3 * count * max(loads) <= (4 * count - 1) * best


def test_slides_without_cost_are_spread_by_number() -> None:
    slides = slides_of(dict.fromkeys("abcdefg", 0))
    assert [len(slides_of_share(slides, Share(index, 3))) for index in range(3)] == [3, 2, 2]


def test_costliest_first_ties_by_id() -> None:
    assert ids(costliest_first(slides_of({"b": 1, "a": 1, "c": 9, "d": 0}))) == ["c", "a", "b", "d"]


def test_wanted_slides_keep_to_their_share() -> None:
    slides = slides_of({"a": 4, "b": 3, "c": 2, "d": 1})
    assert ids(choose_slides(slides, Share(), [])) == ["a", "b", "c", "d"]
    assert ids(choose_slides(slides, Share(), ["d", "b", "d"])) == ["b", "d"]
    both = [ids(choose_slides(slides, Share(index, 2), ["a", "b", "c"])) for index in range(2)]
    assert both == [["a"], ["b", "c"]]


def test_unknown_slides_are_all_named() -> None:
    with pytest.raises(InputError, match=r"not in slides\.csv") as caught:
        choose_slides(slides_of({"a": 1}), Share(), ["x", "a", "w"])
    assert caught.value.offending == ("w", "x")


@given(count=st.integers(1, 999_999), data=st.data())
def test_a_share_is_read_as_it_is_written(count: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, count - 1))
    assert parse_share(f"{index}/{count}") == Share(index, count)


@pytest.mark.parametrize(
    "text", ["", "1", "1/1", "2/1", "0/0", "-1/4", "0/-4", "a/b", "0/4/1", "0.0/4", "²/4", "0 /4", "0/3000000000"]
)
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not I/N with 0 <= I < N"):
        parse_share(text)
