"""Every rule of the tiling geometry: resolution, level, grid and rounding, from the header alone."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import naive
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Pyramid, TilePlan
from hypoxia_hpc.tiling import plan as plan_module
from hypoxia_hpc.tiling.plan import choose_level, grid_1d, plan_tiles, resolve_mpp, round_half_up

DEFAULT = TileTable()


def pyramid(
    width: int = 4000, height: int = 3000, downsamples: tuple[float, ...] = (1.0,), **header: object
) -> Pyramid:
    sizes = tuple((int(width / downsample), int(height / downsample)) for downsample in downsamples)
    return Pyramid(sizes, downsamples, **{"mpp_x": 0.5, "mpp_y": 0.5, **header})


def reason_of(call: object, *arguments: object) -> str:
    with pytest.raises(SlideError) as caught:
        call(*arguments)
    assert caught.value.remedy
    return caught.value.reason


# --- resolution --------------------------------------------------------------------------------------------------


def test_the_manifest_goes_before_the_slide_the_objective_and_the_default() -> None:
    header = pyramid(mpp_x=0.25, mpp_y=0.25, objective_power=20.0)
    assert resolve_mpp(header, 0.4, 0.7) == (0.4, "manifest")
    assert resolve_mpp(header, None, 0.7) == (0.25, "slide")
    without = replace(header, mpp_x=None)
    assert resolve_mpp(without, None, 0.7) == (0.5, "objective-power")
    nothing = replace(without, objective_power=None)
    assert resolve_mpp(nothing, None, 0.7) == (0.7, "default_mpp")
    assert reason_of(resolve_mpp, nothing, None, None) == "no-mpp"


def test_axes_that_agree_within_2_percent_are_taken_at_their_mean() -> None:
    assert resolve_mpp(pyramid(mpp_x=0.25, mpp_y=0.2548), None, None) == (0.2524, "slide")
    assert reason_of(resolve_mpp, pyramid(mpp_x=0.25, mpp_y=0.2551), None, None) == "anisotropic-mpp"
    assert reason_of(resolve_mpp, pyramid(mpp_x=0.2551, mpp_y=0.25, objective_power=40.0), None, 0.5) == (
        "anisotropic-mpp"
    )
    assert resolve_mpp(pyramid(mpp_x=0.2, mpp_y=0.4), 0.3, None) == (0.3, "manifest")


@pytest.mark.parametrize(
    ("mpp", "sane"),
    [(0.01, True), (20.0, True), (0.0099, False), (20.1, False), (84.7, False), (352.8, False), (1e300, False)],
)
def test_a_resolution_that_no_scanner_has_counts_as_missing(mpp: float, sane: bool) -> None:
    """What the header says, as µm per pixel or as a power; not what slides.csv says, which is checked there."""
    for header in (pyramid(mpp_x=mpp, mpp_y=mpp), pyramid(mpp_x=None, objective_power=10 / mpp)):
        if sane:
            assert resolve_mpp(header, None, 0.7)[0] == pytest.approx(mpp)
        else:
            assert reason_of(resolve_mpp, header, None, None) == "absurd-mpp"
            assert resolve_mpp(header, None, 0.7) == (0.7, "default_mpp")
        assert resolve_mpp(header, 0.5, None) == (0.5, "manifest")


@pytest.mark.parametrize(("across", "down"), [(-0.25, -0.25), (0.0, 0.0), (-0.25, 0.25), (0.25, 352.8), (0.25, -1.0)])
def test_absurd_axes_are_missing_and_not_anisotropic(across: float, down: float) -> None:
    header = pyramid(mpp_x=across, mpp_y=down)
    assert reason_of(resolve_mpp, header, None, None) == "absurd-mpp"
    assert resolve_mpp(header, None, 0.5) == (0.5, "default_mpp")
    assert resolve_mpp(replace(header, objective_power=40.0), None, 0.5) == (0.25, "objective-power")


def test_the_remedy_of_an_absurd_resolution_names_what_helps() -> None:
    with pytest.raises(SlideError, match=r"352\.8 µm/px across, 352\.8 µm/px down.*counts as missing") as caught:
        resolve_mpp(pyramid(mpp_x=352.8, mpp_y=352.8), None, None)
    assert "slides.csv" in caught.value.remedy
    assert "default_mpp" in caught.value.remedy


def test_the_store_says_where_the_resolution_came_from() -> None:
    plan = plan_tiles(pyramid(mpp_x=None, objective_power=40.0), DEFAULT, None)
    assert (plan.mpp, plan.mpp_source, plan.scale) == (0.25, "objective-power", 2.0)


@pytest.mark.parametrize(("target", "is_fine_enough"), [(0.98, True), (0.9799999, False), (0.9800001, True)])
def test_a_slide_coarser_than_the_target_is_refused_below_98_percent(target: float, is_fine_enough: bool) -> None:
    header, table = pyramid(mpp_x=1.0, mpp_y=1.0), TileTable(mpp=target)
    if is_fine_enough:
        plan = plan_tiles(header, table, None)
        assert (plan.level, plan.scale, plan.side_level) == (0, 1.0, 299)
    else:
        assert reason_of(plan_tiles, header, table, None) == "coarser-than-target"


NOTHING = pyramid(mpp_x=None, mpp_y=None)


@pytest.mark.parametrize(
    ("header", "table", "reason", "problem", "remedy"),
    [
        (
            NOTHING,
            DEFAULT,
            "no-mpp",
            "neither the manifest nor the slide gives µm per pixel, the slide gives no objective power, and [tile] "
            "default_mpp is not set",
            "give the slide an mpp in slides.csv, or set [tile] default_mpp",
        ),
        (
            pyramid(mpp_x=1000.0, mpp_y=1000.0),
            DEFAULT,
            "absurd-mpp",
            "the header says 1000 µm/px across, 1000 µm/px down, which no scanner has: "
            "µm/px is not within 0.01 to 20, so it counts as missing",
            "give the slide an mpp in slides.csv, or set [tile] default_mpp",
        ),
        (
            pyramid(mpp_x=0.25, mpp_y=0.5),
            DEFAULT,
            "anisotropic-mpp",
            "the slide says 0.25 µm/px across and 0.5 µm/px down: more than 2 % apart, tiles would be distorted",
            "if the header is wrong, give the slide its mpp in slides.csv",
        ),
        (
            pyramid(mpp_x=None, objective_power=5.0),
            DEFAULT,
            "coarser-than-target",
            "the slide has 2 µm/px (from objective-power), the target is 0.5 µm/px: enlarging would invent detail",
            "leave the slide out, or raise [tile] mpp for the whole run, which models of the finer mpp do not fit then",
        ),
        (
            pyramid(width=600_000, height=600_000),
            DEFAULT,
            "absurd-size",
            "the header says 600000 x 600000 px: 4,024,036 tiles, more than 3,000,000 is no slide",
            "fetch the file again, or leave it out",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value and " " not in value else "",
)
def test_a_refusal_says_value_rule_and_remedy(
    header: Pyramid, table: TileTable, reason: str, problem: str, remedy: str
) -> None:
    with pytest.raises(SlideError) as caught:
        plan_tiles(header, table, None)
    assert (caught.value.reason, caught.value.problem, caught.value.remedy) == (reason, problem, remedy)


def test_a_plan_goes_by_the_manifest_and_by_the_default_of_the_run() -> None:
    assert plan_tiles(NOTHING, DEFAULT, 0.25).mpp_source == "manifest"
    plan = plan_tiles(NOTHING, TileTable(default_mpp=0.25, tile_px=100), None)
    assert (plan.mpp, plan.mpp_source, plan.scale, plan.tile_px, plan.side_level) == (
        0.25,
        "default_mpp",
        2.0,
        100,
        200,
    )


def test_limits_themselves_are_within_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 % between axes, 2 % between a level and the scale, the most tiles."""
    assert resolve_mpp(pyramid(mpp_x=12.5, mpp_y=12.75), None, None) == (12.625, "slide")
    assert choose_level([1.0, 102.0], 100.0) == (1, 102.0)
    header = pyramid(width=3 * 299, height=2 * 299)
    monkeypatch.setattr(plan_module, "MOST_TILES", 6)
    assert plan_tiles(header, DEFAULT, None).n_tiles == 6
    monkeypatch.setattr(plan_module, "MOST_TILES", 5)
    assert reason_of(plan_tiles, header, DEFAULT, None) == "absurd-size"


