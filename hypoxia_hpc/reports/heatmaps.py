"""Maps: what is said of tiles, where they lie on the slide, as PNG with a scale bar, colour bar or legend. Pure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Float64Array, Int64Array, UInt8Array
from hypoxia_hpc.reports.plots import SERIES

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

# Longer side of the slide in a picture; a tile has at least one pixel, for slides have a few hundred tiles a side.
MAP_PX = 1024
COLOURS = 250  # of 256: the others are what is clear, paper, ink
CLEAR, PAPER, INK = 255, 254, 253
COLOUR_MAP = "cividis"  # even to the eye, and the same to colour-blind eyes (Nunez et al. 2018, PLoS ONE 13:e0199239)
STRIP_PX, BAR_PX, MARGIN_PX, FONT_PX, SWATCH_PX = 64, 250, 16, 13, 12
LEAST_PX = 2 * MARGIN_PX + 2 * BAR_PX  # of the width, so that both bars fit
MM_BARS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class Scale:
    """What the colours stand for, the same on every slide of a cohort: from ``low`` to ``high``, with what stands at
    the ends of the colour bar and its ``title``."""

    title: str
    low: float
    high: float
    words: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Legend:
    """What the colours of classes stand for, the same on every slide of a cohort: names of series of plots, by their
    numbers, below a ``title``."""

    title: str
    names: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a picture shows of a slide that is drawn at ``scale`` pixels to one of level 0: ``size_px`` (width, height)
    pixels of that drawing, from ``corner_px`` (left, top) on."""

    scale: float
    size_px: tuple[int, int]
    corner_px: tuple[int, int] = (0, 0)


def whole_slide(size_l0: tuple[int, int]) -> Frame:
    """The picture of a slide of ``size_l0`` (width, height), its longer side MAP_PX."""
    scale = MAP_PX / max(size_l0)
    width, height = (max(1, round(side * scale)) for side in size_l0)
    return Frame(scale, (width, height))


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


def painted(xy_l0: Int64Array, side_l0: float, values: Float64Array, frame: Frame) -> Painted:
    """A picture of what ``frame`` shows: each pixel is the mean of the tiles that cover its middle. Tiles may overlap,
    and no tile is too small to be seen.

    xy_l0: (n, 2), top left in level 0 pixels. side_l0: of a tile. values: (n,), NaN for tiles of which nothing is said.
    """
    known = ~np.isnan(values)
    grid = _grid(xy_l0[known], side_l0, frame)
    sums, counts = grid.total(values[known]), np.rint(grid.total(np.ones(known.sum())))
    return grid.painted(np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0))


def painted_classes(xy_l0: Int64Array, side_l0: float, classes: Int64Array, frame: Frame) -> Painted:
    """The same of the class of each tile, int64 (n,): each pixel has the class of most tiles that cover its middle, of
    several the lowest."""
    grid = _grid(xy_l0, side_l0, frame)
    present = np.unique(classes)
    counts = np.rint([grid.total((classes == one).astype(np.float64)) for one in present])
    return grid.painted(np.where(counts.any(axis=0), present[counts.argmax(axis=0)], np.nan))


@dataclass(frozen=True, eq=False, slots=True)
class _Grid:
    """All edges of tiles on a picture, in its pixels: of columns and of rows; and between which each tile lies, left
    and top, right and bottom."""

    edges: tuple[Int64Array, Int64Array]
    corners: Sequence[Sequence[Int64Array]]

    def total(self, weights: Float64Array) -> Float64Array:
        """The sum of the weights (n,) of the tiles over each place: their corners are marked, and summed both ways."""
        (left, top), (right, bottom) = self.corners
        marks = np.zeros((len(self.edges[1]), len(self.edges[0])))
        for xs, ys, sign in ((left, top, 1), (right, top, -1), (left, bottom, -1), (right, bottom, 1)):
            np.add.at(marks, (ys, xs), sign * weights)
        found: Float64Array = marks.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
        return found

    def painted(self, values: Float64Array) -> Painted:
        return Painted(values, np.diff(self.edges[1]), np.diff(self.edges[0]))


def _grid(xy_l0: Int64Array, side_l0: float, frame: Frame) -> _Grid:
    size, corner = np.array(frame.size_px), np.array(frame.corner_px)
    spans = _spans(xy_l0 * frame.scale, side_l0 * frame.scale)
    begins, ends = (np.clip(one - corner, 0, size) for one in spans)
    columns, rows = (np.unique(np.concatenate([[0, size[of]], begins[:, of], ends[:, of]])) for of in (0, 1))
    corners = [
        [np.searchsorted(edges, one[:, of]) for of, edges in enumerate((columns, rows))] for one in (begins, ends)
    ]
    return _Grid((columns, rows), corners)


def _spans(xy: NDArray[np.floating[Any]], side: float) -> tuple[Int64Array, Int64Array]:
    """The pixels whose middle is in a tile, from and to (without), int64 (n, 2): from ceil(begin - 0.5) to
    ceil(end - 0.5). A tile between two middles is in the pixel that its own middle is in."""
    begins, ends = (np.ceil(corner - 0.5).astype(np.int64) for corner in (xy, xy + side))
    begins = np.where(ends > begins, begins, np.floor(xy + side / 2).astype(np.int64))
    return begins, np.maximum(ends, begins + 1)


