"""The table of cases: every row is whole, and its twins are those of tests/naive.py."""

from __future__ import annotations

import itertools

import naive
import numpy as np
import pytest

from hypoxia_hpc.bench.cases import kernels, stain
from hypoxia_hpc.bench.cases.registry import CASES, chosen
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.published import REFERENCE, WHITE

TOPICS = ("kernels", "stain", "readers", "decoding", "stores", "feeding", "networks", "heads", "statistics", "stages")


def test_names_are_unique_and_every_topic_has_a_case() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert tuple(dict.fromkeys(case.topic for case in CASES)) == TOPICS
    assert {case.name for case in CASES} & set(TOPICS) == {"stain", "feeding"}  # each the one case of its topic
    assert all(case.unit and case.bound and case.summary for case in CASES)


def test_a_case_is_chosen_by_its_name_or_its_topic_and_the_quick_ones_without_either() -> None:
    assert [case.name for case in chosen(["tile", "kernels"])] == ["background", "halving", "averaging", "tile"]
    assert [case.name for case in chosen([])] == [case.name for case in CASES if case.is_quick]
    with pytest.raises(InputError, match="called nothing, other") as caught:
        chosen(["other", "tile", "nothing"])
    assert "--list" in caught.value.remedy


def test_the_twins_of_kernels_are_those_of_the_tests() -> None:
    pixels = kernels.light_pixels(16, 24)
    assert kernels.numpy_count(pixels, 220) == naive.background_px(pixels[..., :3], 220) > 0
    averages = kernels.numpy_averages(pixels, 4)
    for y, x in itertools.product(range(4), range(6)):
        square = pixels[4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
        assert np.array_equal(averages[y, x], naive.averaged(square, 1)[0, 0])


def test_the_twin_of_the_stain_is_that_of_the_tests() -> None:
    tile = stain.tile()
    source = fit_macenko(tile, WHITE, stain.GLASS).found
    assert source is not None
    found = stain.numpy_recoloured(tile, source, REFERENCE)
    rng = np.random.default_rng(0)
    for number in rng.integers(0, len(found), 200):
        pixel = tile.reshape(-1, 3)[number]
        is_glass = naive.gray(*pixel.tolist()) >= stain.GLASS
        expected = pixel if is_glass else naive.restained_pixel(pixel.tolist(), source, REFERENCE)
        assert np.abs(found[number] - np.asarray(expected, dtype=float)).max() <= 0.51
