"""From a region that is asked for to a rectangle of one level: the tiling rule for a single place on a slide."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Pyramid
from hypoxia_hpc.tiling.plan import choose_level, round_half_up

# What is read for one region, in pixels of the level: as RGBA these are 400 MB.
MOST_WINDOW_PX = 100_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of ``level``, in pixels of that level, that becomes ``size_px`` (width, height) pixels. It may lie
    over the border of the level, in part."""

    level: int
    left: int
    top: int
    width: int
    height: int
    size_px: tuple[int, int]


def plan_window(pyramid: Pyramid, xy_l0: tuple[int, int], size_px: tuple[int, int], scale: float) -> Window:
    """Where to read ``size_px`` (width, height) pixels from (x, y) in level 0 pixels on, each ``scale`` level 0 pixels
    wide, 0.98 or more.

    The level and the snapping of ``scale`` are those of tiles; the window begins at the nearest pixel of the level.

    Raises:
        InputError: nothing of it lies on the slide, or it would read more than 100 million pixels.
    """
    level, scale = choose_level(pyramid.downsamples, scale)
    downsample = pyramid.downsamples[level]
    left, top = (int(round_half_up(value / downsample)) for value in xy_l0)
    width, height = (int(round_half_up(side * scale / downsample)) for side in size_px)
    window = Window(level, left, top, width, height, size_px)
    _refuse_outside(window, pyramid, xy_l0)
    if math.prod((width, height)) > MOST_WINDOW_PX:
        raise InputError(
            f"a region of {size_px[0]} x {size_px[1]} px reads {width} x {height} px of level {level}: more than "
            f"{MOST_WINDOW_PX:,}",
            remedy="read it in parts, or at a coarser resolution",
        )
    return window


def _refuse_outside(window: Window, pyramid: Pyramid, xy_l0: tuple[int, int]) -> None:
    width, height = pyramid.level_sizes[window.level]
    inside_x = -window.width < window.left < width
    inside_y = -window.height < window.top < height
    if not (inside_x and inside_y):
        raise InputError(
            f"a region of {window.size_px[0]} x {window.size_px[1]} px from {xy_l0} on lies outside the slide, which "
            f"has {pyramid.size_l0[0]} x {pyramid.size_l0[1]} px on level 0",
            remedy="give x and y in pixels of level 0",
        )
