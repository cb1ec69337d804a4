"""The DeepZoom pyramid: as OpenSlide's DeepZoomGenerator has it, and every tile from the right pixels."""

from __future__ import annotations

import numpy as np
import openslide
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from hypoxia_hpc.viewer.pyramid import (
    MOST_REDUCED,
    DeepZoom,
    Place,
    deep_zoom_of,
    is_own_tile,
    level_below,
    overview_factor,
    window_of,
)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (255, 257), (2220, 2967), (4096, 4097)])
def test_levels_and_tiles_are_those_of_deep_zoom(size: tuple[int, int]) -> None:
    zoom = DeepZoom(size, 240)
    theirs = DeepZoomGenerator(openslide.ImageSlide(Image.new("1", size)), tile_size=240, overlap=0)
    assert [zoom.size_of(level) for level in range(zoom.last + 1)] == list(theirs.level_dimensions)
    for level, (columns, rows) in enumerate(theirs.level_tiles):
        places = zoom.places(level)
        assert len(places) == columns * rows
        sizes = [theirs.get_tile_dimensions(level, (one.column, one.row)) for one in places]
        assert [zoom.size_of_tile(one) for one in places] == sizes
    assert zoom.size_of(zoom.last) == size and zoom.size_of(0) == (1, 1)


@pytest.mark.parametrize(
    "place", [(-1, 0, 0), (13, 0, 0), (12, 10, 0), (12, 0, 13), (12, -1, 0), (0, 1, 0), (11, 5, 0)]
)
def test_what_is_not_there(place: tuple[int, int, int]) -> None:
    assert not DeepZoom((2220, 2967), 240).has(Place(*place))
    assert DeepZoom((2220, 2967), 240).has(Place(12, 9, 12))


@pytest.mark.parametrize(
    ("native_tile", "tile_px"),
    [((240, 240), 240), ((256, 256), 256), ((512, 256), 256), ((2220, 8), 256), ((64, 64), 256), ((4096,) * 2, 256)],
)
def test_the_grid_is_that_of_the_file_where_a_browser_can_have_it(native_tile: tuple[int, int], tile_px: int) -> None:
    assert deep_zoom_of((9000, 9000), native_tile).tile_px == tile_px
    assert deep_zoom_of((9000, 9000), None).tile_px == 256


def test_which_tiles_are_the_files_own() -> None:
    sizes = [(30001, 20003), (7500, 5000), (1875, 1250)]  # Aperio rounds down, DeepZoom up
    zoom = DeepZoom(sizes[0], 240)
    own = {
        level: sum(is_own_tile(zoom, one, sizes[level_below(zoom, level, sizes)]) for one in zoom.places(level))
        for level in range(zoom.last + 1)
    }
    assert {level: n for level, n in own.items() if n} == {15: 125 * 83, 13: 31 * 20, 11: 7 * 5}


SIDES = st.integers(300, 20_000)


@given(SIDES, SIDES, st.lists(st.sampled_from([2, 3, 4, 8]), max_size=3), st.booleans(), st.data())
def test_windows_lie_side_by_side_on_the_slide(
    width: int, height: int, steps: list[int], rounds_up: bool, data: st.DataObject
) -> None:
    sizes, downsample = [(width, height)], 1
    for step in steps:
        downsample *= step
        up, down = (-(-width // downsample), -(-height // downsample)), (width // downsample, height // downsample)
        sizes.append(up if rounds_up else (max(1, down[0]), max(1, down[1])))
    zoom = DeepZoom((width, height), 256)
    place = data.draw(st.sampled_from(zoom.places(data.draw(st.integers(0, zoom.last)))))
    window = window_of(zoom, place, sizes)
    if window is None:
        assert zoom.factor(place.level) > MOST_REDUCED
        return
    across = sizes[window.level]
    assert 0 <= window.left < across[0] and 0 <= window.top < across[1]
    assert window.size_px == zoom.size_of_tile(place)
    # In level 0 pixels, the window is where the tile is, to less than a pixel of the tile.
    factor, own = zoom.factor(place.level), [side / one for side, one in zip((width, height), across, strict=True)]
    begin = np.array([window.left, window.top]) * own
    end = begin + np.array([window.width, window.height]) * own
    expected = np.array([place.column, place.row]) * 256 * factor
    slack = 3 * factor * max(1, max(place.column, place.row) * 256 * 2 / min(across))
    assert np.abs(begin - expected).max() <= slack
    assert np.abs(end - expected - np.array(window.size_px) * factor).max() <= slack + factor


@pytest.mark.parametrize(
    ("size", "factor"), [((900, 10), 1), ((1024, 1), 1), ((1025, 1), 2), ((30_000, 9), 32), ((10**6, 9), 32)]
)
def test_the_overview_is_small(size: tuple[int, int], factor: int) -> None:
    assert overview_factor(size, 1024) == factor
