"""Heatmaps: what is said of tiles, where they lie on the slide, as PNG with a scale bar and a colour bar. Pure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Float64Array, Int64Array, UInt8Array

# Longer side of the slide in a picture; a tile has at least one pixel, for slides have a few hundred tiles a side.
MAP_PX = 1024
COLOURS = 250  # of 256: the others are what is clear, paper, ink
CLEAR, PAPER, INK = 255, 254, 253
COLOUR_MAP = "cividis"  # even to the eye, and the same to colour-blind eyes (Nunez et al. 2018, PLoS ONE 13:e0199239)
STRIP_PX, BAR_PX, MARGIN_PX, FONT_PX = 64, 250, 16, 13
MM_BARS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class Scale:
    """What the colours stand for, the same on every slide of a cohort: from ``low`` to ``high``, with what stands at
    the ends of the colour bar and its ``title``."""

    title: str
    low: float
    high: float
    words: tuple[str, str]


@dataclass(frozen=True, eq=False)
class Painted:
    """A picture of rectangles: ``values`` float64 (k, m), NaN where nothing is said, each of a height (k,) and a width
    (m,) in pixels. A slide has few different edges of tiles, and many pixels."""

    values: Float64Array
    heights: Int64Array
    widths: Int64Array

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.widths.sum()), int(self.heights.sum())

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """One of (k, m) values as one of each pixel."""
        return np.repeat(np.repeat(values, self.widths, axis=1), self.heights, axis=0)


def painted(xy_l0: Int64Array, side_l0: float, values: Float64Array, size_l0: tuple[int, int]) -> Painted:
    """A picture of the whole slide, its longer side MAP_PX: each pixel is the mean of the tiles that cover its middle.
    Tiles may overlap, and no tile is too small to be seen.

    xy_l0: (n, 2), top left in level 0 pixels. side_l0: of a tile. values: (n,), NaN for tiles of which nothing is said.
    size_l0: width and height of the slide.
    """
    scale = MAP_PX / max(size_l0)
    size = np.array([max(1, round(side * scale)) for side in size_l0])
    known = ~np.isnan(values)
    begins, ends = (np.clip(one, 0, size) for one in _spans(xy_l0[known] * scale, side_l0 * scale))
    edges = [np.unique(np.concatenate([[0, size[of]], begins[:, of], ends[:, of]])) for of in (0, 1)]
    corners = [[np.searchsorted(edges[of], one[:, of]) for of in (0, 1)] for one in (begins, ends)]
    shape = (len(edges[1]), len(edges[0]))
    sums, counts = (_filled(corners, weights, shape) for weights in (values[known], np.ones(known.sum())))
    counts = np.rint(counts)
    means = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return Painted(means, np.diff(edges[1]), np.diff(edges[0]))


def _spans(xy: NDArray[np.floating[Any]], side: float) -> tuple[Int64Array, Int64Array]:
    """The pixels whose middle is in a tile, from and to (without), int64 (n, 2): from ceil(begin - 0.5) to
    ceil(end - 0.5). A tile between two middles is in the pixel that its own middle is in."""
    begins, ends = (np.ceil(corner - 0.5).astype(np.int64) for corner in (xy, xy + side))
    begins = np.where(ends > begins, begins, np.floor(xy + side / 2).astype(np.int64))
    return begins, np.maximum(ends, begins + 1)


def _filled(corners: Sequence[Sequence[Int64Array]], weights: Float64Array, shape: tuple[int, int]) -> Float64Array:
    """The sum of the weights of the rectangles over each place: their corners are marked, and summed in both ways."""
    (left, top), (right, bottom) = corners
    marks = np.zeros(shape)
    for xs, ys, sign in ((left, top, 1), (right, top, -1), (left, bottom, -1), (right, bottom, 1)):
        np.add.at(marks, (ys, xs), sign * weights)
    found: Float64Array = marks.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
    return found


def heatmap_png(picture: Painted, scale: Scale, mpp: float | None) -> bytes:
    """PNG with a palette: the map, clear where nothing is said, above a strip with both bars. ``mpp``: µm of a pixel of
    the map, None where it is not known, which leaves out the scale bar."""
    from PIL import Image

    width, height = picture.size
    found = np.full((height + STRIP_PX, max(width, 2 * MARGIN_PX + 2 * BAR_PX)), CLEAR, np.uint8)
    found[:height, :width] = picture.spread(_indices(picture.values, scale))
    found[height:] = PAPER
    image = Image.fromarray(found, "P")
    image.putpalette(_palette().tobytes())
    _draw_bars(image, height, scale, mpp)
    written = io.BytesIO()
    image.save(written, "PNG", transparency=CLEAR, compress_level=1)
    return written.getvalue()


def _indices(values: Float64Array, scale: Scale) -> UInt8Array:
    span = (scale.high - scale.low) or 1.0
    share = np.clip((np.nan_to_num(values, nan=scale.low) - scale.low) / span, 0, 1)
    found = np.rint(share * (COLOURS - 1)).astype(np.uint8)
    found[np.isnan(values)] = CLEAR
    return found


@cache
def _palette() -> UInt8Array:
    """uint8 (256, 3)."""
    from matplotlib import colormaps

    found = np.zeros((256, 3), dtype=np.uint8)
    found[:COLOURS] = np.rint(colormaps[COLOUR_MAP](np.linspace(0, 1, COLOURS))[:, :3] * 255)
    found[PAPER], found[INK], found[CLEAR] = 255, (27, 35, 48), 255
    return found


def _draw_bars(image: object, top: int, scale: Scale, mpp: float | None) -> None:
    from PIL import Image, ImageDraw, ImageFont

    assert isinstance(image, Image.Image)  # noqa: S101 - Pillow is loaded here alone
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_PX)
    y = top + 26
    ramp = np.repeat(np.rint(np.linspace(0, COLOURS - 1, BAR_PX)).astype(np.uint8)[None], 12, axis=0)
    bar = Image.fromarray(ramp, "P")
    bar.putpalette(_palette().tobytes())
    image.paste(bar, (MARGIN_PX, y))
    low, high = scale.words
    draw.text((MARGIN_PX, top + 7), scale.title, fill=INK, font=font)
    draw.text((MARGIN_PX, y + 15), low, fill=INK, font=font)
    draw.text((MARGIN_PX + BAR_PX, y + 15), high, fill=INK, font=font, anchor="ra")
    if mpp is None:
        return
    length_mm = max((one for one in MM_BARS if one * 1000 / mpp <= BAR_PX), default=MM_BARS[0])
    right = image.width - MARGIN_PX
    draw.rectangle((right - round(length_mm * 1000 / mpp), y + 4, right, y + 7), fill=INK)
    draw.text((right, top + 7), f"{length_mm:g} mm", fill=INK, font=font, anchor="ra")
