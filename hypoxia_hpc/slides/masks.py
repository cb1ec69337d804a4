"""Which tiles of a plan are worth decoding: decided from a coarse level of the slide."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, some
from hypoxia_hpc.records import Json, Pyramid, TilePlan, UInt8Array
from hypoxia_hpc.slides.opening import OpenedSlide
from hypoxia_hpc.tiling.kernels.packed import light_shares

BoolArray = NDArray[np.bool_]

# Fine enough to see a tile's tissue (150 µm, 19 px), coarse enough to cost little.
COARSE_UM_PER_PX = 8
# A coarse level is read whole. A mask of 10 Mpx takes some 400 MB while it is made; finding the light pixels of an
# image takes no memory beyond the image.
MOST_MASK_PX = 10_000_000
MOST_LIGHT_PX = 24_000_000
# The least side of a tile, in pixels of the coarse level that decides about it.
LEAST_TILE_PX = 6
# screen = "fast": a tile is taken for background where the share of its coarse pixels that are as light as ``white`` +
# FAST_MARGIN gray levels is above max_background by FAST_SHARE. benchmarks/tiling.py measures how often that is wrong.
FAST_MARGIN = 6
FAST_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class CoarseLevel:
    """A level that decides about tiles: read whole, and averaged by ``factor`` (a power of two up to 32) while reading.
    ``l0_per_px`` is the side of one of its pixels in level 0."""

    level: int
    factor: int
    l0_per_px: float


@dataclass(frozen=True, slots=True)
class Masks:
    """``selected`` bool (n,): tiles that masks and regions leave. ``screened_background`` bool (n,): tiles that
    ``screen = "fast"`` takes for background. ``record``: what was done, for the store."""

    selected: BoolArray
    screened_background: BoolArray
    record: Json


def coarse_level(
    pyramid: Pyramid, plan: TilePlan, most_px: int, *, stored: bool, um_per_px: float = COARSE_UM_PER_PX
) -> CoarseLevel | None:
    """The level that shows the whole slide at about ``um_per_px``, in at most ``most_px`` pixels and with tiles of
    at least LEAST_TILE_PX; None where there is none.

    ``stored``: only levels as they are stored and at least 4 times coarser than the tiles, so that reading one costs
    next to nothing.
    """
    l0_per_tile_px = plan.side_l0 / plan.tile_px
    fit = [
        coarse
        for level, downsample in enumerate(pyramid.downsamples)
        for coarse in (
            CoarseLevel(level, factor, downsample * factor) for factor in ((1,) if stored else (1, 2, 4, 8, 16, 32))
        )
        if math.prod(pyramid.size_l0) <= most_px * coarse.l0_per_px**2
        and plan.side_l0 >= LEAST_TILE_PX * coarse.l0_per_px
        and (not stored or coarse.l0_per_px >= 4 * l0_per_tile_px * 0.98)
    ]
    return min(
        fit,
        key=lambda coarse: (abs(math.log(coarse.l0_per_px * plan.mpp / um_per_px)), coarse.factor),
        default=None,
    )


def tile_masks(opened: OpenedSlide, plan: TilePlan, table: TileTable, selected: BoolArray) -> Masks:
    """Apply ``[tile] tissue`` and ``screen = "fast"`` to the tiles of a plan. ``selected`` bool (n,): those that the
    regions leave.

    Raises:
        SlideError: ``no-coarse-level`` where a tissue mask is configured and no level shows the whole slide,
            ``unreadable`` where its coarse level is damaged.
    """
    screened_background = np.zeros(plan.n_tiles, dtype=bool)
    record: Json = {}
    if table.tissue != "none":
        coarse = require_coarse(coarse_level(opened.pyramid, plan, MOST_MASK_PX, stored=False), opened.pyramid)
        from hypoxia_hpc.tiling.tissue import (  # scipy, which takes longer to load than to use
            mask_fraction,
            tissue_mask,
        )

        mask = tissue_mask(read_coarse(opened, coarse), table.tissue, plan.mpp * coarse.l0_per_px)
        in_tissue = mask_fraction(mask, coarse.l0_per_px, plan.xy_l0, plan.side_l0) >= np.float32(table.min_tissue)
        selected = selected & in_tissue
        record["tissue_level"], record["tissue_factor"] = coarse.level, coarse.factor
    if table.screen == "fast":
        record["screen_level"], screened_background = _screened_background(opened, plan, table)
    return Masks(selected, screened_background, record)


def all_masked(plan: TilePlan, table: TileTable) -> SlideError:
    """The error of a slide of which masks and regions leave no tile."""
    masked = "the only tile is masked" if plan.n_tiles == 1 else f"all {plan.n_tiles:,} tiles are masked"
    return SlideError(
        "no-tissue",
        f"{masked}: none lies in the tissue mask and the regions as [tile] min_tissue "
        f"= {table.min_tissue:g} and min_region = {table.min_region:g} want it",
        remedy="look at the slide, its regions file (pixels count from the corner of the scanned area) and [tile] "
        "tissue, regions, regions_rule",
    )


def scanned_px(pyramid: Pyramid) -> tuple[int, int]:
    """Width and height of the scanned area, in pixels of level 0."""
    return pyramid.bounds_l0[2:] if pyramid.bounds_l0 else pyramid.size_l0


def require_coarse(coarse: CoarseLevel | None, pyramid: Pyramid) -> CoarseLevel:
    if coarse is None:
        raise without_coarse_level(pyramid)
    return coarse


def without_coarse_level(pyramid: Pyramid) -> SlideError:
    """The error of a slide that no mask of its tissue can be made of."""
    width, height = pyramid.size_l0
    return SlideError(
        "no-coarse-level",
        f"no level of this slide of {width} x {height} px shows it in {MOST_MASK_PX:,} px or fewer, "
        "even averaged by 32, so there is no tissue mask",
        remedy='convert it to a pyramid (vips tiffsave --pyramid), or set [tile] tissue = "none"',
    )


def read_coarse(opened: OpenedSlide, coarse: CoarseLevel) -> UInt8Array:
    """All of the slide, uint8 (h, w, 3), transparent pixels white. Raises SlideError ``unreadable``."""
    image, unreadable = opened.read_level(coarse.level, coarse.factor)
    if unreadable:
        raise SlideError(
            "unreadable",
            f"of level {coarse.level}, which shows the slide as a whole, {some(unreadable, 'piece')} cannot be decoded",
            remedy="fetch the file again, or leave it out",
        )
    return np.ascontiguousarray(image[..., :3])


def _screened_background(opened: OpenedSlide, plan: TilePlan, table: TileTable) -> tuple[int | None, BoolArray]:
    """Tiles that a coarse level shows as background, and which level that was; None, and no tile, where there is none
    or it cannot be read: no pixel of a tile comes from it."""
    nothing = None, np.zeros(plan.n_tiles, dtype=bool)
    coarse = coarse_level(opened.pyramid, plan, MOST_LIGHT_PX, stored=True)
    if coarse is None:
        return nothing
    try:
        image, _ = opened.read_level(
            coarse.level, coarse.factor
        )  # what is not readable is black, and so never background
    except SlideError:
        return nothing
    packed, white = image.view("<u4")[..., 0], min(255, table.white + FAST_MARGIN)
    shares = light_shares(packed, white, plan.xy_l0 / coarse.l0_per_px, plan.side_l0 / coarse.l0_per_px)
    return coarse.level, shares > table.max_background + FAST_SHARE
