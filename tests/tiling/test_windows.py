"""From a region to a rectangle of a level: the same level, scale and rounding as tiles have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Pyramid
from hypoxia_hpc.tiling.plan import plan_tiles
from hypoxia_hpc.tiling.windows import MOST_WINDOW_PX, Window, plan_window

ODD = Pyramid(((4000, 3000), (1000, 750), (249, 187)), (1.0, 4.0, 16.05), mpp_x=0.25, mpp_y=0.25)


@settings(deadline=None, max_examples=60)
@given(mpp=st.floats(0.25, 20), tile_px=st.integers(16, 60), data=st.data())
def test_a_window_where_a_tile_lies_is_that_tile(mpp: float, tile_px: int, data: st.DataObject) -> None:
    plan = plan_tiles(ODD, TileTable(mpp=mpp, tile_px=tile_px), None)
    if not plan.n_tiles:
        return
    number = data.draw(st.integers(0, plan.n_tiles - 1))
    x_l0, y_l0 = plan.xy_l0[number].tolist()
    left, top = plan.xy_level[number].tolist()
    expected = Window(plan.level, left, top, plan.side_level, plan.side_level, (tile_px, tile_px))
    assert plan_window(ODD, (x_l0, y_l0), (tile_px, tile_px), mpp / 0.25) == expected


def test_each_side_is_rounded_by_itself() -> None:
    assert plan_window(ODD, (7, 9), (10, 21), 5.0) == Window(1, 2, 2, 13, 26, (10, 21))


@pytest.mark.parametrize("xy", [(-10, 0), (0, -10), (4000, 0), (0, 3000)])
def test_nothing_of_it_on_the_slide(xy: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"10 x 10 px from .* lies outside the slide, which has 4000 x 3000 px"):
        plan_window(ODD, xy, (10, 10), 1.0)


@pytest.mark.parametrize("xy", [(-9, 0), (0, -9), (3999, 0), (0, 2999)])
def test_one_pixel_of_it_on_the_slide(xy: tuple[int, int]) -> None:
    assert plan_window(ODD, xy, (10, 10), 1.0) == Window(0, *xy, 10, 10, (10, 10))


def test_the_most_that_is_read_at_once() -> None:
    assert plan_window(ODD, (0, 0), (10_000, 10_000), 1.0).width ** 2 == MOST_WINDOW_PX
    with pytest.raises(InputError, match="reads 10000 x 10001 px of level 0: more than 100,000,000"):
        plan_window(ODD, (0, 0), (10_000, 10_001), 1.0)
    with pytest.raises(InputError, match="reads 10400 x 10400 px of level 0"):
        plan_window(ODD, (0, 0), (5200, 5200), 2.0)
