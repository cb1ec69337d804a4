"""A slide seen as a whole on a coarse level, with the counts of its tiles there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide, TilePlan, UInt8Array
from hypoxia_hpc.slides.masks import MOST_LIGHT_PX, MOST_MASK_PX, coarse_level, read_coarse, require_coarse
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.planning import plan_slide
from hypoxia_hpc.tiling.redeciding import CoarseCounts, grid_borders, light_counts
from hypoxia_hpc.tiling.tissue import Method, mask_fraction, tissue_mask

# The mask that a slide is shown with where [tile] asks for none.
USUAL_MASK: Method = "otsu"
# Of the image in which light pixels are counted. On CMU-1-Small-Region 2 % of tiles (299 px, white 220) are decided
# otherwise than by tiling at 4 µm/px, 6 % at 8, for a pixel of nuclei and glass is lighter than the nuclei.
COUNTED_UM_PER_PX = 4.0


@dataclass(frozen=True, slots=True)
class CoarseView:
    """A slide of this ``plan``, an image of the whole of it, uint8 (h, w, 3), with pixels of ``um_per_px``, and the
    counts of its tiles in that image."""

    plan: TilePlan
    image: UInt8Array
    um_per_px: float
    counts: CoarseCounts


def mask_method(table: TileTable) -> Method:
    """The mask of tissue that [tile] asks for, or could."""
    return USUAL_MASK if table.tissue == "none" else table.tissue


def coarse_view(slide: Slide, table: TileTable, whites: Sequence[int]) -> CoarseView:
    """Read the coarse level that a mask of tissue is made of and a finer one, and count in each tile of the plan.

    ``whites``: the gray levels to count at, rising.

    Raises:
        SlideError: the slide cannot be planned, has no coarse level, or it is not readable.
    """
    with opened_slide(slide.path) as opened:
        planned = plan_slide(opened, slide, table)
        plan, pyramid = planned.plan, opened.pyramid
        of_mask = require_coarse(coarse_level(pyramid, plan, MOST_MASK_PX, stored=False), pyramid)
        finer = coarse_level(pyramid, plan, MOST_LIGHT_PX, stored=False, um_per_px=COUNTED_UM_PER_PX) or of_mask
        image = read_coarse(opened, finer)
        coarser = image if finer == of_mask else read_coarse(opened, of_mask)
    size_px = image.shape[1], image.shape[0]
    columns_px, rows_px = grid_borders(plan, finer.l0_per_px, size_px)
    selected = np.flatnonzero(planned.selected)
    light_px = light_counts(image, columns_px, rows_px, whites)[selected]
    mask = tissue_mask(coarser, mask_method(table), plan.mpp * of_mask.l0_per_px)
    tissue = mask_fraction(mask, of_mask.l0_per_px, plan.xy_l0[selected], plan.side_l0)
    counts = CoarseCounts(size_px, columns_px, rows_px, selected, tuple(whites), light_px, tissue)
    return CoarseView(plan, image, plan.mpp * finer.l0_per_px, counts)