def heatmap_png(picture: Painted, scale: Scale, mpp: float | None) -> bytes:
    """PNG with a palette: the map, clear where nothing is said, above a strip with both bars. ``mpp``: µm of a pixel of
    the map, None where it is not known, which leaves out the scale bar."""
    return _png(picture, _indices(picture.values, scale), scale, mpp)


def classes_png(picture: Painted, legend: Legend, mpp: float | None) -> bytes:
    """The same of a picture of classes, with the legend in place of the colour bar."""
    return _png(picture, _class_indices(picture.values), legend, mpp)


def overlay_png(picture: Painted, scale: Scale | None) -> bytes:
    """The map alone, in the same colours; without a ``scale`` of classes."""
    if scale is None:
        return _written(picture.spread(_class_indices(picture.values)), _class_palette())
    return _written(picture.spread(_indices(picture.values, scale)), _palette())


def colour_bar(n: int) -> list[str]:
    """The colours of maps from low to high, ``n`` of them, as #rrggbb."""
    return [f"#{bytes(_palette()[one]).hex()}" for one in np.linspace(0, COLOURS - 1, n).round().astype(int)]


def _png(picture: Painted, indices: UInt8Array, key: Scale | Legend, mpp: float | None) -> bytes:
    width, height = picture.size
    strip = _strip(max(width, LEAST_PX), key, mpp)
    found = np.full((height + STRIP_PX, strip.shape[1]), CLEAR, np.uint8)
    found[:height, :width] = picture.spread(indices)
    found[height:] = strip
    return _written(found, _palette() if isinstance(key, Scale) else _class_palette())


def _written(indices: UInt8Array, palette: UInt8Array) -> bytes:
    from PIL import Image

    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    written = io.BytesIO()
    image.save(written, "PNG", transparency=CLEAR, compress_level=1)
    return written.getvalue()


@lru_cache(64)
def _strip(width: int, key: Scale | Legend, mpp: float | None) -> UInt8Array:
    """What stands below a map, (STRIP_PX, width): on slides of one width and resolution it is the same."""
    from PIL import Image

    image = Image.new("P", (width, STRIP_PX), PAPER)
    if isinstance(key, Scale):
        _draw_colour_bar(image, key)
    else:
        _draw_legend(image, key)
    if mpp is not None:
        _draw_scale_bar(image, mpp)
    return np.asarray(image)


def _class_indices(values: Float64Array) -> UInt8Array:
    return np.where(np.isnan(values), CLEAR, np.nan_to_num(values)).astype(np.uint8)


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


@cache
def _class_palette() -> UInt8Array:
    """uint8 (256, 3): the colours of series, the same as in plots."""
    found = _palette().copy()
    found[: len(SERIES)] = [list(bytes.fromhex(colour[1:])) for colour in SERIES]
    return found


def _draw_colour_bar(image: Image, scale: Scale) -> None:
    from PIL.Image import fromarray

    y, (low, high) = 26, scale.words
    bar = np.repeat(np.rint(np.linspace(0, COLOURS - 1, BAR_PX)).astype(np.uint8)[None], 12, axis=0)
    image.paste(fromarray(bar, "P"), (MARGIN_PX, y))
    draw, font = _drawing(image)
    draw.text((MARGIN_PX, 7), scale.title, fill=INK, font=font)
    draw.text((MARGIN_PX, y + 15), low, fill=INK, font=font)
    draw.text((MARGIN_PX + BAR_PX, y + 15), high, fill=INK, font=font, anchor="ra")


def _draw_legend(image: Image, legend: Legend) -> None:
    """Names in two lines, column by column."""
    draw, font = _drawing(image)
    draw.text((MARGIN_PX, 7), legend.title, fill=INK, font=font)
    x = MARGIN_PX
    for column in range(0, len(legend.names), 2):
        pair = legend.names[column : column + 2]
        for y, (number, name) in zip((26, 44), pair, strict=False):
            draw.rectangle((x, y, x + SWATCH_PX, y + SWATCH_PX), fill=number)
            draw.text((x + SWATCH_PX + 6, y - 1), name, fill=INK, font=font)
        widest = max(draw.textlength(name, font=font) for _, name in pair)
        x += SWATCH_PX + 6 + int(widest) + MARGIN_PX


def _draw_scale_bar(image: Image, mpp: float) -> None:
    draw, font = _drawing(image)
    length_mm = max((one for one in MM_BARS if one * 1000 / mpp <= BAR_PX), default=MM_BARS[0])
    right = image.width - MARGIN_PX
    draw.rectangle((right - round(length_mm * 1000 / mpp), 30, right, 33), fill=INK)
    draw.text((right, 7), f"{length_mm:g} mm", fill=INK, font=font, anchor="ra")


def _drawing(image: Image) -> tuple[ImageDraw, ImageFont | FreeTypeFont]:
    from PIL import ImageDraw, ImageFont

    return ImageDraw.Draw(image), ImageFont.load_default(FONT_PX)
