"""Blocks in planes: their pixels are libjpeg's, their background is that of their pixels, whatever luma alone says."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hypoxia_hpc.tiling.kernels.planes import (
    RGB,
    YCBCR_420,
    YCBCR_422,
    YCBCR_444,
    count_planes,
    luma_rule,
    nbytes_of_rows,
    unpack_run,
)

Pixels = NDArray[np.uint8]
FORMS = (RGB, YCBCR_444, YCBCR_422, YCBCR_420)
CHROMA_STEPS = {YCBCR_444: (1, 1), YCBCR_422: (1, 2), YCBCR_420: (2, 2)}


def block_of(planes: list[Pixels], width: int, height: int) -> Pixels:
    """The bytes of a block, with some before and behind that mean nothing: uint8 (n,); it begins at 64."""
    block = np.full(4 * width * height + 128, 99, dtype=np.uint8)
    for number, plane in enumerate(planes):
        start = 64 + number * width * height
        block[start : start + plane.size] = plane.ravel()
    return block


def random_planes(rng: np.random.Generator, form: int, width: int, height: int) -> list[Pixels]:
    """Planes of every kind that there is in slides: noise of all values, glass with its noise, and both in one."""
    down, across = CHROMA_STEPS.get(form, (1, 1))
    planes = []
    for number in range(3):
        shape = (height, width) if number == 0 else (height // down, width // across)
        if rng.random() < 0.4:
            plane = rng.integers(0, 256, shape)
        else:
            middle, spread = (rng.integers(190, 250), 12) if number == 0 or form == RGB else (128, rng.integers(1, 40))
            plane = rng.normal(middle, spread, shape).round().clip(0, 255)
            if rng.random() < 0.5:
                plane[: shape[0] // 2, : shape[1] // 3] = rng.integers(0, 256)
        planes.append(plane.astype(np.uint8))
    return planes


def twin(planes: list[Pixels], form: int) -> Pixels:
    """The block's pixels, uint8 (h, w, 3)."""
    if form == RGB:
        return np.stack(planes, axis=-1)
    luma, cb, cr = planes
    if form != YCBCR_444:
        cb, cr = (naive.fancy_upsampled(plane, also_down=form == YCBCR_420) for plane in (cb, cr))
    pixels = [naive.jpeg_rgb(*map(int, values)) for values in zip(luma.flat, cb.flat, cr.flat, strict=True)]
    return np.array(pixels, dtype=np.uint8).reshape(*luma.shape, 3)


