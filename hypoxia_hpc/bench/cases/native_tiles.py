"""Native tiles of a JPEG slide to colours, as the suite's own reader delivers them, on one core.

The bound decodes the same bytes from memory. microtome, which reads native tiles and nothing else, is a peer of this
case alone: it delivers no tiles of a plan. Colours are compared with Pillow's.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from hypoxia_hpc.bench.agreement import Difference, Output, difference
from hypoxia_hpc.bench.bounds import NativeTiles
from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.cases.readers import fastest_decoder
from hypoxia_hpc.bench.comparison import Answer, Candidate, compared
from hypoxia_hpc.bench.peers import MICROTOME, microtome_native_tiles
from hypoxia_hpc.bench.slides import REAL_SLIDE
from hypoxia_hpc.records import UInt8Array
from hypoxia_hpc.slides.sources import native_source
from hypoxia_hpc.slides.tiff import read_tiled_pages
from hypoxia_hpc.tiling.cutting import BlockGrid
from hypoxia_hpc.tiling.kernels.state import room_for_blocks

MOST_GRAY_LEVELS = 1


def decoded(path: Path) -> Iterator[UInt8Array]:
    """The native tiles of level 0, uint8 (h, w, 3) each, in one memory that is used again."""
    page = read_tiled_pages(path)[0]
    n, size = page.columns * page.rows, (page.tile_height, page.tile_width)
    grid = BlockGrid(0, 0, page.tile_width, page.tile_height, page.columns, page.rows)
    block = room_for_blocks((*size, 4))
    with path.open("rb") as file:
        source = native_source(file.fileno(), page, grid, np.ones(n, dtype=bool))
        for number in range(n):
            source.read(number, block)
            yield block[..., :3]


def by_pillow(path: Path) -> list[UInt8Array]:
    """The same by Pillow."""
    return [np.asarray(Image.open(io.BytesIO(data), formats=["JPEG"])) for data in NativeTiles(path).whole]


def apart(expected: list[UInt8Array], found: Sequence[UInt8Array]) -> Difference:
    """How native tiles differ; all of them are compared."""
    everyone = np.ones(len(expected), dtype=bool)
    require(len(found) == len(expected), f"{len(found)} native tiles are delivered, the file has {len(expected)}")
    return difference(Output(everyone, expected), Output(everyone, list(found)))


@contextmanager
def native_tiles(_: Place) -> Iterator[Prepared]:
    path = REAL_SLIDE
    expected = by_pillow(path)

    def check() -> str:
        found = apart(expected, [pixels.copy() for pixels in decoded(path)])
        require(found.largest <= MOST_GRAY_LEVELS, f"native tiles differ from Pillow's: {found}")
        return f"against Pillow: {found}"

    def microtomes() -> Answer:
        found = apart(expected, list(microtome_native_tiles(path)))
        return Answer(found.same_picture, str(found))

    work = partial(microtome_native_tiles, path)
    peers = compared([Candidate(MICROTOME.name, MICROTOME.missing, microtomes, work)])
    bounds = {"decoding alone": fastest_decoder(path)}
    yield Prepared(len(expected), lambda: deque(decoded(path), maxlen=0), bounds, check, *peers)


CASES = (
    Case(
        "native-tiles", "readers", "native tiles of the real JPEG slide, to colours", "native tiles",
        "decoding them from memory alone", native_tiles, is_steady=True,
    ),
)  # fmt: skip
