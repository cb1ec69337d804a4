"""A rectangle of one level, wherever it lies: native tiles that it touches are decoded, and no others."""

from __future__ import annotations

import numpy as np

from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides.sources import native_source
from hypoxia_hpc.slides.tiff import TiffPage
from hypoxia_hpc.tiling.cutting import BlockGrid
from hypoxia_hpc.tiling.kernels.packed import average_rectangle
from hypoxia_hpc.tiling.kernels.state import room_for_blocks
from hypoxia_hpc.tiling.windows import Window


def read_native_window(descriptor: int, page: TiffPage, left: int, top: int, out: UInt8Array) -> None:
    """Decode what lies from (left, top) on into ``out``, uint8 (h, w, 4), which lies within the page.

    Raises UnreadableBlockError, SlideError.
    """
    width, height = page.tile_width, page.tile_height
    rows = range(top // height, (top + out.shape[0] - 1) // height + 1)
    columns = range(left // width, (left + out.shape[1] - 1) // width + 1)
    selected = np.zeros((page.rows, page.columns), dtype=bool)
    selected[rows.start : rows.stop, columns.start : columns.stop] = True
    grid = BlockGrid(0, 0, width, height, page.columns, page.rows)
    source = native_source(descriptor, page, grid, selected.ravel())
    block = room_for_blocks((height, width, 4))
    for row in rows:
        for column in columns:
            source.read(row * page.columns + column, block)
            _paste(block, column * width - left, row * height - top, out)


def _paste(block: UInt8Array, x: int, y: int, out: UInt8Array) -> None:
    """Put as much of a block as lies within ``out`` at (x, y), which may be negative."""
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(x + block.shape[1], out.shape[1]), min(y + block.shape[0], out.shape[0])
    out[y0:y1, x0:x1] = block[y0 - y : y1 - y, x0 - x : x1 - x]


def averaged_window(pixels: UInt8Array, window: Window) -> UInt8Array:
    """The pixels of a window, uint8 (h, w, 4), as uint8 RGB of its ``size_px``: as they are, or the exact mean over
    each pixel's area, halves rounded up."""
    width, height = window.size_px
    if pixels.shape[:2] != (height, width):
        averaged = np.empty((height, width), dtype="<u4")
        average_rectangle(pixels.view("<u4")[..., 0], 0, window.width, averaged)
        pixels = averaged.view(np.uint8).reshape(height, width, 4)
    return np.ascontiguousarray(pixels[..., :3])
