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
from hypoxia_hpc.reports.thumbnails import FADED_SHARE, OUTLINE, draw_kept_tiles, mark_kept_tiles


def mark(
    height: int, width: int, size_l0: tuple[int, int], xy: list[tuple[int, int]], side: float
) -> NDArray[np.uint8]:
    white = np.full((height, width, 3), 255, dtype=np.uint8)
    return mark_kept_tiles(white, size_l0, np.array(xy, dtype=np.int64).reshape(-1, 2), side)


def test_a_tile_is_outlined_where_it_lies_and_the_rest_is_paler() -> None:
    grey = np.full((80, 96, 3), 100, dtype=np.uint8)
    expected = np.full((80, 96, 3), round(100 * (1 - FADED_SHARE) + 255 * FADED_SHARE))
    for x, y in ((16, 24), (48, 40)):
        expected[y - 1 : y + 17, x - 1 : x + 17] = OUTLINE
        expected[y : y + 16, x : x + 16] = 100
    xy = np.array([(160, 240), (480, 400)], dtype=np.int64)
    np.testing.assert_array_equal(mark_kept_tiles(grey, (960, 800), xy, 160.0), expected)


def test_no_pixel_of_a_kept_tile_changes_and_the_thumbnail_stays() -> None:
    thumbnail = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    before = thumbnail.copy()
    pixels = mark_kept_tiles(thumbnail, (640, 640), np.array([[100, 200], [300, 200]], dtype=np.int64), 200.0)
    np.testing.assert_array_equal(pixels[20:40, 10:50], before[20:40, 10:50])
    np.testing.assert_array_equal(thumbnail, before)


def test_tiles_side_by_side_get_one_outline_round_all_of_them() -> None:
    xy = [(100 + 20 * column, 100 + 20 * row) for row in range(20) for column in range(20)]
    outlined = (mark(60, 60, (600, 600), xy, 20.0) == OUTLINE).all(axis=2)
    expected = np.zeros((60, 60), dtype=bool)
    expected[9:51, 9:51] = True
    expected[10:50, 10:50] = False
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
    black = np.zeros((height, width, 3), dtype=np.uint8)
    marked = mark_kept_tiles(black, size_l0, np.array(xy, dtype=np.int64).reshape(-1, 2), side)
    found = (marked == 0).all(axis=2)
    np.testing.assert_array_equal(found, naive.covered_pixels(height, width, size_l0, xy, side))


def test_tiles_side_by_side_leave_no_gap() -> None:
    xy = [(299 * column, 299 * row) for row in range(9) for column in range(7)]
    black = np.zeros((301, 223, 3), dtype=np.uint8)
    assert (mark_kept_tiles(black, (2093, 2691), np.array(xy, dtype=np.int64), 299.0) == 0).all()


def test_a_real_slide() -> None:
    openslide = pytest.importorskip("openslide")
    path = Path(hypoxia_hpc.__file__).parent / "slides" / "CMU-1-Small-Region.svs"
    with openslide.OpenSlide(path) as slide:
        thumbnail = np.asarray(slide.get_thumbnail((256, 256)).convert("RGB"))
        size_l0 = slide.dimensions
    xy = np.array([[598, 1495], [897, 1495], [598, 1794]], dtype=np.int64)
    pixels = np.asarray(Image.open(io.BytesIO(draw_kept_tiles(thumbnail, size_l0, xy, 299.0))))
    assert pixels.shape == thumbnail.shape
    line = (np.abs(pixels.astype(int) - OUTLINE).max(axis=2) < 25) & (thumbnail.max(axis=2) > 120)
    rows, columns = np.nonzero(line)
    scale_y, scale_x = thumbnail.shape[0] / size_l0[1], thumbnail.shape[1] / size_l0[0]
    places = [rows.min() + 1, rows.max(), columns.min() + 1, columns.max()]
    assert places == [round(1495 * scale_y), round(2093 * scale_y), round(598 * scale_x), round(1196 * scale_x)]
