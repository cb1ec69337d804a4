"""The quality of a slide's file: its coarse level, and squares of its tissue at a finer one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Float64Array, Int64Array, Pyramid, Slide, TilePlan, UInt8Array
from hypoxia_hpc.slides.masks import coarse_level, read_coarse, require_coarse
from hypoxia_hpc.slides.opening import OpenedSlide, opened_slide
from hypoxia_hpc.tiling.plan import FINEST_SCALE, plan_tiles
from hypoxia_hpc.tiling.quality.blur import BLUR_UM_PER_PX, sharpness
from hypoxia_hpc.tiling.quality.marks import FOLD, Marked, find_marks
from hypoxia_hpc.tiling.quality.measures import Quality, quality_of
from hypoxia_hpc.tiling.tissue import mask_fraction
from hypoxia_hpc.tiling.windows import plan_window

# Squares of tissue that are looked at for blur, evenly out of all of them, and their side in pixels of 1 µm.
MOST_SQUARES, SQUARE_PX = 64, 256
LEAST_TISSUE = 0.5
COARSE_UM = 8.0
# Of the image that is looked at: 256 mm² at 8 µm/px, 1,024 at 16. It takes some 300 MB.
MOST_PX = 4_000_000


@dataclass(frozen=True, eq=False)
class SlideQuality:
    """``image`` uint8 (h, w, 3): the scanned area, pixels of ``um_per_px``; ``marked``: what lies where on it. Squares
    of tissue: top left ``xy_px`` float64 (n, 2) and ``side_px`` in pixels of the image, with their ``sharpness``."""

    quality: Quality
    image: UInt8Array
    um_per_px: float
    marked: Marked
    xy_px: Float64Array
    side_px: float
    sharpness: Float64Array


def slide_quality(slide: Slide, default_mpp: float | None) -> SlideQuality:
    """Measure a slide, at about 8 µm/px and, for blur, at 1 µm/px.

    Raises:
        SlideError: it does not open, has no resolution, no coarse level, or is not readable.
    """
    squares = TileTable(tile_px=round(SQUARE_PX * BLUR_UM_PER_PX / COARSE_UM), mpp=COARSE_UM, default_mpp=default_mpp)
    with opened_slide(slide.path) as opened:
        plan = plan_tiles(opened.pyramid, squares, slide.mpp)
        coarse = require_coarse(coarse_level(opened.pyramid, plan, MOST_PX, stored=False), opened.pyramid)
        corner, image = _scanned(opened.pyramid, read_coarse(opened, coarse), coarse.l0_per_px)
        um_per_px = plan.mpp * coarse.l0_per_px
        marked = find_marks(image, um_per_px)
        xy_l0 = _chosen(plan, marked, coarse.l0_per_px, corner)
        found = [_sharpness(opened, plan, xy) for xy in xy_l0.tolist()]
    known = np.array([one is not None for one in found], dtype=bool)
    sharp = np.array([one for one in found if one is not None], dtype=np.float64)
    xy_px = xy_l0[known] / coarse.l0_per_px - corner
    quality = quality_of(marked, um_per_px, sharp.tolist())
    return SlideQuality(quality, image, um_per_px, marked, xy_px, plan.side_l0 / coarse.l0_per_px, sharp)


def _scanned(pyramid: Pyramid, image: UInt8Array, l0_per_px: float) -> tuple[Int64Array, UInt8Array]:
    """The top left pixel of the scanned area, int64 (2,), and the image from there on."""
    x, y, width, height = (round(side / l0_per_px) for side in pyramid.bounds_l0 or (0, 0, *pyramid.size_l0))
    left, top = max(0, x), max(0, y)
    cut = np.ascontiguousarray(image[top : y + height, left : x + width])
    if not cut.size:
        raise SlideError(
            "unreadable",
            "the scanned area is smaller than a pixel of its coarse level",
            remedy="fetch the file again, or leave it out",
        )
    return np.array([left, top], dtype=np.int64), cut


def _chosen(plan: TilePlan, marked: Marked, l0_per_px: float, corner: Int64Array) -> Int64Array:
    """Squares that are tissue by half and have nothing foreign, at most MOST_SQUARES: int64 (n, 2), level 0 pixels."""
    if not plan.n_tiles:
        return plan.xy_l0
    xy_l0 = plan.xy_l0 - np.rint(corner * l0_per_px).astype(np.int64)
    tissue, foreign = (
        mask_fraction(mask, l0_per_px, xy_l0, plan.side_l0) for mask in (marked.tissue, marked.labels > FOLD)
    )
    # The edge of a pen or of a border is all contrast and no detail.
    found = np.flatnonzero((tissue >= LEAST_TISSUE) & (foreign == 0))
    places = np.linspace(0, len(found) - 1, min(len(found), MOST_SQUARES)).round().astype(np.int64)
    return plan.xy_l0[found[places]]


def _sharpness(opened: OpenedSlide, plan: TilePlan, xy_l0: list[int]) -> float | None:
    """None where there is too little contrast, or the slide is coarser than 1 µm/px."""
    scale = BLUR_UM_PER_PX / plan.mpp
    if scale < FINEST_SCALE:
        return None
    window = plan_window(opened.pyramid, (xy_l0[0], xy_l0[1]), (SQUARE_PX, SQUARE_PX), scale)
    return sharpness(opened.read_window(window))
