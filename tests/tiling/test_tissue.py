"""Masks on drawn slides of real texture, where the truth is known; ink, borders, padding; shares against their twin."""

from __future__ import annotations

import hashlib
from pathlib import Path

import naive
import numpy as np
import openslide
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from hypoxia_hpc.tiling.tissue import Method, flood, mask_fraction, saturation_limits, tissue_mask

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

UM_PER_PX = 8.0
HEIGHT, WIDTH = 300, 420
# Felt pens as published filters for them describe: blue, dark blue, green, red, black.
PENS = {
    "blue": (40, 90, 190),
    "navy": (35, 33, 110),
    "green": (25, 120, 75),
    "red": (205, 40, 55),
    "black": (45, 42, 48),
}

both = pytest.mark.parametrize("method", ["otsu", "watershed"])
pens = pytest.mark.parametrize("pen", PENS)


@pytest.fixture(scope="module")
def coarse(real_slide: Path) -> Pixels:
    """The real slide at 8 µm per pixel, by exact averaging, uint8 (185, 138, 3)."""
    with openslide.OpenSlide(str(real_slide)) as slide:
        pixels = np.array(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    rows, columns = (side // 16 for side in pixels.shape[:2])
    blocks = pixels[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16, 3)
    return ((blocks.sum((1, 3), dtype=np.int64) + 128) // 256).astype(np.uint8)


def mirrored(block: Pixels) -> Pixels:
    """A patch, mirrored again and again until it fills the slide."""
    rows, columns = -(-HEIGHT // len(block)), -(-WIDTH // block.shape[1])
    return np.pad(
        block,
        ((0, rows * len(block) - len(block)), (0, columns * block.shape[1] - block.shape[1]), (0, 0)),
        "symmetric",
    )[:HEIGHT, :WIDTH]


@pytest.fixture(scope="module")
def glass(coarse: Pixels) -> Pixels:
    return mirrored(coarse[120:180, 2:30])


@pytest.fixture(scope="module")
def stained(coarse: Pixels) -> Pixels:
    return mirrored(coarse[125:180, 50:88])


def true_tissue() -> Mask:
    """Two discs and a small one, bool (HEIGHT, WIDTH)."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    discs = [(110, 120, 80), (200, 310, 70), (60, 330, 12)]
    return np.logical_or.reduce([(y - y0) ** 2 + (x - x0) ** 2 < radius**2 for y0, x0, radius in discs])


def mixed(glass: Pixels, stained: Pixels, share: NDArray[np.float64]) -> Pixels:
    return np.rint(glass * (1 - share[..., None]) + stained * share[..., None]).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn(glass: Pixels, stained: Pixels) -> Pixels:
    """Real tissue texture within ``true_tissue``, real glass around, with an edge a pixel wide."""
    return mixed(glass, stained, ndimage.uniform_filter(true_tissue().astype(float), 2))


def stroke(width_px: int = 24) -> NDArray[np.float64]:
    """A pen stroke over glass and both discs, 0..1 with soft sides, float64 (HEIGHT, WIDTH)."""
    canvas = Image.new("L", (WIDTH * 4, HEIGHT * 4))
    points = [(30, 250), (160, 150), (240, 60), (300, 150), (400, 280)]
    ImageDraw.Draw(canvas).line([(4 * x, 4 * y) for x, y in points], fill=255, width=4 * width_px, joint="curve")
    return np.asarray(canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) / 255


def inked(slide: Pixels, pen: str, covering: float) -> Pixels:
    """The slide with a stroke, in part opaque, in part as a filter that takes light away, with uneven ink."""
    grain = 1 + 0.05 * ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(HEIGHT, WIDTH)), 2)[..., None]
    colour = np.clip(np.array(PENS[pen]) * grain, 0, 255)
    on_slide = covering * colour + (1 - covering) * slide * colour / 255
    ink = stroke()[..., None]
    return np.rint(slide * (1 - ink) + on_slide * ink).astype(np.uint8)


def overlap(found: Mask, truth: Mask) -> float:
    """Intersection over union."""
    return float((found & truth).sum() / (found | truth).sum())


# --- tissue and glass --------------------------------------------------------------------------------------------


@both
def test_tissue_is_found_where_it_was_drawn(drawn: Pixels, method: Method) -> None:
    assert overlap(tissue_mask(drawn, method, UM_PER_PX), true_tissue()) > 0.97


@both
@pytest.mark.parametrize("pale", [0.3, 0.5, 0.7])
def test_pale_tissue_too(glass: Pixels, stained: Pixels, method: Method, pale: float) -> None:
    slide = mixed(glass, stained, (1 - pale) * ndimage.uniform_filter(true_tissue().astype(float), 2))
    assert overlap(tissue_mask(slide, method, UM_PER_PX), true_tissue()) > 0.97


@both
def test_where_there_is_no_glass_all_is_tissue(stained: Pixels, method: Method) -> None:
    assert tissue_mask(stained, method, UM_PER_PX).mean() > 0.98


@both
@pytest.mark.parametrize(
    "colour", [(242, 243, 241), (235, 225, 215), (255, 255, 255), (254, 254, 254), (128, 128, 128)]
)
@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0])
def test_glass_alone_is_no_tissue(method: Method, colour: tuple[int, int, int], noise: float) -> None:
    rng = np.random.default_rng(1)
    light = colour + rng.normal(scale=max(noise, 1e-9), size=(HEIGHT, WIDTH, 3))
    assert not tissue_mask(np.clip(np.rint(light), 0, 255).astype(np.uint8), method, UM_PER_PX).any()


@both
def test_real_glass_alone_is_no_tissue(glass: Pixels, method: Method) -> None:
    assert not tissue_mask(glass, method, UM_PER_PX).any()


@both
def test_a_biopsy_of_one_part_in_a_thousand_is_found_whole(glass: Pixels, stained: Pixels, method: Method) -> None:
    large_glass, truth = np.tile(glass, (3, 3, 1)), np.zeros((3 * HEIGHT, 3 * WIDTH), dtype=bool)
    truth[400:420, 500:557] = True
    slide = large_glass.copy()
    slide[400:420, 500:557] = stained[:20, :57]
    assert overlap(tissue_mask(slide, method, UM_PER_PX), truth) > 0.9


@both
@pytest.mark.parametrize("tint", [(255, 247, 232), (240, 246, 255)])
def test_tinted_glass_stays_glass(drawn: Pixels, method: Method, tint: tuple[int, int, int]) -> None:
    """An old lamp, a cold one: 23 and 15 of saturation where there is nothing."""
    slide = np.rint(drawn * (np.array(tint) / 255)).astype(np.uint8)
    assert overlap(tissue_mask(slide, method, UM_PER_PX), true_tissue()) > 0.95


def test_the_watershed_keeps_pale_edges_that_the_threshold_loses(coarse: Pixels) -> None:
    threshold, flooded = (tissue_mask(coarse, method, UM_PER_PX) for method in ("otsu", "watershed"))
    assert 0.30 < threshold.mean() < flooded.mean() < 0.40
    assert (flooded | ~threshold).all()


@both
def test_on_the_real_slide_the_mask_agrees_with_the_background_rule(
    real_slide: Path, coarse: Pixels, method: Method
) -> None:
    xy = np.array([(x, y) for y in range(0, 2967 - 298, 299) for x in range(0, 2220 - 298, 299)])
    with openslide.OpenSlide(str(real_slide)) as slide:
        tiles = [np.array(slide.read_region((x, y), 0, (299, 299))) for x, y in xy.tolist()]
    gray = (np.array(tiles)[..., :3] @ np.array([19595, 38470, 7471]) + 32768) >> 16
    background = (gray >= 220).mean((1, 2))
    tissue = mask_fraction(tissue_mask(coarse, method, UM_PER_PX), 16.0, xy, 299.0)
    assert len(xy) == 63
    assert (tissue[background <= 0.25] > 0.5).all()
    assert (tissue[background > 0.98] < 0.05).all()
    assert np.corrcoef(tissue, 1 - background)[0, 1] > 0.97


# --- what is no tissue -------------------------------------------------------------------------------------------


@both
@pens
@pytest.mark.parametrize("covering", [0.3, 1.0])
def test_a_pen_stroke_on_glass_is_no_tissue(glass: Pixels, method: Method, pen: str, covering: float) -> None:
    assert not tissue_mask(inked(glass, pen, covering), method, UM_PER_PX).any()


@both
@pens
def test_a_pen_stroke_takes_the_tissue_under_it_and_no_other(drawn: Pixels, method: Method, pen: str) -> None:
    found = tissue_mask(inked(drawn, pen, 1.0), method, UM_PER_PX)
    assert overlap(found, true_tissue() & (stroke() < 0.5)) > 0.95
    assert not found[ndimage.binary_erosion(stroke() > 0.9)].any()
    far = ndimage.distance_transform_edt(stroke() == 0) > 10
    np.testing.assert_array_equal(found[far], tissue_mask(drawn, method, UM_PER_PX)[far])


@both
def test_borders_and_padding_do_not_move_the_mask(drawn: Pixels, method: Method) -> None:
    """A frame of black with the colour noise of a sensor, nine times as much white padding."""
    rng = np.random.default_rng(2)
    framed = np.full((3 * HEIGHT, 3 * WIDTH, 3), 255, dtype=np.uint8)
    framed[HEIGHT - 20 : 2 * HEIGHT + 20, WIDTH - 20 : 2 * WIDTH + 20] = rng.integers(
        0, 14, (HEIGHT + 40, WIDTH + 40, 3)
    )
    framed[HEIGHT : 2 * HEIGHT, WIDTH : 2 * WIDTH] = drawn
    found = tissue_mask(framed, method, UM_PER_PX)
    expected = np.zeros_like(found)
    expected[HEIGHT : 2 * HEIGHT, WIDTH : 2 * WIDTH] = tissue_mask(drawn, method, UM_PER_PX)
    np.testing.assert_array_equal(found, expected)


@both
def test_nothing_but_black_or_white(method: Method) -> None:
    for level in (0, 255):
        assert not tissue_mask(np.full((40, 60, 3), level, dtype=np.uint8), method, UM_PER_PX).any()


# --- sizes -------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("um_per_px", [4.0, 8.0, 12.5])
@pytest.mark.parametrize(("side_um", "counts"), [(75, False), (150, True)])
def test_parts_and_holes_count_from_a_tenth_of_a_millimetre(
    method: Method, um_per_px: float, side_um: float, counts: bool
) -> None:
    side = round(side_um / um_per_px)
    spot = np.s_[20 : 20 + side, 20 : 20 + side]
    part, hole = np.full((2, 80, 80, 3), (242, 243, 242), dtype=np.uint8)
    part[spot] = (190, 110, 170)
    hole[:] = (190, 110, 170)
    hole[spot] = (242, 243, 242)
    assert tissue_mask(part, method, um_per_px).any() == counts
    assert tissue_mask(hole, method, um_per_px).all() != counts


@both
def test_the_mask_of_a_given_image_is_the_same_everywhere(method: Method) -> None:
    """Only integers are drawn and only integers decide."""
    rng = np.random.default_rng(3)
    coarse_noise = rng.integers(-3, 2, (12, 16)).repeat(25, axis=0).repeat(25, axis=1)
    stain = np.clip(coarse_noise + rng.integers(-1, 2, (300, 400)), 0, 2)[..., None]
    slide = np.array([242, 243, 242]) - stain * np.array([14, 40, 20]) + rng.integers(-3, 4, (300, 400, 3))
    mask = tissue_mask(np.clip(slide, 0, 255).astype(np.uint8), method, UM_PER_PX)
    digests = {"otsu": "48c053122cdf2056", "watershed": "f224250f856972c5"}
    assert hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16] == digests[method]


# --- parts -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 255), min_size=1, max_size=30))
def test_limits_follow_otsu_between_glass_and_tissue(values: list[int]) -> None:
    histogram = np.bincount(values, minlength=256)
    glass, tissue = saturation_limits(histogram)
    low = [value for value in values if value < 30]
    assert glass == 12 + (min(low, key=lambda value: (-low.count(value), value)) if low else 0)
    assert tissue == max(glass, min(naive.otsu(values) + 1, 48))


@given(data=st.data(), shape=st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_the_flood_equals_its_twin(data: st.DataObject, shape: tuple[int, int]) -> None:
    heights = data.draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 7, 255])))
    labels = data.draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 0, 1, 2, 3])))
    expected = naive.flooded(heights, labels)
    flood(heights, labels)
    np.testing.assert_array_equal(labels, expected)


def test_the_flood_meets_on_the_ridge() -> None:
    heights = np.array([[0, 1, 2, 9, 3, 2, 0]], dtype=np.uint8)
    labels = np.array([[1, 0, 0, 0, 0, 0, 2]], dtype=np.uint8)
    flood(heights, labels)
    assert labels[0, :3].tolist() == [1, 1, 1]
    assert labels[0, 4:].tolist() == [2, 2, 2]


# --- shares of tiles ---------------------------------------------------------------------------------------------


@given(
    mask=hnp.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))),
    unit=st.floats(0.5, 40),
    corners=st.lists(st.tuples(st.integers(-20, 200), st.integers(-20, 200)), max_size=5),
    side=st.floats(1, 100),
)
def test_shares_equal_exact_fractions(mask: Mask, unit: float, corners: list[tuple[int, int]], side: float) -> None:
    found = mask_fraction(mask, unit, np.array(corners, dtype=np.int64).reshape(-1, 2), side)
    assert found.dtype == np.float32
    expected = [float(naive.mask_share(mask, unit, corner, side)) for corner in corners]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_square_within_tissue_is_covered_wholly_whatever_its_side() -> None:
    rng = np.random.default_rng(4)
    mask = np.ones((2000, 3000), dtype=bool)
    xy = rng.integers(0, 40_000, (10_000, 2)) // [1, 2]
    for unit, side in [(16.0, 299.0), (16.01282051282051, 300.24038), (13.7, 598.0)]:
        inside = (xy + side <= np.array([3000, 2000]) * unit).all(axis=1)
        assert set(mask_fraction(mask, unit, xy[inside], side).tolist()) == {1.0}
        assert set(mask_fraction(~mask, unit, xy, side).tolist()) == {0.0}


def test_the_strip_that_a_level_leaves_at_the_edge_takes_its_last_pixel() -> None:
    """31 px at 10 per mask pixel are 3 mask pixels; the square that ends at 31 is covered nevertheless."""
    mask = np.ones((3, 3), dtype=bool)
    assert mask_fraction(mask, 10.0, np.array([[21, 21]]), 10.0) == 1
    assert mask_fraction(mask, 10.0, np.array([[40, 40]]), 10.0) == 0


def test_half_a_square_is_half() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[:, 5:] = True
    xy = np.array([[30, 0], [40, 40], [45, 40], [50, 0], [60, 60]])
    assert mask_fraction(mask, 10.0, xy, 20.0).tolist() == [0, 0.5, 0.75, 1, 1]
