"""The kept tiles drawn on a slide's thumbnail."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Int64Array, UInt8Array

# Blue on the pink of H&E: every common kind of colour vision tells them apart, and nuclei stay visible below it.
FILL = (0, 190, 255)
OUTLINE = (0, 70, 140)
FILL_SHARE = 0.28
# Tiles narrower than this many thumbnail pixels would be all outline: then only their union is outlined.
LEAST_OUTLINED_SIDE = 6
JPEG_QUALITY = 88


def draw_kept_tiles(thumbnail: UInt8Array, size_l0: tuple[int, int], xy_l0: Int64Array, side_l0: float) -> bytes:
    """The thumbnail with its kept tiles marked (see ``mark_kept_tiles``) as JPEG bytes."""
    from PIL import Image

    encoded = io.BytesIO()
    image = Image.fromarray(mark_kept_tiles(thumbnail, size_l0, xy_l0, side_l0))
    image.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return encoded.getvalue()


def mark_kept_tiles(thumbnail: UInt8Array, size_l0: tuple[int, int], xy_l0: Int64Array, side_l0: float) -> UInt8Array:
    """A copy of the thumbnail with every kept tile filled (28 % blue) and outlined (1 pixel).

    ``thumbnail`` is uint8 (h, w, 3), RGB, and shows the whole of level 0, ``size_l0`` = (width, height) pixels;
    ``xy_l0`` is int64 (n, 2), top left corners in level 0 pixels; ``side_l0`` a tile's side in level 0 pixels. A tile
    covers the thumbnail's pixels from the rounded place of its left and top edge up to, not with, that of its right
    and bottom edge; neighbours share no pixel and leave none out. A tile is never thinner than one pixel.
    """
    boxes = _thumbnail_from_l0(thumbnail.shape, size_l0, xy_l0, side_l0)
    covered = np.zeros(thumbnail.shape[:2], dtype=bool)
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] = True
    tiles_are_large = side_l0 * thumbnail.shape[1] / size_l0[0] >= LEAST_OUTLINED_SIDE
    pixels = thumbnail.copy()
    pixels[covered] = np.rint(pixels[covered] * (1 - FILL_SHARE) + np.array(FILL) * FILL_SHARE).astype(np.uint8)
    pixels[_borders(covered.shape, boxes) if tiles_are_large else _rim(covered)] = OUTLINE
    return pixels


def _borders(shape: tuple[int, ...], boxes: Int64Array) -> NDArray[np.bool_]:
    """The outermost pixels of every box."""
    borders = np.zeros(shape, dtype=bool)
    for left, top, right, bottom in boxes:
        borders[top:bottom, [left, right - 1]] = True
        borders[[top, bottom - 1], left:right] = True
    return borders


def _thumbnail_from_l0(
    shape: tuple[int, ...], size_l0: tuple[int, int], xy_l0: Int64Array, side_l0: float
) -> Int64Array:
    """Boxes (left, top, right, bottom) in thumbnail pixels, int64 (n, 4), inside the thumbnail, at least 1 pixel."""
    size = np.array([shape[1], shape[0]])
    scale = size / np.array(size_l0)
    first = np.clip(np.floor(xy_l0 * scale + 0.5).astype(np.int64), 0, size - 1)
    end = np.clip(np.floor((xy_l0 + side_l0) * scale + 0.5).astype(np.int64), first + 1, size)
    return np.concatenate([first, end], axis=1)


def _rim(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The covered pixels with an uncovered one (or the border) above, below, left or right of them."""
    padded = np.pad(covered, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return covered & ~inside
