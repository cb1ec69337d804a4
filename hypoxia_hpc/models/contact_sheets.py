"""A slide, or the images of a patient, at a glance: kept tiles marked, or at their places on the sheet, made small."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import Slide, Tiles, UInt8Array
from hypoxia_hpc.reports.thumbnails import draw_kept_tiles
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.stores.attributes import tile_attributes
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

# Of a patient with more, the first are shown; this number is read at once.
MOST_TILES, AT_ONCE = 1024, 64
WHITE = 255


def contact_sheet(tiles: Tiles, size: tuple[int, int], largest_px: int) -> UInt8Array:
    """uint8 (height, width, 3), its longer side at most ``largest_px`` as far as each tile has one pixel; white where
    no tile is kept. ``size`` is the sheet's (width, height) in pixels of tiles. Raises SlideError for a damaged store.
    """
    from PIL import Image

    px = tiles.pixels.shape[1]
    columns, rows = size[0] // px, size[1] // px
    side = max(1, min(px, largest_px // max(columns, rows)))
    sheet = np.full((rows * side, columns * side, 3), WHITE, dtype=np.uint8)
    n = min(MOST_TILES, len(tiles.xy))
    for start in range(0, n, AT_ONCE):
        stop = min(n, start + AT_ONCE)
        for (x, y), tile in zip(tiles.xy[start:stop] // px * side, read_pixels(tiles, start, stop), strict=True):
            small = Image.fromarray(tile).resize((side, side), Image.Resampling.BOX)
            sheet[y : y + side, x : x + side] = np.asarray(small)
    return sheet


def kept_tiles_jpeg(run: RunDir, slide: Slide, largest_px: int) -> bytes | None:
    """The slide, or all images of a patient, with its kept tiles marked: JPEG, its longer side at most ``largest_px``.
    None where its store does not say where tiles lie. Raises SlideError where slide or store cannot be read."""
    tiles = open_tiles(run.tiles(slide.slide_id))
    made = tile_attributes(tiles.attributes)
    size_l0, side_l0 = made.slide.size_l0, made.plan.side_l0
    if slide.images and size_l0 is not None:
        pixels = contact_sheet(tiles, size_l0, largest_px)
    else:
        with opened_slide(slide.path) as opened:
            pixels = opened.read_thumbnail(largest_px)
    return None if size_l0 is None or side_l0 is None else draw_kept_tiles(pixels, size_l0, tiles.xy, side_l0)
