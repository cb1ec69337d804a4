"""What is odd about a slide that is read all the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.records import Pyramid
from hypoxia_hpc.tiling.remarks import (
    CONTRADICTION,
    LARGEST,
    SENTENCES,
    TWO_MPP,
    by_kind,
    contradict,
    left_out_images,
    places_doubt,
    remarks,
    resolution_doubt,
    size_doubt,
)


def pyramid(mpp: float | None, power: float | None, images: int = 1) -> Pyramid:
    return Pyramid(((1000, 1000),), (1.0,), mpp_x=mpp, mpp_y=mpp, objective_power=power, images=images)


@pytest.mark.parametrize(
    ("mpp", "power", "doubtful"),
    [
        (0.25, 40.0, False),
        (0.2265, 40.0, False),  # Hamamatsu
        (0.2874, 40.0, False),
        (0.2876, 40.0, True),
        (0.3, 40.0, True),
        (0.2126, 40.0, False),
        (0.2124, 40.0, True),
        (0.5, 40.0, True),
        (0.5, None, False),
        (None, 40.0, False),
        (352.8, 40.0, False),  # missing, so it contradicts nothing
        (0.5, 1e9, False),
        (0.5, -20.0, False),
    ],
)
def test_a_resolution_that_contradicts_the_objective_is_said(
    mpp: float | None, power: float | None, doubtful: bool
) -> None:
    doubt = resolution_doubt(pyramid(mpp, power))
    assert bool(doubt) == doubtful == contradict(mpp, power)
    if doubtful:
        assert f"{mpp:g} µm/px" in doubt
        assert f"{power:g}x" in doubt


@pytest.mark.parametrize(
    ("source", "power", "images", "kinds"),
    [
        ("slide", 40.0, 1, (CONTRADICTION,)),
        ("manifest", 40.0, 1, ()),
        ("default_mpp", 40.0, 1, ()),
        ("slide", 20.0, 1, ()),
        ("slide", 40.0, 2, (CONTRADICTION, LARGEST)),
        ("manifest", None, 3, (LARGEST,)),
    ],
)
def test_a_manifest_is_beyond_doubt(source: str, power: float | None, images: int, kinds: tuple[str, ...]) -> None:
    assert remarks(0.5, source, power, images) == kinds


def test_other_images_are_counted() -> None:
    assert size_doubt(pyramid(0.5, None)) == ""
    assert "largest of 3 images" in size_doubt(pyramid(0.5, None, 3))


@given(st.lists(st.sets(st.sampled_from([*SENTENCES, "of-a-later-version"]))))
def test_each_kind_has_its_slides(kinds: list[set[str]]) -> None:
    found = by_kind((f"s{number}", tuple(one)) for number, one in enumerate(kinds))
    assert found == {
        sentence: names
        for kind, sentence in SENTENCES.items()
        if (names := tuple(f"s{number}" for number, one in enumerate(kinds) if kind in one))
    }


@pytest.mark.parametrize(
    ("mpp", "other", "doubtful"),
    [
        (0.25, 0.25, False),
        (0.5, 0.57, False),
        (0.5, 0.44, False),
        (0.25, 0.5, True),
        (0.5, 0.25, True),
        (0.5, None, False),
        (0.5, 352.8, False),  # 72 dpi: missing, so it contradicts nothing
        (352.8, 0.5, False),
    ],
)
def test_two_places_that_contradict_each_other_are_said(mpp: float, other: float | None, doubtful: bool) -> None:
    doubt = places_doubt(Pyramid(((1000, 1000),), (1.0,), mpp_x=mpp, mpp_y=mpp, other_mpp=other))
    assert bool(doubt) == doubtful
    assert doubt == "" or (f"{mpp:g} µm/px" in doubt and f"another place {other:g}" in doubt)
    assert remarks(mpp, "slide", None, 1, other) == ((TWO_MPP,) if doubtful else ())
    assert remarks(mpp, "manifest", None, 1, other) == ()


def test_images_that_are_left_out_are_counted_by_their_reasons() -> None:
    found = left_out_images([("A", {"unreadable": 2, "near-empty": 1_000}), ("B", {}), ("C", {"near-empty": 500})])
    assert found == {
        "images left out, near-empty: 1,500, of patients": ("A 1,000", "C 500"),
        "images left out, unreadable: 2, of patients": ("A 2",),
    }
    assert left_out_images([("B", {})]) == {}
