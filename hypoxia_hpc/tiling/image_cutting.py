"""The tiles of images that lie in files of their own: which of them are background, and where each stands. Pure but for
the kernels.

A patient's images lie side by side on one plane, the sheet, so that each tile has a place of its own. It is measured in
pixels of tiles: of an image that is cut these are its own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Int64Array, Paint, UInt8Array
from hypoxia_hpc.tiling.kernels.assembly import unpack_tile
from hypoxia_hpc.tiling.kernels.packed import count_background, most_background_of

Fit = Literal["cut", "stretch", "pad"]
WHOLE = (slice(None), slice(None))  # rows and columns of a tile


@dataclass(frozen=True, slots=True)
class ImageTiles:
    """The tiles of one image, row by row: ``columns`` by ``rows`` of them. ``packed`` uint32 (rows · px, at least
    columns · px), C-contiguous; ``background`` float32 (rows, columns), the share 0..1 of an image's own pixels;
    ``kept`` bool (rows, columns); ``own`` are the rows and columns of a tile that are not filled up."""

    fit: Fit
    packed: NDArray[np.uint32]
    background: NDArray[np.float32]
    kept: NDArray[np.bool_]
    own: tuple[slice, slice] = WHOLE

    @property
    def rows(self) -> int:
        return len(self.kept)

    @property
    def columns(self) -> int:
        return self.kept.size // len(self.kept)

    @property
    def px(self) -> int:
        """The side of a tile in pixels."""
        return len(self.packed) // self.rows

    def put(self, row: int, column: int, out: UInt8Array, paint: Paint | None = None) -> None:
        """Write the pixels of one tile to ``out``, uint8 (px, px, 3), C-contiguous; those of the image in the colours
        that ``paint`` gives them."""
        px = len(out)
        unpack_tile(self.packed[row * px : (row + 1) * px], column * px, out.reshape(px, 3 * px))
        if paint is not None:
            own = np.ascontiguousarray(out[self.own])
            paint(own)
            out[self.own] = own


def fit_of(width: int, height: int, table: TileTable) -> Fit:
    """How an image of these sides in pixels becomes tiles."""
    is_cut = table.large_images == "cut" and min(width, height) >= table.tile_px
    return "cut" if is_cut else table.small_images


def n_tiles_of(width: int, height: int, table: TileTable) -> int:
    """Tiles that an image of these sides becomes, before background is dropped."""
    return (width // table.tile_px) * (height // table.tile_px) if fit_of(width, height, table) == "cut" else 1


def image_tiles(pixels: UInt8Array, table: TileTable) -> ImageTiles:
    """Cut an image, uint8 (height, width, 4), into whole tiles, or make one of it, and judge each by the background
    rule. What is left of a cut image to the right and below is no tile; what "pad" fills up is not judged."""
    height, width = pixels.shape[:2]
    fit, px = fit_of(width, height, table), table.tile_px
    if fit == "cut":
        shape = (height // px, width // px)
        cut = np.ascontiguousarray(pixels).view("<u4")[: shape[0] * px, :, 0]
        bands = [cut[row * px : (row + 1) * px] for row in range(shape[0])]
        light = [[count_background(band, column * px, px, table.white) for column in range(shape[1])] for band in bands]
        return _judged(fit, cut, np.array(light, dtype=np.int64).reshape(shape), px * px, table)
    inner = _resized(pixels, _inner_size(width, height, px) if fit == "pad" else (px, px))
    own = inner.view("<u4")[..., 0]
    counted = np.array([[count_background(own, 0, own.shape[1], table.white)]], dtype=np.int64)
    padded = _padded(inner, px, table.pad_value).view("<u4")[..., 0]
    return _judged(fit, padded, counted, own.size, table, _inner_place(own.shape, px))


def _judged(
    fit: Fit,
    packed: NDArray[np.uint32],
    light: Int64Array,
    n_px: int,
    table: TileTable,
    own: tuple[slice, slice] = WHOLE,
) -> ImageTiles:
    kept = light <= most_background_of(n_px, table.max_background)
    return ImageTiles(fit, packed, (light / n_px).astype(np.float32), kept, own)


def _inner_place(shape: tuple[int, ...], px: int) -> tuple[slice, slice]:
    """The rows and columns in the middle of a tile."""
    top, left = (px - shape[0]) // 2, (px - shape[1]) // 2
    return slice(top, top + shape[0]), slice(left, left + shape[1])


def _inner_size(width: int, height: int, px: int) -> tuple[int, int]:
    """Sides with the proportions of the image, the longer one ``px``, halves rounded up, one pixel at least."""
    longer = max(width, height)
    return max(1, (2 * width * px + longer) // (2 * longer)), max(1, (2 * height * px + longer) // (2 * longer))


def _resized(pixels: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """To (width, height), by linear interpolation over all pixels that a new one covers, in whole numbers."""
    if pixels.shape[1::-1] == size:
        return np.ascontiguousarray(pixels)
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3])).resize(size, Image.Resampling.BILINEAR)
    raw = bytearray(image.tobytes("raw", "RGBX"))
    return np.frombuffer(raw, dtype=np.uint8).reshape(size[1], size[0], 4)


def _padded(inner: UInt8Array, px: int, value: int) -> UInt8Array:
    if inner.shape[:2] == (px, px):
        return inner
    whole = np.full((px, px, 4), value, dtype=np.uint8)
    whole[_inner_place(inner.shape[:2], px)] = inner
    return whole


def sheet(shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where images of (columns, rows) tiles stand on the sheet: (column, row) of the first tile of each.

    They are laid in their order from left to right, and below that again, on a sheet that is as wide as the widest of
    them and about as wide as high.
    """
    area = sum(columns * rows for columns, rows in shapes)
    width = max([math.isqrt(max(0, area - 1)) + 1, *(columns for columns, _ in shapes)])
    left = top = height = 0
    places = []
    for columns, rows in shapes:
        if left + columns > width:
            left, top, height = 0, top + height, 0
        places.append((left, top))
        left, height = left + columns, max(height, rows)
    return places
