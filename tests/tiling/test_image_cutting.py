"""Images that become tiles: the same pixels and the same decisions as one pixel at a time."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.tiling.image_cutting import ImageTiles, image_tiles, n_tiles_of, sheet

PX = 16


def image(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Uint8 (height, width, 4), whose fourth byte means nothing; half of the pixels are light."""
    rng = np.random.default_rng(seed)
    dark, light = (rng.integers(low, high, (height, width, 4), dtype=np.uint8) for low, high in ((0, 120), (225, 256)))
    return np.where(rng.random((height, width, 1)) < 0.5, dark, light)


def pixels_of(tiles: ImageTiles) -> list[NDArray[np.uint8]]:
    found = []
    for row, column in np.argwhere(tiles.kept).tolist():
        found.append(np.empty((PX, PX, 3), dtype=np.uint8))
        tiles.put(row, column, found[-1])
    return found


@pytest.mark.parametrize("size", [(16, 16), (40, 67), (33, 16)])
def test_an_image_is_cut_as_pixel_by_pixel(size: tuple[int, int]) -> None:
    pixels, table = image(*size), TileTable(tile_px=PX, max_background=0.5)
    states, kept, counts = naive.cut(pixels[..., :3], PX, PX, table.white, PX * PX // 2, np.zeros(size, dtype=bool))
    tiles = image_tiles(pixels, table)
    assert (tiles.fit, tiles.rows * tiles.columns, n_tiles_of(size[1], size[0], table)) == (
        "cut",
        len(states),
        len(states),
    )
    assert [state == "kept" for state in states] == tiles.kept.ravel().tolist()
    assert np.array_equal(tiles.background.ravel(), np.array(counts, dtype=np.float32) / np.float32(PX * PX))
    assert all(np.array_equal(*pair) for pair in zip(pixels_of(tiles), kept, strict=True))


def test_a_small_image_is_stretched_to_one_tile() -> None:
    pixels = image(9, 30)
    tiles = image_tiles(pixels, TileTable(tile_px=PX, max_background=1.0))
    (tile,) = pixels_of(tiles)
    assert tiles.fit == "stretch"
    shown = Image.fromarray(np.ascontiguousarray(pixels[..., :3])).resize((PX, PX), Image.Resampling.BILINEAR)
    assert np.array_equal(tile, np.asarray(shown))


@pytest.mark.parametrize(("size", "inner"), [((8, 16), (8, 16)), ((4, 2), (16, 8)), ((300, 3), (16, 1))])
def test_padding_keeps_proportions_and_does_not_count(size: tuple[int, int], inner: tuple[int, int]) -> None:
    """Black images are not background, however much white is around them; white ones are, whatever is around."""
    table = TileTable(tile_px=PX, max_background=0.0, small_images="pad", large_images="resize")
    tiles = image_tiles(np.zeros((*size, 4), dtype=np.uint8), table)
    (tile,) = pixels_of(tiles)
    assert (tiles.fit, float(tiles.background[0, 0])) == ("pad", 0.0)
    dark = np.argwhere((tile == 0).all(2))
    assert tuple(np.ptp(dark, axis=0) + 1) == inner
    assert len(dark) == inner[0] * inner[1]
    assert (tile[(tile != 0).any(2)] == 255).all()
    black_around = table.model_copy(update={"pad_value": 0})
    white = image_tiles(np.full((*size, 4), 255, dtype=np.uint8), black_around)
    assert float(white.background[0, 0]) == 1.0
    assert not white.kept.any()


def test_a_large_image_is_one_tile_where_that_is_asked_for() -> None:
    table = TileTable(tile_px=PX, max_background=1.0, large_images="resize")
    tiles = image_tiles(image(64, 48), table)
    assert (tiles.fit, tiles.kept.shape, n_tiles_of(48, 64, table)) == ("stretch", (1, 1), 1)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), max_size=12))
def test_images_on_the_sheet_never_overlap(shapes: list[tuple[int, int]]) -> None:
    places = sheet(shapes)
    taken = [
        (left + x, top + y)
        for (left, top), (columns, rows) in zip(places, shapes, strict=True)
        for x in range(columns)
        for y in range(rows)
    ]
    assert len(set(taken)) == len(taken)
    assert all(left >= 0 and top >= 0 for left, top in places)
    width = max((left + columns for (left, _), (columns, _) in zip(places, shapes, strict=True)), default=0)
    area = sum(columns * rows for columns, rows in shapes)
    assert width <= max([area**0.5 + 1, *(columns for columns, _ in shapes)])
