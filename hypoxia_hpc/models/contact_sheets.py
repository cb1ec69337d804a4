"""The images of a patient at a glance: the kept tiles of a store at their places on the sheet, each made small."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import Tiles, UInt8Array
from hypoxia_hpc.stores.tiles import read_pixels

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
