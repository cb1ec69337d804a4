"""The table of cases: every row is whole, its twins are those of tests/naive.py, and its check can fail."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import naive
import numpy as np
import pytest

from hypoxia_hpc.bench.case import Case, Place, WrongAnswerError
from hypoxia_hpc.bench.cases import kernels, stain
from hypoxia_hpc.bench.cases.registry import CASES, chosen
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.published import REFERENCE, WHITE

TOPICS = ("kernels", "stain", "readers", "stores", "feeding", "networks", "heads", "statistics", "stages")
# What is put in the place of the work of each case, so that its answer is wrong.
WRONG = {
    "background": ("kernels.count_background", lambda *_: 7),
    "halving": ("kernels.reduce_block", lambda *_: None),
    "averaging": ("kernels.average_square", lambda *_: None),
    "stain": ("stain.recolour", lambda pixels, fields, colours, glass, out: out.fill(9)),
    "jpeg-real": ("readers.deliver", None),
    "tile-store-read": ("stores.read_pixels", lambda tiles, start, stop: np.zeros((stop - start, 299, 299, 3))),
    "feature-store": ("stores.open_features", mock.Mock()),
    "logistic": ("heads.Objective.__call__", lambda self, at: (0.0, np.zeros_like(at))),
    "bootstrap": ("statistics.binary_metrics", lambda *_, **__: {"roc_auc": mock.Mock(value=0.5)}),
}


def place_in(folder: Path) -> Place:
    scratch = folder / "scratch"
    scratch.mkdir()
    return Place(scratch, folder / "slides")


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


@pytest.mark.parametrize("case", [case for case in CASES if case.name in WRONG], ids=lambda case: case.name)
def test_a_check_passes_and_finds_a_wrong_answer(case: Case, tmp_path: Path) -> None:
    name, wrong = WRONG[case.name]
    with case.prepare(place_in(tmp_path)) as prepared:
        assert prepared.check()
        assert prepared.amount > 0
        assert prepared.bounds
        with ExitStack() as stack:
            stack.enter_context(mock.patch(f"hypoxia_hpc.bench.cases.{name}", wrong or one_pixel_off))
            with pytest.raises(WrongAnswerError):
                prepared.check()


def one_pixel_off(path: Path, table: TileTable, new_tile: Callable[[], np.ndarray]) -> object:
    """Tiling that shifts every tile by one pixel."""
    from hypoxia_hpc.bench.delivery import deliver

    tiles: list[np.ndarray] = []

    def shifted() -> np.ndarray:
        if tiles:
            tiles[-1][:] = np.roll(tiles[-1], 1, axis=1)
        tiles.append(new_tile())
        return tiles[-1]

    return deliver(path, table, shifted)


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
