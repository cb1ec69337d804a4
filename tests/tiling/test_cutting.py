"""Cutting from blocks: whatever way blocks lie across tiles, it is as if the whole plane had been there."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field, replace

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.tiling import cutting
from hypoxia_hpc.tiling.cutting import (
    BlockGrid,
    Cut,
    TileGrid,
    UnreadableBlockError,
    cut_tiles,
    n_strips,
    read_tiles,
)
from hypoxia_hpc.tiling.kernels.planes import PACKED
from hypoxia_hpc.tiling.kernels.reduce import reduce_block
from hypoxia_hpc.tiling.kernels.state import BACKGROUND, KEPT, MASKED, UNREADABLE, CutRule
from hypoxia_hpc.tiling.touched_blocks import blocks_under

Pixels = NDArray[np.uint8]
NAMES = {KEPT: "kept", BACKGROUND: "background", UNREADABLE: "unreadable", MASKED: "masked"}


@dataclass
class PlaneSource:
    """Blocks of a plane, uint8 (h, w, 3); it begins left of and above the first tile."""

    plane: Pixels
    grid: BlockGrid
    broken: frozenset[int] = frozenset()
    asked: list[int] = field(default_factory=list)

    def place(self, number: int) -> tuple[slice, slice]:
        row, column = divmod(number, self.grid.columns)
        y, x = row * self.grid.height, column * self.grid.width
        return np.s_[y : y + self.grid.height, x : x + self.grid.width]

    def read(self, number: int, out: Pixels) -> int:
        self.asked.append(number)
        if number in self.broken:
            raise UnreadableBlockError(f"block {number}")
        pixels = self.plane[self.place(number)]
        out[:] = 7  # what lies outside the plane is not looked at
        out[: pixels.shape[0], : pixels.shape[1], :3] = pixels
        return PACKED

    def unreadable(self) -> NDArray[np.bool_]:
        unreadable = np.zeros(self.plane.shape[:2], dtype=bool)
        for number in self.broken:
            unreadable[self.place(number)] = True
        return unreadable


class GoneSource(PlaneSource):
    """One whose file is gone."""

    def read(self, number: int, out: Pixels) -> int:
        raise SlideError("slide-gone", f"no block {number}")


def source_of(plane: Pixels, left: int, top: int, width: int, height: int, broken: frozenset[int]) -> PlaneSource:
    columns, rows = -(-plane.shape[1] // width), -(-plane.shape[0] // height)
    return PlaneSource(plane, BlockGrid(-left, -top, width, height, columns, rows), broken)


def cut(
    source: PlaneSource, grid: TileGrid, rule: CutRule, selected: NDArray[np.bool_], *more: PlaneSource
) -> tuple[Cut, list[Pixels]]:
    tiles: list[Pixels] = []

    def new_tile() -> Pixels:
        tiles.append(np.zeros((grid.tile_px, grid.tile_px, 3), dtype=np.uint8))
        return tiles[-1]

    return cut_tiles([source, *more], grid, rule, selected, new_tile), tiles


@st.composite
def cases(draw: st.DrawFn) -> tuple[PlaneSource, TileGrid, int, int]:
    side, px = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    side = max(side, px)
    columns, rows, left, top = (draw(st.integers(low, 4)) for low in (1, 1, 0, 0))
    shape = (top + rows * side + draw(st.integers(0, 3)), left + columns * side + draw(st.integers(0, 3)), 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pale = np.repeat(np.repeat(rng.integers(0, 2, (shape[0] // 3 + 1, shape[1] // 3 + 1, 1)), 3, 0), 3, 1)
    plane = np.where(pale[: shape[0], : shape[1]] > 0, 255, rng.integers(0, 256, shape)).astype(np.uint8)
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    n = -(-shape[1] // width) * -(-shape[0] // height)
    broken = frozenset(draw(st.sets(st.integers(0, n - 1), max_size=2)))
    source = source_of(plane, left, top, width, height, broken)
    return source, TileGrid(side, px, columns, rows), draw(st.integers(1, 255)), draw(st.integers(0, px * px))


@settings(max_examples=300)
@given(case=cases(), screen=st.booleans(), slots=st.sampled_from([0, 10**6]), threads=st.integers(1, 3), data=st.data())
def test_a_plane_is_cut_as_its_twin_cuts_it(
    case: tuple[PlaneSource, TileGrid, int, int], screen: bool, slots: int, threads: int, data: st.DataObject
) -> None:
    """With screening and without, with room in memory for the blocks of one tile or of all, in one strip or in several:
    the same tiles."""
    source, grid, white, most = case
    others = [replace(source, asked=[]) for _ in range(min(threads, grid.columns) - 1)]
    n = grid.columns * grid.rows
    selected = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    x, y = -source.grid.left, -source.grid.top
    region = np.s_[y : y + grid.rows * grid.side, x : x + grid.columns * grid.side]
    states, _, counts = naive.cut(
        source.plane[region], grid.side, grid.tile_px, white, most, source.unreadable()[region]
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cutting, "POOL_BYTES", slots)
        found, tiles = cut(source, grid, CutRule(white, most, screen), selected, *others)
    expected = [state if wants else "masked" for state, wants in zip(states, selected, strict=True)]
    assert [NAMES[int(state)] for state in found.states] == expected
    whole = [tile for tile, state in zip(every_tile(source, grid), expected, strict=True) if state == "kept"]
    np.testing.assert_array_equal(np.array(tiles), np.array(whole).reshape(np.array(tiles).shape))
    for state, count, exact in zip(expected, found.background_px.tolist(), counts, strict=True):
        assert count == exact if state == "kept" else count <= exact
    asked = [one.asked for one in (source, *others)]
    assert found.blocks_read == sum(map(len, asked))
    if slots:
        assert all(len(set(one)) == len(one) for one in asked), "a block was decoded twice though there was room"


def every_tile(source: PlaneSource, grid: TileGrid) -> list[Pixels]:
    x0, y0, side = -source.grid.left, -source.grid.top, grid.side
    corners = [(y0 + row * side, x0 + column * side) for row in range(grid.rows) for column in range(grid.columns)]
    return [naive.averaged(source.plane[y : y + side, x : x + side], grid.tile_px) for y, x in corners]


@settings(max_examples=300)
@given(case=cases(), data=st.data())
def test_blocks_under_wanted_tiles_are_those_that_share_a_pixel_with_one(
    case: tuple[PlaneSource, TileGrid, int, int], data: st.DataObject
) -> None:
    source, grid, _, _ = case
    n = grid.columns * grid.rows
    selected = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    painted = np.zeros(source.plane.shape[:2], dtype=bool)
    for number in np.flatnonzero(selected).tolist():
        row, column = divmod(number, grid.columns)
        y, x = row * grid.side - source.grid.top, column * grid.side - source.grid.left
        painted[y : y + grid.side, x : x + grid.side] = True
    expected = [bool(painted[source.place(number)].any()) for number in range(source.grid.columns * source.grid.rows)]
    assert blocks_under(source.grid, grid, selected).tolist() == expected


@settings(max_examples=100)
@given(case=cases(), data=st.data())
def test_tiles_are_read_again_in_order(case: tuple[PlaneSource, TileGrid, int, int], data: st.DataObject) -> None:
    source, grid, _, _ = case
    source.broken = frozenset()
    n = grid.columns * grid.rows
    selected = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    found = [tile for row in read_tiles(source, grid, selected) for tile in row]
    expected = [tile for tile, wants in zip(every_tile(source, grid), selected, strict=True) if wants]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("height", [240, 254, 256, 512, 1024])
@pytest.mark.parametrize("every", [2, 3, 7])
def test_rows_between_the_wanted_ones_give_back_what_was_kept_for_them(height: int, every: int) -> None:
    """Two pieces of tissue with glass between them: what the last wanted row kept for the next must not stay there."""
    rng = np.random.default_rng(height)
    plane = rng.integers(0, 256, (30 * 299, 3 * 299, 3), dtype=np.uint8)
    source, grid = source_of(plane, 0, 0, 240, height, frozenset()), TileGrid(299, 299, 3, 30)
    selected = np.repeat(np.arange(30) % every == 0, 3)
    found = [tile for row in read_tiles(source, grid, selected) for tile in row]
    places = [(row * 299, column * 299) for row in range(0, 30, every) for column in range(3)]
    assert len(found) == len(places)
    for tile, (y, x) in zip(found, places, strict=True):
        np.testing.assert_array_equal(tile, plane[y : y + 299, x : x + 299])


def test_a_tile_that_breaks_on_the_second_reading_is_an_error() -> None:
    source = source_of(np.zeros((8, 8, 3), dtype=np.uint8), 0, 0, 4, 4, frozenset({3}))
    with pytest.raises(SlideError, match="row 1 do not decode any more: block 3"):
        list(read_tiles(source, TileGrid(4, 4, 2, 2), np.ones(4, dtype=bool)))


# --- strips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "width", "height", "threads", "expected"),
    [
        (102, 240, 240, 1, 1),
        (102, 240, 240, 2, 2),
        (102, 240, 240, 64, 6),  # of 17 tiles each
        (31, 240, 240, 8, 1),
        (102, 1024, 1024, 64, 1),  # a border costs more where blocks are large
        (334, 1024, 1024, 64, 5),  # each needs room for the blocks of some tiles
        (334, 100_000, 8, 8, 1),  # strips of rows: every thread would decode all of them
        (3340, 4096, 4096, 8, 1),  # the blocks of two tiles have no room
        (0, 240, 240, 8, 1),
    ],
)
def test_threads_have_strips_wide_enough(columns: int, width: int, height: int, threads: int, expected: int) -> None:
    of_blocks = BlockGrid(0, 0, width, height, -(-columns * 299 // width), 100)
    assert n_strips(of_blocks, TileGrid(299, 299, columns, 50), threads) == expected


def test_a_slide_lower_than_a_tile_has_nothing_to_share() -> None:
    sources = [source_of(np.zeros((100, 4000, 3), np.uint8), 0, 0, 240, 240, frozenset()) for _ in range(2)]
    found, tiles = cut(sources[0], TileGrid(299, 299, 13, 0), CutRule(220, 0, True), np.ones(0, dtype=bool), sources[1])
    assert (found.states.size, found.blocks_read, tiles) == (0, 0, [])


@pytest.mark.parametrize("at", [0, 1])
def test_an_error_in_one_strip_ends_them_all(at: int) -> None:
    sources = [source_of(np.zeros((900, 900, 3), np.uint8), 0, 0, 64, 64, frozenset()) for _ in range(2)]
    sources[at] = GoneSource(sources[at].plane, sources[at].grid)
    with pytest.raises(SlideError, match="no block"):
        cut(sources[0], TileGrid(64, 64, 14, 14), CutRule(220, 0, True), np.ones(196, dtype=bool), sources[1])
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("strip")]


def test_unreadable_blocks_of_all_strips_are_told_in_their_order() -> None:
    plane = np.zeros((640, 640, 3), np.uint8)
    sources = [source_of(plane, 0, 0, 64, 64, frozenset({9, 20, 5})) for _ in range(2)]
    found, tiles = cut(
        sources[0], TileGrid(64, 64, 10, 10), CutRule(220, 0, False), np.ones(100, dtype=bool), sources[1]
    )
    assert list(found.unreadable) == [5, 9, 20]
    assert len(tiles) == 97


# --- screening ---------------------------------------------------------------------------------------------------


def test_white_glass_needs_half_of_its_native_tiles() -> None:
    plane = np.full((3000, 3000, 3), 255, dtype=np.uint8)
    most = math.floor(0.25 * 299**2)
    source = source_of(plane, 0, 0, 240, 240, frozenset())
    found, tiles = cut(source, TileGrid(299, 299, 10, 10), CutRule(220, most, True), np.ones(100, dtype=bool))
    assert not tiles
    assert found.blocks_read <= 0.55 * 13 * 13


def test_tissue_needs_all_of_them_and_what_is_not_wanted_needs_none() -> None:
    source = source_of(np.zeros((600, 600, 3), dtype=np.uint8), 0, 0, 240, 240, frozenset())
    grid, rule = TileGrid(299, 299, 2, 2), CutRule(220, 100, True)
    found, tiles = cut(source, grid, rule, np.ones(4, dtype=bool))
    assert (found.blocks_read, len(tiles)) == (9, 4)
    found, tiles = cut(source, grid, rule, np.zeros(4, dtype=bool))
    assert (found.blocks_read, len(tiles)) == (0, 0)
    assert (found.states == MASKED).all()


# --- the limit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("screen", [False, True])
@pytest.mark.parametrize("px", [16, 17, 299])
def test_the_last_background_pixel_decides(px: int, screen: bool) -> None:
    limit = math.floor(0.25 * px * px)
    gray = np.zeros((2, px * px), dtype=np.uint8)
    gray[0, :limit] = gray[1, : limit + 1] = 255
    plane = np.repeat(np.concatenate(gray.reshape(2, px, px), axis=1)[..., None], 3, axis=2)
    source = source_of(plane, 0, 0, 5, 7, frozenset())
    found, tiles = cut(source, TileGrid(px, px, 2, 1), CutRule(220, limit, screen), np.ones(2, dtype=bool))
    assert found.states.tolist() == [KEPT, BACKGROUND]
    assert found.background_px.tolist() == [limit, limit + 1]
    np.testing.assert_array_equal(tiles[0], plane[:, :px])


def test_blocks_of_a_tile_that_do_not_fit_into_memory_are_refused() -> None:
    grid = BlockGrid(0, 0, 8192, 8192, 2, 2)
    with pytest.raises(SlideError, match="touches 4 native tiles of 8192 x 8192 px") as caught:
        cut_tiles(
            [PlaneSource(np.zeros((1, 1, 3), np.uint8), grid)],
            TileGrid(299, 299, 1, 1),
            CutRule(1, 1, True),
            np.ones(1, bool),
            lambda: np.zeros((299, 299, 3), np.uint8),
        )
    assert caught.value.reason == "native-tile-too-large"


# --- kernels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_reducing_is_the_exact_mean(factor: int) -> None:
    rng = np.random.default_rng(factor)
    square = rng.choice(np.array([0, 1, 127, 128, 254, 255], dtype=np.uint8), (factor * 9, factor * 9, 4))
    square[: 2 * factor, : 2 * factor] = 255
    out = np.zeros((9, 9), dtype=np.uint32)
    reduce_block(square.view("<u4")[..., 0], factor, out)
    np.testing.assert_array_equal(out.view(np.uint8).reshape(9, 9, 4)[..., :3], naive.averaged(square[..., :3], 9))