@settings(max_examples=60)
@given(
    form=st.sampled_from(FORMS),
    width=st.sampled_from((16, 32, 48, 112)),
    height=st.sampled_from((16, 48)),
    is_packed=st.booleans(),
    data=st.data(),
)
def test_a_run_has_the_pixels_of_libjpeg_and_nothing_beside_it(
    form: int, width: int, height: int, is_packed: bool, data: st.DataObject
) -> None:
    planes = random_planes(np.random.default_rng(data.draw(st.integers(0, 99))), form, width, height)
    x = data.draw(st.integers(0, width - 1))
    n = data.draw(st.integers(1, width - x))
    y = data.draw(st.sampled_from((0, 1, 2, height // 2, height - 2, height - 1)))
    block, size = block_of(planes, width, height), 4 if is_packed else 3
    rows, target = np.zeros(nbytes_of_rows(width), dtype=np.uint8), np.full(size * n + 20, 77, dtype=np.uint8)
    at, to = block.ctypes.data + 64, target.ctypes.data + 10
    unpack_run(at, form, width, height, x, y, n, rows.ctypes.data, is_packed, to)
    found = target[10:-10].reshape(n, size)
    np.testing.assert_array_equal(found[:, :3], twin(planes, form)[y, x : x + n])
    assert (target[:10] == 77).all()
    assert (target[-10:] == 77).all()


@settings(max_examples=60)
@given(
    form=st.sampled_from(FORMS),
    shape=st.sampled_from(((16, 16), (48, 16), (112, 48), (16, 528))),
    white=st.one_of(st.integers(0, 255), st.sampled_from((1, 200, 220, 240, 253, 254, 255))),
    data=st.data(),
)
def test_background_is_that_of_the_pixels(form: int, shape: tuple[int, int], white: int, data: st.DataObject) -> None:
    width, height = shape
    planes = random_planes(np.random.default_rng(data.draw(st.integers(0, 99))), form, width, height)
    y0 = data.draw(st.integers(0, height - 1))
    y1 = data.draw(st.integers(y0 + 1, height))
    block, counts = block_of(planes, width, height), np.full(width, 5, dtype=np.uint32)
    rows = np.zeros(nbytes_of_rows(width), dtype=np.uint8)
    at = block.ctypes.data + 64
    count_planes(at, form, width, height, y0, y1, white, luma_rule(white), rows.ctypes.data, counts)
    pixels = twin(planes, form)[y0:y1]
    assert counts.tolist() == [naive.background_px(pixels[:, x : x + 1], white) for x in range(width)]


@pytest.mark.parametrize(("blue", "light"), [(10, 1), (9, 0)])
def test_a_colour_whose_gray_is_just_white_is_background(blue: int, light: int) -> None:
    """See the test of that name in test_packed.py."""
    planes = [np.full((16, 16), value, dtype=np.uint8) for value in (28, 201, blue)]
    block, counts = block_of(planes, 16, 16), np.full(16, 5, dtype=np.uint32)
    rows = np.zeros(nbytes_of_rows(16), dtype=np.uint8)
    count_planes(block.ctypes.data + 64, RGB, 16, 16, 3, 4, 128, luma_rule(128), rows.ctypes.data, counts)
    assert counts.tolist() == [light] * 16


@pytest.fixture(scope="module")
def gray_of_ycbcr() -> Pixels:
    """Gray of every colour of a JPEG, uint8 (256, 256, 256) by Y, Cb, Cr."""
    chroma = np.arange(256) - 128
    luma, cb, cr = np.arange(256)[:, None, None], chroma[:, None], chroma[None, :]
    red = (luma + ((91881 * cr + 32768) >> 16)).clip(0, 255)
    green = (luma + ((-22554 * cb - 46802 * cr + 32768) >> 16)).clip(0, 255)
    blue = (luma + ((116130 * cb + 32768) >> 16)).clip(0, 255)
    gray = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    some = np.random.default_rng(0).integers(0, 256, (2000, 3))
    assert all(gray[y, b, r] == naive.gray(*naive.jpeg_rgb(y, b, r)) for y, b, r in some.tolist())
    return gray.astype(np.uint8)


@pytest.mark.parametrize("white", [0, 1, 2, 100, 128, 180, 219, 220, 221, 235, 250, 251, 252, 253, 254, 255])
def test_what_luma_says_holds_for_every_colour(gray_of_ycbcr: Pixels, white: int) -> None:
    rule = luma_rule(white)
    assert (gray_of_ycbcr[: rule.maybe] < white).all()
    if rule.spread >= 0:
        tame = slice(128 - rule.spread, 129 + rule.spread)
        assert (gray_of_ycbcr[rule.surely :, tame, tame] >= white).all()
    if white == 220:  # the default is told by luma wherever it is not within 2 of white
        assert (rule.maybe, rule.surely) == (218, 221)
        assert rule.spread >= 16


def test_every_colour_is_that_of_libjpeg() -> None:
    """All 16.7 million, 256 x 256 for each luma."""
    chroma = np.arange(256, dtype=np.uint8)
    cb, cr = np.repeat(chroma, 256).reshape(256, 256), np.tile(chroma, 256).reshape(256, 256)
    b, r = cb.astype(np.int64) - 128, cr.astype(np.int64) - 128
    rows, target = np.zeros(nbytes_of_rows(256), dtype=np.uint8), np.zeros((256, 256, 3), dtype=np.uint8)
    for luma in range(256):
        block = block_of([np.full((256, 256), luma, dtype=np.uint8), cb, cr], 256, 256)
        for y in range(256):
            to = target[y].ctypes.data
            unpack_run(block.ctypes.data + 64, YCBCR_444, 256, 256, 0, y, 256, rows.ctypes.data, False, to)
        expected = [91881 * r, -22554 * b - 46802 * r, 116130 * b]
        for channel, added in enumerate(expected):
            np.testing.assert_array_equal(target[..., channel], (luma + ((added + 32768) >> 16)).clip(0, 255))
