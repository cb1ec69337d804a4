"""What the header of a slide tells before any work: what it costs to tile in milliseconds of one core, what is odd.

The rates tell long slides from short ones, so that shares take equally long. How long a slide takes on the machine at
hand is measured there (``runs/rates.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, Stopped
from hypoxia_hpc.records import MOST_COST_MS, Slide, TilePlan
from hypoxia_hpc.slides import decoders
from hypoxia_hpc.slides.companions import companions
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.tiff import TiffPage
from hypoxia_hpc.tiling.plan import plan_tiles
from hypoxia_hpc.tiling.remarks import remarks

# Processor time of tiling slides of bench/slides.py into a store, on an AMD EPYC. Decoding costs by the compressed
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
HEADER_READERS = 32


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a slide tells before any work: ``cost`` is the expected milliseconds of one core to tile it, 1
    to ``MOST_COST_MS``; ``remarks`` the kinds of what is odd about it; ``refused`` the reason why it cannot be read or
    planned, empty where it can."""

    cost: int
    remarks: tuple[str, ...] = ()
    refused: str = ""


def read_header(path: Path, table: TileTable, mpp: float | None = None) -> Header:
    """The header of one slide by the [tile] table. ``mpp`` is the manifest's.

    A slide whose header cannot be read or planned costs by its bytes: it will be quarantined, or its mpp
    is still to come. A missing file costs 1.
    """
    try:
        with opened_slide(path) as opened:
            pyramid = opened.pyramid
            plan = plan_tiles(pyramid, table, mpp)
            cost = _cost_of_plan(opened.find_page(plan.level), plan)
            odd = remarks(plan.mpp, plan.mpp_source, pyramid.objective_power, pyramid.images, pyramid.other_mpp)
    except SlideError as error:
        return Header(cost_of_bytes(_file_bytes(path)), refused=error.reason)
    return Header(_whole(cost), odd)


def cost_of_bytes(nbytes: float) -> int:
    """The cost of a slide of which no more than the size of its file is known."""
    return _whole(MS_A_MB_OF_FILE * nbytes / MEGA)


def bytes_of_cost(cost: float) -> float:
    """The size of the file of a slide of that cost, were it JPEG."""
    return cost * MEGA / MS_A_MB_OF_FILE


def bytes_of_files(slide: Slide) -> int:
    """Of all files of a slide, or all images of a patient; 0 where one of them cannot be found or looked at."""
    try:
        files = [slide.path / name for name in slide.images] or companions(slide.path) or [slide.path]
        return sum(file.stat().st_size for file in files)
    except (OSError, SlideError):
        return 0


def _whole(cost: float) -> int:
    """As slides.csv may have it: a header that is damaged can claim petabytes."""
    return min(MOST_COST_MS, max(1, round(cost)))


def read_headers(
    slides: Sequence[tuple[Path, float | None]], table: TileTable, counted: Callable[[], None], stop: threading.Event
) -> list[Header]:
    """The header of every (path, manifest's mpp), in order, many at a time; ``counted`` is called for each.
    Raises Stopped."""

    def header_of(slide: tuple[Path, float | None]) -> Header:
        return Header(1) if stop.is_set() else read_header(slide[0], table, slide[1])

    headers = []
    with ThreadPoolExecutor(HEADER_READERS) as readers:
        for header in readers.map(header_of, slides):
            headers.append(header)
            counted()
    if stop.is_set():
        raise Stopped("stopped on request while reading headers", remedy="run the same command again")
    return headers


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
