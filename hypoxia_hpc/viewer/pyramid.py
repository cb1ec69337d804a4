"""The DeepZoom pyramid of a slide: which pixels of which level of the file each of its tiles is made of. Pure.

A DeepZoom pyramid halves the slide until one pixel is left; level 0 is that pixel, the last level is the slide itself.
Sizes are rounded up. Levels and tiles of the file are called the slide's here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hypoxia_hpc.tiling.windows import Window

TILE_PX = 256
# The file's own tiles are sent as they are within these bounds: smaller ones are too many requests, of larger ones too
# little is seen.
LEAST_TILE_PX, MOST_TILE_PX = 128, 1024
# Writers of slides round the sides of a level either way.
SIDE_SLACK_PX = 2
# A tile is made of at most this many pixels a side of the slide for each of its own; above it, of the overview.
MOST_REDUCED = 16


class Place(NamedTuple):
    """A tile of the pyramid."""

    level: int
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class DeepZoom:
    """``size`` is width and height of the slide, ``tile_px`` the side of a tile, in pixels; tiles do not overlap."""

    size: tuple[int, int]
    tile_px: int

    @property
    def last(self) -> int:
        """The number of the level that is the slide itself."""
        return math.ceil(math.log2(max(self.size)))

    def size_of(self, level: int) -> tuple[int, int]:
        """Width and height of a level in pixels."""
        factor = self.factor(level)
        return -(-self.size[0] // factor), -(-self.size[1] // factor)

    def factor(self, level: int) -> int:
        """Pixels of the slide to one of the level, along each side."""
        return 1 << (self.last - level)

    def has(self, place: Place) -> bool:
        """Whether there is such a tile."""
        level, column, row = place
        if not 0 <= level <= self.last:
            return False
        width, height = self.size_of(level)
        return 0 <= column * self.tile_px < width and 0 <= row * self.tile_px < height

    def size_of_tile(self, place: Place) -> tuple[int, int]:
        """Width and height of a tile in pixels: those at the right and lower edge are smaller."""
        width, height = self.size_of(place.level)
        return (
            min(self.tile_px, width - place.column * self.tile_px),
            min(self.tile_px, height - place.row * self.tile_px),
        )

    def places(self, level: int) -> list[Place]:
        """Every tile of a level, row by row."""
        columns, rows = (-(-side // self.tile_px) for side in self.size_of(level))
        return [Place(level, column, row) for row in range(rows) for column in range(columns)]


def deep_zoom_of(size: tuple[int, int], native_tile: tuple[int, int] | None) -> DeepZoom:
    """The pyramid over a slide of ``size``, in the grid of the file's own tiles (``native_tile``: width and height in
    pixels, None where they are not sent as they are) where they are squares that a browser can be given."""
    own = (
        native_tile is not None and native_tile[0] == native_tile[1] and LEAST_TILE_PX <= native_tile[0] <= MOST_TILE_PX
    )
    return DeepZoom(size, native_tile[0] if own and native_tile else TILE_PX)


def level_below(zoom: DeepZoom, level: int, level_sizes: Sequence[tuple[int, int]]) -> int:
    """The coarsest of the slide's levels that is not coarser than a level of the pyramid."""
    least = [side - SIDE_SLACK_PX for side in zoom.size_of(level)]
    fine = [number for number, own in enumerate(level_sizes) if own[0] >= least[0] and own[1] >= least[1]]
    return min(fine, key=lambda number: level_sizes[number], default=0)


def scale_of(own: int, side: int) -> float:
    """Pixels of one of the slide's levels to one of the pyramid's, along a side: a whole number where only rounding
    stands between."""
    whole = max(1, round(own / side))
    return whole if abs(own - whole * side) <= SIDE_SLACK_PX * whole else own / side


def is_own_tile(zoom: DeepZoom, place: Place, level_size: tuple[int, int]) -> bool:
    """Whether a tile of the pyramid is one of the native tiles of the slide's level of this size, and a whole one."""
    across = zoom.size_of(place.level)
    same = all(scale_of(own, side) == 1 for own, side in zip(level_size, across, strict=True))
    right, lower = ((number + 1) * zoom.tile_px for number in (place.column, place.row))
    return same and right <= min(level_size[0], across[0]) and lower <= min(level_size[1], across[1])


def window_of(zoom: DeepZoom, place: Place, level_sizes: Sequence[tuple[int, int]]) -> Window | None:
    """What is read for a tile: a rectangle of one of the slide's levels. None where that is more than MOST_REDUCED
    pixels a side for each of the tile's: then the tile is cut from the overview."""
    number = level_below(zoom, place.level, level_sizes)
    sides = zip(level_sizes[number], zoom.size_of(place.level), strict=True)
    scales = [scale_of(own, side) for own, side in sides]
    if max(scales) > MOST_REDUCED:
        return None
    size_px = zoom.size_of_tile(place)
    left, top = (math.floor(zoom.tile_px * at * scale) for at, scale in zip(place[1:], scales, strict=True))
    width, height = (max(side, math.floor(side * scale)) for side, scale in zip(size_px, scales, strict=True))
    return Window(number, left, top, width, height, size_px)


def overview_factor(size: tuple[int, int], most_px: int) -> int:
    """The power of two, 32 at most, by which a level of this size is reduced to a longer side of ``most_px``, or to as
    few as that allows."""
    factor = 1
    while factor < 32 and max(size) > most_px * factor:
        factor *= 2
    return factor