def test_rounding_is_in_float64() -> None:
    """In float32 a half is lost from 8,388,608 on."""
    assert round_half_up(np.array([16_777_215], dtype=np.float32)).tolist() == [16_777_215]


# --- level -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("downsamples", "scale", "level", "snapped"),
    [
        ((1.0,), 1.0, 0, 1.0),
        ((1.0,), 0.985, 0, 1.0),
        ((1.0,), 1.02, 0, 1.0),
        ((1.0,), 1.0205, 0, 1.0205),
        ((1.0,), 2.002, 0, 2.0),
        ((1.0,), 8.0, 0, 8.0),
        ((1.0,), 16.0, 0, 16.0),
        ((1.0, 4.00006), 4.0, 1, 4.00006),
        ((1.0, 4.00006), 2.0, 0, 2.0),
        ((1.0, 4.00006), 8.1, 1, 8.00012),
        ((1.0, 2.0, 4.0), 4.0, 2, 4.0),
        ((1.0, 2.0), 4.0, 1, 4.0),
        ((1.0, 1.99), 2.0, 1, 1.99),
        ((1.0, 4.0, 16.0), 8.0, 1, 8.0),
        ((1.0, 2.0, 4.0), 3.0, 1, 3.0),
        ((1.0, 4.0, 2.0), 3.0, 2, 3.0),
        ((1.0, 4.0, 16.0), 1.5, 0, 1.5),
    ],
)
def test_the_level_that_is_read(downsamples: tuple[float, ...], scale: float, level: int, snapped: float) -> None:
    assert choose_level(downsamples, scale) == (level, pytest.approx(snapped, abs=1e-12))


