"""The kept tiles drawn on a slide's thumbnail."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Int64Array, UInt8Array

# Blue on the pink of H&E: every common kind of colour vision tells them apart.
OUTLINE = (0, 90, 190)
# What is left out is mixed with white by this much: paler than what is kept, and still to be judged.
FADED_SHARE = 0.55
# One outline pixel for this many pixels of the longer side, so that it shows in a small picture too.
PIXELS_PER_OUTLINE = 340
JPEG_QUALITY = 85


def draw_kept_tiles(thumbnail: UInt8Array, size_l0: tuple[int, int], xy_l0: Int64Array, side_l0: float) -> bytes:
    """The thumbnail with its kept tiles marked (see ``mark_kept_tiles``) as JPEG bytes."""
    from PIL import Image

    encoded = io.BytesIO()
    image = Image.fromarray(mark_kept_tiles(thumbnail, size_l0, xy_l0, side_l0))
    image.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return encoded.getvalue()


def mark_kept_tiles(thumbnail: UInt8Array, size_l0: tuple[int, int], xy_l0: Int64Array, side_l0: float) -> UInt8Array:
    """A copy of the thumbnail on which everything but the kept tiles is mixed with white (55 %), with a blue line round
    the kept ones, just outside of them: no pixel of a kept tile is changed.

    ``thumbnail`` is uint8 (h, w, 3), RGB, and shows the whole of level 0, ``size_l0`` = (width, height) pixels;
    ``xy_l0`` is int64 (n, 2), top left corners in level 0 pixels; ``side_l0`` a tile's side in level 0 pixels. A tile
    covers the thumbnail's pixels from the rounded place of its left and top edge up to, not with, that of its right
    and bottom edge; neighbours share no pixel and leave none out. A tile is never thinner than one pixel.
    """
    covered = np.zeros(thumbnail.shape[:2], dtype=bool)
    for left, top, right, bottom in _thumbnail_from_l0(thumbnail.shape, size_l0, xy_l0, side_l0):
        covered[top:bottom, left:right] = True
    pixels = thumbnail.copy()
    faded = pixels[~covered] * (1 - FADED_SHARE) + 255 * FADED_SHARE
    pixels[~covered] = np.rint(faded).astype(np.uint8)
    pixels[_line_round(covered, max(1, max(covered.shape) // PIXELS_PER_OUTLINE))] = OUTLINE
    return pixels


def _thumbnail_from_l0(
    shape: tuple[int, ...], size_l0: tuple[int, int], xy_l0: Int64Array, side_l0: float
) -> Int64Array:
    """Boxes (left, top, right, bottom) in thumbnail pixels, int64 (n, 4), inside the thumbnail, at least 1 pixel."""
    size = np.array([shape[1], shape[0]])
    scale = size / np.array(size_l0)
    first = np.clip(np.floor(xy_l0 * scale + 0.5).astype(np.int64), 0, size - 1)
    end = np.clip(np.floor((xy_l0 + side_l0) * scale + 0.5).astype(np.int64), first + 1, size)
    return np.concatenate([first, end], axis=1)


def _line_round(covered: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels that are not covered, up to ``width`` away from one that is."""
    from scipy.ndimage import binary_dilation

    grown: NDArray[np.bool_] = binary_dilation(covered, np.ones((3, 3), dtype=bool), iterations=width)
    return grown & ~covered
