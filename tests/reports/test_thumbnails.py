"""Kept tiles stand at the exact places of the thumbnail."""

from __future__ import annotations

import io
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import hypoxia_hpc
from hypoxia_hpc.reports.thumbnails import FILL, FILL_SHARE, OUTLINE, draw_kept_tiles, mark_kept_tiles


def mark(
    height: int, width: int, size_l0: tuple[int, int], xy: list[tuple[int, int]], side: float
) -> NDArray[np.uint8]:
    white = np.full((height, width, 3), 255, dtype=np.uint8)
    return mark_kept_tiles(white, size_l0, np.array(xy, dtype=np.int64).reshape(-1, 2), side)


def test_a_tile_is_filled_and_outlined_where_it_lies() -> None:
    expected = np.full((80, 96, 3), 255)
    for x, y in ((16, 24), (48, 40)):
        expected[y : y + 16, x : x + 16] = OUTLINE
        expected[y + 1 : y + 15, x + 1 : x + 15] = np.rint(255 * (1 - FILL_SHARE) + np.array(FILL) * FILL_SHARE)
    np.testing.assert_array_equal(mark(80, 96, (960, 800), [(160, 240), (480, 400)], 160.0), expected)


def test_the_tissue_shows_through_the_fill_and_the_thumbnail_stays() -> None:
    thumbnail = np.full((64, 64, 3), 200, dtype=np.uint8)
    thumbnail[:, 32:] = 60
    pixels = mark_kept_tiles(thumbnail, (640, 640), np.array([[0, 0]], dtype=np.int64), 640.0).astype(int)
    assert np.abs(pixels[20, 10] - pixels[20, 50] - 140 * (1 - FILL_SHARE)).max() <= 1
    assert set(np.unique(thumbnail)) == {60, 200}


def test_small_tiles_get_one_outline_round_all_of_them() -> None:
    xy = [(100 + 20 * column, 100 + 20 * row) for row in range(20) for column in range(20)]
    outlined = (mark(60, 60, (600, 600), xy, 20.0) == OUTLINE).all(axis=2)
    expected = np.zeros((60, 60), dtype=bool)
    expected[10:50, 10:50] = True
    expected[11:49, 11:49] = False
    np.testing.assert_array_equal(outlined, expected)


def test_no_tile_changes_nothing() -> None:
    assert (mark(40, 30, (300, 400), [], 50.0) == 255).all()


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(8, 48), st.integers(8, 48)),
    scale=st.floats(1.0, 40.0),
    side=st.floats(1.0, 400.0),
    corners=st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)), max_size=5),
)
def test_covered_pixels_are_those_of_the_slow_twin(
    shape: tuple[int, int], scale: float, side: float, corners: list[tuple[float, float]]
) -> None:
    height, width = shape
    size_l0 = (round(width * scale), round(height * scale))
    xy = [(int(x * size_l0[0]), int(y * size_l0[1])) for x, y in corners]
    found = (mark(height, width, size_l0, xy, side) != 255).any(axis=2)
    np.testing.assert_array_equal(found, naive.covered_pixels(height, width, size_l0, xy, side))


def test_tiles_side_by_side_leave_no_gap() -> None:
    xy = [(299 * column, 299 * row) for row in range(9) for column in range(7)]
    assert (mark(301, 223, (2093, 2691), xy, 299.0) != 255).any(axis=2).all()


def test_a_real_slide() -> None:
    openslide = pytest.importorskip("openslide")
    path = Path(hypoxia_hpc.__file__).parent / "slides" / "CMU-1-Small-Region.svs"
    with openslide.OpenSlide(path) as slide:
        thumbnail = np.asarray(slide.get_thumbnail((256, 256)).convert("RGB"))
        size_l0 = slide.dimensions
    xy = np.array([[598, 1495], [897, 1495], [598, 1794]], dtype=np.int64)
    pixels = np.asarray(Image.open(io.BytesIO(draw_kept_tiles(thumbnail, size_l0, xy, 299.0))))
    assert pixels.shape == thumbnail.shape
    changed = np.abs(pixels.astype(int) - thumbnail).max(axis=2) > 45
    rows, columns = np.nonzero(changed)
    scale_y, scale_x = thumbnail.shape[0] / size_l0[1], thumbnail.shape[1] / size_l0[0]
    places = [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
    assert places == [round(1495 * scale_y), round(2093 * scale_y), round(598 * scale_x), round(1196 * scale_x)]