@settings(max_examples=300)
@given(
    coarser=st.lists(st.floats(1.01, 70), max_size=5),
    scale=st.one_of(st.floats(0.98, 70), st.sampled_from([1.0, 2.0, 3.0, 4.0, 8.0, 16.0])),
)
def test_level_and_scale_equal_their_twin(coarser: list[float], scale: float) -> None:
    downsamples = [1.0, *coarser]
    near = [abs(abs(d * factor / scale - 1) - 0.02) for d in downsamples for factor in (1, 2, 4, 8)]
    assume(min(near) > 1e-9)  # on the very edge of the 2 % the last bit decides
    assert choose_level(downsamples, scale) == naive.level_and_scale(downsamples, scale)


def test_a_snapped_side_is_whole_and_an_averaged_one_rounded_half_up() -> None:
    assert plan_tiles(pyramid(downsamples=(1.0, 4.00006), mpp_x=0.125, mpp_y=0.125), DEFAULT, None).side_level == 299
    averaged = plan_tiles(pyramid(downsamples=(1.0, 2.0), mpp_x=0.5, mpp_y=0.5), TileTable(mpp=1.5), None)
    assert (averaged.level, averaged.side_level, averaged.side_l0) == (1, 449, 898.0)  # 299 * 3 / 2 = 448.5


@given(st.integers(-(2**40), 2**40))
def test_halves_go_up(whole: int) -> None:
    assert round_half_up([whole, whole + 0.5, whole + 0.4375]).tolist() == [whole, whole + 1, whole]


# --- grid --------------------------------------------------------------------------------------------------------


def test_without_bounds_the_grid_begins_at_the_corner() -> None:
    plan = plan_tiles(pyramid(2220, 2967, mpp_x=0.499, mpp_y=0.499), DEFAULT, None)
    assert (plan.columns, plan.rows, plan.n_tiles) == (7, 9, 63)
    assert plan.xy_l0[0].tolist() == [0, 0]
    assert plan.xy_l0[7].tolist() == [0, 299]
    assert plan.xy_l0.dtype == plan.xy_level.dtype == np.int64


def test_with_bounds_the_grid_begins_at_the_first_whole_pixel_of_the_level() -> None:
    header = pyramid(8000, 8000, (1.0, 4.0), mpp_x=0.125, mpp_y=0.125, bounds_l0=(1001, 4, 2400, 1197))
    plan = plan_tiles(header, DEFAULT, None)
    assert (plan.level, plan.columns, plan.rows) == (1, 2, 1)  # x: 251 to floor(3401 / 4) = 850; y: 1 to 300
    assert plan.xy_level.tolist() == [[251, 1], [550, 1]]
    assert plan.xy_l0.tolist() == [[1004, 4], [2200, 4]]


