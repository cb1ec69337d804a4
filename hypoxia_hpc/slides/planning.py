"""Everything about a slide's tiles that is known before its pixels are decoded: ``tile`` cuts by it, and ``doctor`` and
``estimate`` say by it what ``tile`` will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Pyramid, Slide, TilePlan
from hypoxia_hpc.slides.masks import MOST_MASK_PX, BoolArray, all_masked, coarse_level, scanned_px, without_coarse_level
from hypoxia_hpc.slides.opening import OpenedSlide
from hypoxia_hpc.slides.sources import Reading
from hypoxia_hpc.tiling.plan import plan_tiles
from hypoxia_hpc.tiling.region_paths import regions_path


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """The plan of a slide's tiles and how they are read. ``selected`` bool (n,): tiles that regions leave, one or more.
    ``classes``: annotations of each class in the file of regions; None where all of the slide is meant."""

    plan: TilePlan
    reading: Reading
    selected: BoolArray
    classes: Mapping[str, int] | None

    @property
    def n_selected(self) -> int:
        """Tiles that are looked at."""
        return int(np.count_nonzero(self.selected))


def plan_slide(opened: OpenedSlide, slide: Slide, table: TileTable) -> SlidePlan:
    """Plan a slide by [tile]: its tiles, its regions, and whether it has the coarse level that a tissue mask wants.

    Raises:
        SlideError: what ``plan_tiles`` raises; ``no-tissue`` where no tile fits or none lies in the regions, unless it
            cannot be read at all (``unreadable``); ``native-tile-too-large``, ``no-regions``, ``bad-regions``,
            ``no-coarse-level``.
    """
    plan = plan_tiles(opened.pyramid, table, slide.mpp)
    if plan.n_tiles == 0:
        opened.check_readable()
        raise _too_small(opened.pyramid, plan)
    reading = opened.reading(plan, table.reduce)
    selected, classes = _in_regions(opened.pyramid, plan, table, slide.slide_id)
    if not selected.any():
        raise all_masked(plan, table)
    if table.tissue != "none" and coarse_level(opened.pyramid, plan, MOST_MASK_PX, stored=False) is None:
        raise without_coarse_level(opened.pyramid)
    return SlidePlan(plan, reading, selected, classes)


def _too_small(pyramid: Pyramid, plan: TilePlan) -> SlideError:
    width, height = pyramid.level_sizes[plan.level]
    return SlideError(
        "no-tissue",
        f"no whole tile fits: level {plan.level} has {width} x {height} px, a tile needs {plan.side_level}",
        remedy="leave the slide out, or lower [tile] tile_px or mpp",
    )


def _in_regions(
    pyramid: Pyramid, plan: TilePlan, table: TileTable, slide_id: str
) -> tuple[BoolArray, Mapping[str, int] | None]:
    """Which tiles the regions leave, bool (n,), and the classes of the annotations. QuPath counts from the corner of
    the scanned area where a slide has bounds."""
    path = regions_path(table, slide_id)
    if path is None:
        return np.ones(plan.n_tiles, dtype=bool), None
    from hypoxia_hpc.tiling.regions import read_regions, region_fraction, require_on_slide  # shapely, for these alone

    regions = read_regions(path, table.regions_rule, table.region_classes)
    require_on_slide(path, regions, *scanned_px(pyramid))
    corner = np.array(pyramid.bounds_l0[:2] if pyramid.bounds_l0 else (0, 0), dtype=np.int64)
    inside = region_fraction(regions, plan.xy_l0 - corner, plan.side_l0)
    share = inside if table.regions_rule == "include" else 1 - inside
    return share >= np.float32(table.min_region), regions.classes
