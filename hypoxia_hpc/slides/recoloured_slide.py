"""A whole slide in other colours as a pyramidal TIFF of JPEG tiles, read and written a few rows of tiles at a time.

In memory are four rows of tiles, the compressed tiles of the level at a quarter of the size, and the pixels of that at
a sixteenth.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Paint, Slide, UInt8Array
from hypoxia_hpc.slides.opening import OpenedSlide
from hypoxia_hpc.slides.planning import SlidePlan, plan_slide
from hypoxia_hpc.stores.commit import machine_errors
from hypoxia_hpc.synthetic.svs import (
    NATIVE_PX,
    YCBCR_JPEG,
    Tags,
    jpeg_tiles,
    shrink,
    tiled_layout,
    write_blocks,
    write_header,
    write_page,
)
from hypoxia_hpc.tiling.cutting import cut_tiles
from hypoxia_hpc.tiling.kernels.state import CutRule

STEP = 4  # from one level to the next
QUALITY = 90
# Offsets have 32 bits; what is left above is room for the lower levels.
MOST_BYTES = 2**32 - 2**28
REDUCED: Tags = {254: ("I", (1,))}
DESCRIPTION = "stain normalised by hypoxia_hpc"
UM_A_CM = 10_000


def write_recoloured(
    path: Path, opened: OpenedSlide, slide: Slide, mpp: float, paint: Paint, progress: Progress, stop: threading.Event
) -> tuple[int, int]:
    """Write the whole tiles of a slide, at ``mpp`` µm per pixel, changed by ``paint``; what does not decode is white.
    Returns (width, height) in pixels. Appears whole or not at all.

    Raises:
        SlideError: as `plan_slide`, and what sources raise.
        InputError: more than 4 GB.
        MachineError, Stopped.
    """
    table = TileTable(tile_px=NATIVE_PX, mpp=mpp)
    planned = plan_slide(opened, slide, table)
    partial = path.with_name(f".tmp-{path.name}")
    with machine_errors(path.parent):
        try:
            with partial.open("wb") as file:
                _write_levels(file, _bands(opened, planned, paint, progress, stop), planned)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return planned.plan.columns * NATIVE_PX, planned.plan.rows * NATIVE_PX


def _write_levels(file: BinaryIO, bands: Iterator[UInt8Array], planned: SlidePlan) -> None:
    plan = planned.plan
    quarter: list[bytes] = []
    sixteenth: list[UInt8Array] = []

    def blocks() -> Iterator[bytes]:
        for band in bands:
            yield from jpeg_tiles(band, QUALITY)
            _require_room(file)
            smaller = shrink(band, STEP)
            quarter.extend(jpeg_tiles(smaller, QUALITY))
            sixteenth.append(shrink(smaller, STEP))

    link = write_header(file)
    layout = tiled_layout(*write_blocks(file, blocks()))
    least = jpeg_tiles(np.concatenate(sixteenth), QUALITY)
    lower = (tiled_layout(*write_blocks(file, tiles)) | REDUCED for tiles in (iter(quarter), least))
    for level, tags in enumerate((layout, *lower)):
        shrunk = STEP**level
        size = plan.columns * NATIVE_PX // shrunk, plan.rows * NATIVE_PX // shrunk
        resolution = _resolution(plan.mpp * plan.side_l0 / NATIVE_PX * shrunk)
        link = write_page(file, link, size, DESCRIPTION, tags | YCBCR_JPEG | resolution)


def _require_room(file: BinaryIO) -> None:
    if file.tell() > MOST_BYTES:
        raise InputError("the slide makes a TIFF of more than 4 GB", remedy="name a coarser --mpp")


def _resolution(mpp: float) -> Tags:
    """Pixels a centimetre."""
    found = round(1000 * UM_A_CM / mpp), 1000
    return {282: ("r", found), 283: ("r", found), 296: ("H", (3,))}


def _bands(
    opened: OpenedSlide, planned: SlidePlan, paint: Paint, progress: Progress, stop: threading.Event
) -> Iterator[UInt8Array]:
    """Pixels of four rows of tiles at a time, of the last ones fewer: uint8 (rows * NATIVE_PX, width, 3)."""
    rows, columns = planned.plan.rows, planned.plan.columns
    progress.begin("normalise", rows, rows, "row")
    try:
        for first in range(0, rows, STEP):
            if stop.is_set():
                raise Stopped("stopped on request, nothing is written", remedy="run the same command again")
            n = min(STEP, rows - first)
            chosen = np.zeros((rows, columns), dtype=bool)
            chosen[first : first + n] = True
            yield _pixels(opened, planned, chosen, n, paint)
            for _ in range(n):
                progress.item(1)
    finally:
        progress.end()


def _pixels(opened: OpenedSlide, planned: SlidePlan, chosen: np.ndarray, n: int, paint: Paint) -> UInt8Array:
    """Of the ``n`` rows of tiles that are chosen, bool (rows, columns)."""
    columns = planned.plan.columns
    tiles = np.full((n * columns, NATIVE_PX, NATIVE_PX, 3), 255, dtype=np.uint8)
    read: list[UInt8Array] = []

    def new_tile() -> UInt8Array:
        read.append(np.empty((NATIVE_PX, NATIVE_PX, 3), dtype=np.uint8))
        return read[-1]

    [source] = opened.sources(planned.plan, planned.reading, chosen.ravel())
    rule = CutRule(255, NATIVE_PX**2, screen=False)
    cut = cut_tiles([source], planned.reading.tiles, rule, chosen.ravel(), new_tile, paint=paint)
    tiles[cut.kept[chosen.ravel()]] = np.reshape(read, (-1, *tiles.shape[1:]))
    side_by_side = tiles.reshape(n, columns, NATIVE_PX, NATIVE_PX, 3).swapaxes(1, 2)
    return side_by_side.reshape(n * NATIVE_PX, columns * NATIVE_PX, 3)