@pytest.mark.parametrize(("width", "columns"), [(298, 0), (299, 1), (597, 1), (598, 2)])
def test_only_whole_tiles(width: int, columns: int) -> None:
    assert grid_1d(0, width, 10_000, 1.0, 299) == (0, columns)
    assert grid_1d(0, 10_000, width, 1.0, 299) == (0, columns)
    assert grid_1d(5, 5 + width, 10_000, 1.0, 299) == (5, columns)


def test_a_slide_smaller_than_a_tile_has_an_empty_plan() -> None:
    plan = plan_tiles(pyramid(298, 5000), DEFAULT, None)
    assert (plan.n_tiles, plan.xy_l0.shape, plan.interpolated) == (0, (0, 2), False)


def test_bounds_that_leave_the_slide_are_cut_off() -> None:
    for bounds in ((-700, -1, 5000, 5000), (3000, 2000, 9999, 9999), (5000, 5000, 300, 300)):
        check_grid(pyramid(bounds_l0=bounds), DEFAULT)


def test_interpolated_where_a_tile_is_no_whole_pixel_of_its_level() -> None:
    whole = plan_tiles(pyramid(9000, 9000, (1.0, 4.0), mpp_x=0.125, mpp_y=0.125), DEFAULT, None)
    between = plan_tiles(pyramid(9000, 9000, (1.0, 4.00006), mpp_x=0.125, mpp_y=0.125), DEFAULT, None)
    level_0 = plan_tiles(pyramid(9000, 9000, (1.0,), mpp_x=0.17, mpp_y=0.17), DEFAULT, None)
    assert [whole.interpolated, between.interpolated, level_0.interpolated] == [False, True, False]
    assert between.xy_l0[1].tolist() == [1196, 0]  # 299 * 4.00006 = 1196.018


@settings(max_examples=200)
@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    # Steps of 1/64 are exact in binary, so that the twin's products and our quotients agree to the last bit.
    coarser=st.lists(st.integers(65, 1300).map(lambda n: n / 64), max_size=3),
    bounds=st.none() | st.tuples(*[st.integers(-300, 5000)] * 2, *[st.integers(1, 5000)] * 2),
    mpp=st.sampled_from([0.1, 0.125, 0.2, 0.25, 0.2527, 0.4991, 0.5, 0.505]),
    tile_px=st.sampled_from([16, 64, 299]),
)
def test_grids_equal_their_twin_and_obey_the_rule(
    size: tuple[int, int],
    coarser: list[float],
    bounds: tuple[int, int, int, int] | None,
    mpp: float,
    tile_px: int,
) -> None:
    header = pyramid(*size, (1.0, *coarser), mpp_x=mpp, mpp_y=mpp, bounds_l0=bounds)
    check_grid(header, TileTable(tile_px=tile_px))


def check_grid(header: Pyramid, table: TileTable) -> TilePlan:
    plan = plan_tiles(header, table, None)
    side, downsample = plan.side_level, plan.downsample
    left, top, width, height = header.bounds_l0 or (0, 0, *header.size_l0)
    level_width, level_height = header.level_sizes[plan.level]
    xs = naive.corners(left, width, level_width, downsample, side)
    ys = naive.corners(top, height, level_height, downsample, side)
    # The twin's order is the reading order: row by row.
    assert plan.xy_level.tolist() == [[x, y] for y in ys for x in xs]
    assert plan.xy_l0.tolist() == [[math.floor(v * downsample + 0.5) for v in (x, y)] for y in ys for x in xs]
    if plan.n_tiles:
        assert (plan.columns, plan.rows) == (len(xs), len(ys))
        # No tile overlaps another, none leaves the level or the bounds.
        assert all(b - a >= side for series in (xs, ys) for a, b in itertools.pairwise(series))
        assert min(xs) >= 0
        assert min(ys) >= 0
        assert (max(xs) + side, max(ys) + side) <= (level_width, level_height)
        assert (min(xs) * downsample >= left) and (min(ys) * downsample >= top)
        assert (max(xs) + side) * downsample <= left + width
        assert (max(ys) + side) * downsample <= top + height
        assert plan.side_l0 == side * downsample
    return plan


def test_a_header_of_absurd_size_is_refused_before_memory_is_asked_for() -> None:
    pyramid = Pyramid(level_sizes=((2**31, 2**31),), downsamples=(1.0,), mpp_x=0.5, mpp_y=0.5)
    with pytest.raises(SlideError) as caught:
        plan_tiles(pyramid, TileTable(), None)
    assert caught.value.reason == "absurd-size"
