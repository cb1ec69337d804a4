"""The kernels on their bounds, against their slow twins and against Pillow."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.tiling.kernels import packed as kernels
from hypoxia_hpc.tiling.kernels.packed import (
    average_rectangle,
    average_square,
    composite_on_white,
    count_background,
    count_columns,
)

Pixels = NDArray[np.uint8]

sides = st.integers(1, 9)
whites = st.integers(1, 255)


def rgba_of(colours: Pixels) -> Pixels:
    """Opaque RGBA of RGB."""
    return np.concatenate([colours, np.full((*colours.shape[:2], 1), 255, dtype=np.uint8)], axis=2)


def packed(rgba: Pixels) -> NDArray[np.uint32]:
    return np.ascontiguousarray(rgba).view("<u4")[..., 0]


# --- background --------------------------------------------------------------------------------------------------


@given(
    band=hnp.arrays(np.uint8, st.tuples(sides, st.integers(4, 12), st.just(4))),
    white=whites,
    left=st.integers(0, 3),
)
def test_count_equals_its_twin_in_any_part_of_a_band(band: Pixels, white: int, left: int) -> None:
    width = band.shape[1] - left
    assert count_background(packed(band), left, width, white) == naive.background_px(band[:, left:], white)
    assert count_background(packed(band), left, 1, white) == naive.background_px(band[:, left : left + 1], white)


@given(band=hnp.arrays(np.uint8, st.tuples(sides, st.integers(1, 70), st.just(4))), white=whites)
def test_columns_are_counted_as_their_twin_does(band: Pixels, white: int) -> None:
    counts = np.full(band.shape[1], 7, dtype=np.uint32)
    count_columns(packed(band), white, counts)
    assert counts.tolist() == [naive.background_px(band[:, x : x + 1], white) for x in range(band.shape[1])]


def test_every_colour_falls_on_the_side_that_pillow_says() -> None:
    """All 16.7 million colours, at the limit of the rule and at both ends of the option."""
    levels = np.arange(256, dtype=np.uint8)
    for red in levels:
        colours = np.empty((256, 256, 3), dtype=np.uint8)
        colours[..., 0], colours[..., 1], colours[..., 2] = red, levels[:, None], levels
        gray = np.asarray(Image.fromarray(colours).convert("L"))
        band = packed(rgba_of(colours))
        for white in (1, 219, 220, 221, 255):
            assert count_background(band, 0, 256, white) == np.count_nonzero(gray >= white)


@pytest.mark.parametrize("colour", [(219, 219, 219), (220, 220, 220), (255, 255, 0), (255, 209, 220), (0, 0, 0)])
def test_one_colour_at_the_limit(colour: tuple[int, int, int]) -> None:
    pixel = np.array([[colour]], dtype=np.uint8)
    gray = Image.fromarray(pixel).convert("L").getpixel((0, 0))
    for white in {1, 220, 255, max(gray, 1), min(gray + 1, 255)}:
        assert count_background(packed(rgba_of(pixel)), 0, 1, white) == (gray >= white)


@pytest.mark.parametrize(("blue", "light"), [(10, True), (9, False)])
def test_a_colour_whose_gray_is_just_white_is_background_to_every_kernel(blue: int, light: bool) -> None:
    """Of (28, 201, 10) the weighed sum is 127.5 · 65536, the limit of white = 128 itself; of no colour is it that of
    the default white."""
    band = packed(rgba_of(np.full((1, 3, 3), (28, 201, blue), dtype=np.uint8)))
    assert count_background(band, 0, 3, 128) == 3 * light
    counts = np.zeros(3, dtype=np.uint32)
    count_columns(band, 128, counts)
    assert counts.tolist() == [light] * 3
    assert kernels.light_shares(band, 128, np.zeros((1, 2)), 1.0).tolist() == [light]


def test_a_row_of_millions_does_not_overflow_the_counter() -> None:
    band = np.full((3, 2**21), 0xFFFFFFFF, dtype=np.uint32)
    assert count_background(band, 0, band.shape[1], 255) == band.size


# --- alpha -------------------------------------------------------------------------------------------------------


def test_every_colour_with_every_alpha_lies_on_white() -> None:
    colour, alpha = (each.astype(np.uint8) for each in np.mgrid[0:256, 0:256])
    rgba = np.stack([colour, colour[::-1], 255 - colour, alpha], axis=2)
    expected = naive.composited(rgba)
    on_pillow = Image.alpha_composite(Image.new("RGBA", (256, 256), "white"), Image.fromarray(rgba))
    composite_on_white(rgba)
    np.testing.assert_array_equal(rgba, expected)
    assert np.abs(rgba.astype(int) - np.asarray(on_pillow)).max() <= 1


# --- reduction ---------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(square=sides.flatmap(lambda side: hnp.arrays(np.uint8, (side, side, 4))), left=st.integers(0, 3), data=st.data())
def test_averaging_equals_exact_fractions(square: Pixels, left: int, data: st.DataObject) -> None:
    side = len(square)
    px = data.draw(st.integers(1, side))
    band = np.concatenate([np.full((side, left, 4), 7, dtype=np.uint8), square], axis=1)
    tile = np.zeros((px, px), dtype=np.uint32)
    average_square(packed(band), left, tile)
    shown = tile.view(np.uint8).reshape(px, px, 4)
    np.testing.assert_array_equal(shown[..., :3], naive.averaged(square[..., :3], px))
    assert (shown[..., 3] == 255).all()


@settings(deadline=None, max_examples=60)
@given(pixels=hnp.arrays(np.uint8, st.tuples(sides, sides, st.just(4))), data=st.data())
def test_averaging_a_rectangle_equals_exact_fractions(pixels: Pixels, data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, side)) for side in pixels.shape[:2])
    out = np.zeros((height, width), dtype=np.uint32)
    average_rectangle(packed(pixels), 0, pixels.shape[1], out)
    shown = out.view(np.uint8).reshape(height, width, 4)
    np.testing.assert_array_equal(shown[..., :3], naive.averaged_rectangle(pixels[..., :3], height, width))


@pytest.mark.parametrize(("values", "mean"), [((0, 1), 1), ((1, 2), 2), ((254, 255), 255), ((0, 0), 0)])
def test_a_half_is_rounded_up(values: tuple[int, int], mean: int) -> None:
    square = np.array([[[values[0]] * 4, [values[1]] * 4]] * 2, dtype=np.uint8)
    tile = np.zeros((1, 1), dtype=np.uint32)
    average_square(packed(square), 0, tile)
    assert tile[0, 0] & 255 == mean


@pytest.mark.parametrize(("side", "px"), [(598, 299), (301, 299), (2392, 299), (4096, 16)])
def test_one_colour_stays_that_colour_at_any_ratio(side: int, px: int) -> None:
    band = np.full((side, side), 0xFFFE01FF, dtype=np.uint32)
    tile = np.zeros((px, px), dtype=np.uint32)
    average_square(band, 0, tile)
    assert (tile == 0xFFFE01FF).all()


def test_a_whole_ratio_is_the_mean_of_squares() -> None:
    square = np.random.default_rng(0).integers(0, 256, (598, 598, 4)).astype(np.uint8)
    tile = np.zeros((299, 299), dtype=np.uint32)
    average_square(packed(square), 0, tile)
    sums = square.reshape(299, 2, 299, 2, 4).sum((1, 3), dtype=np.int64)
    np.testing.assert_array_equal(tile.view(np.uint8).reshape(299, 299, 4)[..., :3], ((sums + 2) // 4)[..., :3])


@pytest.mark.parametrize("sum_of_square", [256 * 256 * level + 256 * 256 // 2 for level in (0, 1, 127, 254)])
@pytest.mark.parametrize(("more", "level_more"), [(-1, 0), (0, 1)])
def test_a_half_of_many_pixels_is_rounded_up_and_one_less_is_not(
    sum_of_square: int, more: int, level_more: int
) -> None:
    """Where rounding of floats would show."""
    level, rest = divmod(sum_of_square + more, 256 * 256)
    values = np.full(256 * 256, level, dtype=np.uint8)
    values[:rest] += 1
    square = np.repeat(values.reshape(256, 256, 1), 4, axis=2)
    tile = np.zeros((1, 1), dtype=np.uint32)
    average_square(packed(square), 0, tile)
    assert tile[0, 0] & 255 == sum_of_square // (256 * 256) + level_more


@pytest.mark.parametrize("shape", [(70_000, 6), (6, 70_000)])
def test_high_and_wide_pixels_are_averaged_exactly(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 4)).astype(np.uint8)
    out = np.zeros((2, 2), dtype=np.uint32)
    average_rectangle(packed(pixels), 0, shape[1], out)
    area = shape[0] * shape[1] // 4
    sums = pixels.reshape(2, shape[0] // 2, 2, shape[1] // 2, 4).sum((1, 3), dtype=np.int64)
    expected = ((2 * sums + area) // (2 * area))[..., :3]
    np.testing.assert_array_equal(out.view(np.uint8).reshape(2, 2, 4)[..., :3], expected)


# --- deciding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("px", [16, 20, 30, 299, 300, 4096])
def test_the_limit_is_floor_of_the_share_as_it_is_written(px: int) -> None:
    for permille in range(1001):
        assert kernels.most_background_px(px, permille / 1000) == permille * px * px // 1000


@settings(max_examples=60)
@given(
    image=hnp.arrays(np.uint8, st.tuples(sides, sides, st.just(4))),
    white=whites,
    corner=st.tuples(st.integers(-20, 90), st.integers(-20, 90)),
    side=st.integers(1, 60),
)
def test_light_shares_equal_areas_counted_in_tenths_of_a_pixel(
    image: Pixels, white: int, corner: tuple[int, int], side: int
) -> None:
    fine = np.zeros((300, 300), dtype=bool)
    light = np.array([[naive.gray(*pixel[:3]) >= white for pixel in row] for row in image.tolist()])
    fine[100 : 100 + 10 * len(light), 100 : 100 + 10 * light.shape[1]] = light.repeat(10, 0).repeat(10, 1)
    x, y = corner[0] + 100, corner[1] + 100
    expected = fine[y : y + side, x : x + side].sum() / side**2
    found = kernels.light_shares(packed(image), white, np.array([[corner[0] / 10, corner[1] / 10]]), side / 10)
    assert found[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["count_background", "composite_on_white", "average_square", "light_shares"])
def test_kernels_release_the_gil(name: str) -> None:
    """So that threads which cut run at the same time as threads that read."""
    assert getattr(kernels, name).targetoptions["nogil"] is True
