"""From a slide's header to a tile plan: every rounding of the tiling rule, and nothing else.

Two planes: level 0 pixels (``_l0``, the plane of OpenSlide's coordinates) and the pixels of the level that is read
(``_level``). A level's downsample leads from one to the other and need not be an integer: files say 4.00006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.config.tile import COARSEST_MPP, FINEST_MPP
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Int64Array, Pyramid, TilePlan

MppSource = Literal["manifest", "slide", "objective-power", "default_mpp"]

SNAP_TOLERANCE = 0.02
SNAP_FACTORS = (1, 2, 4, 8)
FINEST_SCALE = 0.98
MPP_AT_1X = 10.0
MAX_ANISOTROPY = 0.02
# Three million tiles of 299 px are 26 cm x 26 cm at 0.5 µm/px: larger than any glass slide. Their plan takes 300 MB.
MOST_TILES = 3_000_000


def round_half_up(value: ArrayLike) -> Int64Array:
    """Nearest integer, halves upwards (2.5 -> 3): the one rounding of the tiling rule. int64, shape of ``value``."""
    return np.floor(np.asarray(value, dtype=np.float64) + 0.5).astype(np.int64)


def resolve_mpp(pyramid: Pyramid, manifest_mpp: float | None, default_mpp: float | None) -> tuple[float, MppSource]:
    """Micrometres per level 0 pixel and where it came from: manifest, slide, 10 / objective power, default.

    A slide whose two axes agree within 2 % is taken at their mean. What no scanner has counts as missing.

    Raises:
        SlideError: ``no-mpp`` where there is no resolution, ``absurd-mpp`` where there is none and the header says
            what no scanner has, ``anisotropic-mpp`` where the slide's axes disagree.
    """
    if manifest_mpp is not None:
        return manifest_mpp, "manifest"
    across, down, of_objective = sane_mpp(pyramid.mpp_x), sane_mpp(pyramid.mpp_y), _mpp_of_objective(pyramid)
    if across is not None and down is not None:
        return _mean_mpp(across, down), "slide"
    if of_objective is not None:
        return of_objective, "objective-power"
    if default_mpp is not None:
        return default_mpp, "default_mpp"
    raise _without_mpp(pyramid)


def sane_mpp(mpp: float | None) -> float | None:
    """µm per pixel of a slide, None where it is missing or is what no scanner has."""
    return mpp if mpp is not None and FINEST_MPP <= mpp <= COARSEST_MPP else None


def _mpp_of_objective(pyramid: Pyramid) -> float | None:
    return None if not pyramid.objective_power else sane_mpp(MPP_AT_1X / pyramid.objective_power)


def _without_mpp(pyramid: Pyramid) -> SlideError:
    """The error of a slide whose header gives no resolution, or none that can be."""
    remedy = "give the slide an mpp in slides.csv, or set [tile] default_mpp"
    axes = {"across": pyramid.mpp_x, "down": pyramid.mpp_y}
    absurd = [f"{mpp:g} µm/px {axis}" for axis, mpp in axes.items() if mpp is not None and sane_mpp(mpp) is None]
    if pyramid.objective_power:
        absurd.append(f"an objective of {pyramid.objective_power:g}x")
    if not absurd:
        problem = (
            "neither the manifest nor the slide gives µm per pixel, the slide gives no objective power, "
            "and [tile] default_mpp is not set"
        )
        return SlideError("no-mpp", problem, remedy=remedy)
    limits = f"µm/px is not within {FINEST_MPP:g} to {COARSEST_MPP:g}, so it counts as missing"
    return SlideError(
        "absurd-mpp", f"the header says {', '.join(absurd)}, which no scanner has: {limits}", remedy=remedy
    )


def _mean_mpp(mpp_x: float, mpp_y: float) -> float:
    if abs(mpp_x - mpp_y) > MAX_ANISOTROPY * min(mpp_x, mpp_y):
        raise SlideError(
            "anisotropic-mpp",
            f"the slide says {mpp_x:g} µm/px across and {mpp_y:g} µm/px down: "
            "more than 2 % apart, tiles would be distorted",
            remedy="if the header is wrong, give the slide its mpp in slides.csv",
        )
    return (mpp_x + mpp_y) / 2


def choose_level(downsamples: Sequence[float], scale: float) -> tuple[int, float]:
    """The level to read and the scale after snapping.

    ``scale`` is target mpp / slide mpp. A candidate is a level's downsample times 1, 2, 4 or 8; if one lies within 2 %
    of ``scale``, the scale becomes it, and the coarsest stored level wins. Otherwise the coarsest level with downsample
    <= scale. A scale a little below every level (down to 0.98) is read at level 0 as it is.
    """
    for level in sorted(range(len(downsamples)), key=lambda index: -downsamples[index]):
        for factor in SNAP_FACTORS:
            candidate = downsamples[level] * factor
            if abs(candidate - scale) <= SNAP_TOLERANCE * scale:
                return level, candidate
    finer = [level for level, downsample in enumerate(downsamples) if downsample <= scale]
    if not finer:
        return 0, downsamples[0]
    return max(finer, key=lambda level: downsamples[level]), scale


def grid_1d(start_l0: float, stop_l0: float, size_level: int, downsample: float, side_level: int) -> tuple[int, int]:
    """Origin and number of whole tiles along one axis of the level: origin = ceil(start / downsample), tiles end
    before stop / downsample and before the level's end. Bounds that begin outside the slide count from its corner."""
    origin = max(0, math.ceil(start_l0 / downsample))
    stop = min(math.floor(stop_l0 / downsample), size_level)
    return origin, max(0, (stop - origin) // side_level)


def plan_tiles(pyramid: Pyramid, table: TileTable, manifest_mpp: float | None) -> TilePlan:
    """The plan of one slide by the tiling rule. Decides everything from the header; reads no pixel.

    Raises:
        SlideError: ``no-mpp``, ``anisotropic-mpp``, ``coarser-than-target`` when the slide has less resolution than
            the target (scale below 0.98), or ``absurd-size``.
    """
    mpp, mpp_source = resolve_mpp(pyramid, manifest_mpp, table.default_mpp)
    _refuse_coarse(mpp, mpp_source, table.mpp)
    level, scale = choose_level(pyramid.downsamples, table.mpp / mpp)
    downsample = pyramid.downsamples[level]
    side = int(round_half_up(table.tile_px * scale / downsample))
    x_l0, y_l0, width_l0, height_l0 = pyramid.bounds_l0 or (0, 0, *pyramid.size_l0)
    width_level, height_level = pyramid.level_sizes[level]
    x_level, columns = grid_1d(x_l0, x_l0 + width_l0, width_level, downsample, side)
    y_level, rows = grid_1d(y_l0, y_l0 + height_l0, height_level, downsample, side)
    _refuse_absurd(columns * rows, pyramid)
    xy_level = _corners(x_level, y_level, columns, rows, side)
    xy_l0 = round_half_up(xy_level * downsample)
    return TilePlan(
        level=level,
        downsample=downsample,
        scale=scale,
        side_level=side,
        tile_px=table.tile_px,
        columns=columns,
        rows=rows,
        xy_level=xy_level,
        xy_l0=xy_l0,
        mpp=mpp,
        mpp_source=mpp_source,
        # OpenSlide interpolates where a position is no integer in the level's own pixels.
        interpolated=level > 0 and bool(np.any(np.abs(xy_l0 / downsample - xy_level) > 1e-9)),
    )


def _refuse_coarse(mpp: float, mpp_source: MppSource, target_mpp: float) -> None:
    if target_mpp / mpp < FINEST_SCALE:
        raise SlideError(
            "coarser-than-target",
            f"the slide has {mpp:g} µm/px (from {mpp_source}), the target is {target_mpp:g} µm/px: "
            "enlarging would invent detail",
            remedy="leave the slide out, or raise [tile] mpp for the whole run, which models of the finer mpp do not "
            "fit then",
        )


def _refuse_absurd(n_tiles: int, pyramid: Pyramid) -> None:
    if n_tiles > MOST_TILES:
        width, height = pyramid.size_l0
        raise SlideError(
            "absurd-size",
            f"the header says {width} x {height} px: {n_tiles:,} tiles, more than {MOST_TILES:,} is no slide",
            remedy="fetch the file again, or leave it out",
        )


def _corners(x_level: int, y_level: int, columns: int, rows: int, side: int) -> Int64Array:
    y, x = np.mgrid[0:rows, 0:columns]
    corners: Int64Array = np.stack([x_level + x.ravel() * side, y_level + y.ravel() * side], axis=1).astype(np.int64)
    return corners
