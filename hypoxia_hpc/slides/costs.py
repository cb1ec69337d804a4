"""What a slide costs to tile, from its header alone: expected milliseconds of one core.

The rates tell long slides from short ones, so that shares take equally long. How long a slide takes on the machine at
hand is measured there (``runs/rates.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, Stopped
from hypoxia_hpc.records import TilePlan
from hypoxia_hpc.slides import decoders
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.tiff import TiffPage
from hypoxia_hpc.tiling.plan import plan_tiles

# Processor time of tiling slides of benchmarks/slides.py into a store, on an AMD EPYC. Decoding costs by the compressed
# byte: background compresses well, and much of it is never decoded. JPEG: 22 ms/MB at 40x, 31 at 20x, whether all is
# tissue or 60 % is background; JPEG 2000: 171 and 189 to 195. The rest of the work costs by the pixel.
MS_A_MB_JPEG = 28.0
MS_A_MB_JPEG2000 = 185.0
MS_A_MPX = 0.3
# Deflate and the like cost by the pixel, and so does OpenSlide, which composes every tile: 27 Mpx/s a core.
MS_A_MPX_LOSSLESS = 10.0
MS_A_MPX_OPENSLIDE = 36.0
# Where the header cannot be read: as JPEG, of which level 0 is three quarters of the file.
MS_A_MB_OF_FILE = 21.0
MEGA = 1_000_000
# Nearly all of it is waiting for a network drive.
COST_READERS = 32


def slide_cost(path: Path, table: TileTable, mpp: float | None = None) -> int:
    """Expected milliseconds of one core to tile this slide by the [tile] table, at least 1. ``mpp`` is the manifest's.

    A slide whose header cannot be read or planned costs by its bytes: it will be quarantined, or its mpp
    is still to come. A missing file costs 1.
    """
    try:
        with opened_slide(path) as opened:
            plan = plan_tiles(opened.pyramid, table, mpp)
            cost = _cost_of_plan(opened.find_page(plan.level), plan)
    except SlideError:
        cost = MS_A_MB_OF_FILE * _file_bytes(path) / MEGA
    return max(1, round(cost))


def slide_costs(
    slides: Sequence[tuple[Path, float | None]], table: TileTable, counted: Callable[[], None], stop: threading.Event
) -> list[int]:
    """The cost of every (path, manifest's mpp), in order, many headers at a time; ``counted`` is called for each.
    Raises Stopped."""

    def cost_of(slide: tuple[Path, float | None]) -> int:
        return 0 if stop.is_set() else slide_cost(slide[0], table, slide[1])

    costs = []
    with ThreadPoolExecutor(COST_READERS) as readers:
        for cost in readers.map(cost_of, slides):
            costs.append(cost)
            counted()
    if stop.is_set():
        raise Stopped("stopped on request while reading headers", remedy="run the same command again")
    return costs


def _cost_of_plan(page: TiffPage | str, plan: TilePlan) -> float:
    if isinstance(page, str):
        return MS_A_MPX_OPENSLIDE * plan.n_tiles * plan.side_level**2 / MEGA
    mpx, megabytes = page.width * page.height / MEGA, int(page.counts.sum()) / MEGA
    if page.compression == decoders.JPEG:
        return MS_A_MPX * mpx + MS_A_MB_JPEG * megabytes
    if page.compression in decoders.JPEG2000:
        return MS_A_MPX * mpx + MS_A_MB_JPEG2000 * megabytes
    return MS_A_MPX_LOSSLESS * mpx


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
