"""The highest and lowest tiles: few of each patient, and the same ones in any order of slides."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.analysis.extremes import Extremes, ExtremeTile

Slides = dict[str, tuple[str, list[float]]]
# Of each slide its patient and the values of its tiles, which lie side by side.
SLIDES: Slides = {
    "a": ("P1", [0.9, 0.8, 0.7, 0.1]),
    "b": ("P1", [0.95, 0.2]),
    "c": ("P2", [0.5, float("nan"), 0.5]),
    "d": ("P3", [0.5]),
}


def chosen(sign: int, shown: int, of_patient: int, slides: Slides = SLIDES) -> list[ExtremeTile]:
    extremes = Extremes(sign, shown, of_patient)
    for slide_id, (patient_id, values) in slides.items():
        xy_l0 = np.array([(10 * place, 0) for place in range(len(values))], dtype=np.int64)
        extremes.add(slide_id, patient_id, xy_l0, np.array(values), np.array(values)[:, None])
    return extremes.chosen()


def places(tiles: list[ExtremeTile]) -> list[tuple[str, int, float]]:
    return [(one.slide_id, one.x_l0, one.value) for one in tiles]


def test_each_patient_has_one_before_any_has_a_second() -> None:
    assert places(chosen(1, 3, 2)) == [("b", 0, 0.95), ("c", 0, 0.5), ("d", 0, 0.5)]
    assert places(chosen(1, 4, 2)) == [("b", 0, 0.95), ("a", 0, 0.9), ("c", 0, 0.5), ("d", 0, 0.5)]
    assert places(chosen(-1, 3, 2)) == [("a", 30, 0.1), ("c", 0, 0.5), ("d", 0, 0.5)]


def test_no_patient_has_more_than_its_number_and_what_is_not_known_is_not_chosen() -> None:
    found = chosen(1, 99, 3)
    assert [one.patient_id for one in found].count("P1") == 3
    assert [one for one in found if one.patient_id == "P2"] == [
        ExtremeTile("c", "P2", 0, 0, 0.5, (0.5,)),
        ExtremeTile("c", "P2", 20, 0, 0.5, (0.5,)),
    ]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_order_of_slides_does_not_matter(sign: int) -> None:
    backwards = dict(reversed(SLIDES.items()))
    for shown in range(1, 8):
        assert chosen(sign, shown, 2) == chosen(sign, shown, 2, backwards)


def test_nothing_of_nothing() -> None:
    assert chosen(1, 3, 2, {}) == chosen(1, 3, 2, {"a": ("P1", [float("nan")])}) == []
