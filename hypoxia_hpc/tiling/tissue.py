"""Tissue masks on a coarse image of the slide, and how much of each tile they cover.

Glass is the bare slide beside the tissue; it is found by saturation, background in the tiling rule by gray alone.
Stained tissue is more saturated than glass. Ink, black borders and padding are no tissue, whatever their saturation, so
they are left out before anything is measured. All decisions are made on integers, so that every machine draws the same
mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float32Array, Float64Array, Int64Array, UInt8Array

Mask = NDArray[np.bool_]
Int32Array = NDArray[np.int32]
Method = Literal["otsu", "watershed"]

# Saturation in 255ths, smoothed, at 8 µm/px. Glass: 2 or 3 on CMU-1 and in Kather's empty tiles, 5 to 10
# after stain normalisation, its noise within 5 of that. Stained tissue: median 33 in the palest of 140 tiles.
MOST_GLASS_SATURATION = 30
ABOVE_GLASS = 12
# Otsu finds 41 to 48 where tissue lies on glass. It always splits: 68 to 87 where there is no glass.
MOST_OTSU = 48

# H&E absorbs green most: hues from 255 to 345 degrees on the real images at hand, but for a pixel in a thousand. Ink is
# what has no less green than red (hues to 240); more saturated still, blue to 252 and bright red from 348 to 12.
COOL_INK_SATURATION = 90
OTHER_INK_SATURATION = 128
RED_INK_LEAST_RED = 150
FAINT_INK_SATURATION = 8
INK_RIM_UM = 64.0  # how far faint ink reaches from full ink: a rim that is mixed with the glass

BLACK_MOST = 100  # largest channel
BLACK_CHROMA = 30  # largest minus smallest channel; the darkest keratin and nuclei have more

# A square of 0.1 mm: less than half of a 150 µm tile. Dust and stray cells; vacuoles, lumina and dye in the tissue.
SPECK_UM2 = 10_000.0

PLAIN, BLACK, FAINT_INK, FULL_INK = 0, 1, 2, 3  # kinds of pixels
UNKNOWN, GLASS, TISSUE, FOREIGN = 0, 1, 2, 3  # labels of the flood


def tissue_mask(rgb: UInt8Array, method: Method, um_per_px: float) -> Mask:
    """Where a slide has tissue: a threshold on saturation, or a flood from what is certain.

    Args:
        rgb: uint8 (h, w, 3), the slide at 4 to 16 µm per pixel; transparent pixels white.
        method: ``otsu``: saturation above Otsu's threshold (Otsu 1979), which is held between those of glass and of
            tissue, so that a slide without tissue, or without glass, is not split. ``watershed``: certain glass,
            and tissue by that threshold, flood the gradient of the saturation (Meyer 1994).
        um_per_px: µm per pixel of ``rgb``.

    Returns:
        bool (h, w): True is tissue. Parts and holes smaller than 0.1 mm x 0.1 mm are gone.
    """
    return tissue_of(look(rgb, um_per_px), method, um_per_px)


@dataclass(frozen=True, eq=False)
class Seen:
    """Of a coarse image, (h, w) each: ``smooth`` uint8 (h, w, 3) and ``saturation`` uint8 without the noise of single
    pixels; where there is ``ink`` of pens, ``black`` and ``padding``, bool, without parts smaller than a speck."""

    smooth: UInt8Array
    saturation: UInt8Array
    ink: Mask
    black: Mask
    padding: Mask

    @property
    def foreign(self) -> Mask:
        """What is neither glass nor tissue."""
        foreign: Mask = self.ink | self.black | self.padding
        return foreign


def look(rgb: UInt8Array, um_per_px: float) -> Seen:
    """What is seen on a coarse image, uint8 (h, w, 3), at 4 to 16 µm per pixel."""
    speck_px = SPECK_UM2 / um_per_px**2
    smooth = _smoothed(rgb)
    saturation, kinds = _looked_at(smooth)
    return Seen(
        smooth,
        saturation,
        _ink(kinds, speck_px, round(INK_RIM_UM / um_per_px)),
        without_specks(kinds == BLACK, speck_px),
        without_specks((rgb == 255).all(axis=2), speck_px),
    )


def tissue_of(seen: Seen, method: Method, um_per_px: float) -> Mask:
    """As `tissue_mask`, of what `look` has found."""
    speck_px, saturation, foreign = SPECK_UM2 / um_per_px**2, seen.saturation, seen.foreign
    glass, tissue = saturation_limits(np.bincount(saturation[~foreign], minlength=256))
    mask = without_specks((saturation >= tissue) & ~foreign, speck_px)
    if method == "watershed" and mask.any():
        certain_glass = without_specks((saturation < glass) & ~foreign, speck_px)
        mask = _flooded(saturation, certain_glass, mask, foreign)
    return ~without_specks(~mask, speck_px)


def saturation_limits(histogram: Int64Array) -> tuple[int, int]:
    """Below the first saturation a pixel is glass, from the second on tissue, of a histogram int64 (256,).

    Glass is the most common of the low saturations; tissue begins above Otsu's threshold, at least ``ABOVE_GLASS``
    above glass, at most at ``MOST_OTSU``.
    """
    glass = int(histogram[:MOST_GLASS_SATURATION].argmax()) + ABOVE_GLASS
    return glass, max(glass, min(_otsu(histogram) + 1, MOST_OTSU))


def _otsu(histogram: Int64Array) -> int:
    """The last value of the lower class, where the variance between the classes is largest; the first of equals."""
    counts, sums = (np.cumsum(values).tolist() for values in (histogram, histogram * np.arange(256)))
    n, total = counts[-1], sums[-1]
    splits = [t for t in range(255) if 0 < counts[t] < n]
    return max(
        splits,
        key=lambda t: Fraction((n * sums[t] - counts[t] * total) ** 2, counts[t] * (n - counts[t])),
        default=0,
    )


def _smoothed(rgb: UInt8Array) -> UInt8Array:
    """Means with weights 1 2 1 along both axes, halves rounded up: sensor noise and JPEG's residue shrink by half."""
    smooth = np.empty_like(rgb)
    for channel in range(3):
        sums = ndimage.correlate1d(rgb[..., channel], [1, 2, 1], axis=0, output=np.uint16, mode="nearest")
        sums = ndimage.correlate1d(sums, [1, 2, 1], axis=1, output=np.uint16, mode="nearest")
        smooth[..., channel] = (sums + 8) >> 4
    return smooth


@kernel()
def _looked_at(rgb: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Saturation (HSV, in 255ths, halves up) and kind of every pixel, uint8 (h, w) each."""
    saturation = np.zeros(rgb.shape[:2], dtype=np.uint8)
    kinds = np.zeros(rgb.shape[:2], dtype=np.uint8)
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            red, green, blue = np.int32(rgb[y, x, 0]), np.int32(rgb[y, x, 1]), np.int32(rgb[y, x, 2])
            most = max(red, green, blue)
            chroma = most - min(red, green, blue)
            value = (510 * chroma + most) // (2 * most) if most > 0 else 0
            saturation[y, x] = value
            if most <= BLACK_MOST and chroma <= BLACK_CHROMA:
                kinds[y, x] = BLACK
            elif value >= FAINT_INK_SATURATION:
                kinds[y, x] = _kind_of_ink(red, green, blue, chroma, value)
    return saturation, kinds


@kernel()
def _kind_of_ink(red: int, green: int, blue: int, chroma: int, saturation: int) -> int:
    cool = green >= red
    violet = blue > red > green and 5 * (red - green) <= chroma
    warm = red > max(green, blue) and 5 * abs(green - blue) <= chroma
    if (
        (cool and saturation >= COOL_INK_SATURATION)
        or (violet and saturation >= OTHER_INK_SATURATION)
        or (warm and saturation >= OTHER_INK_SATURATION and red >= RED_INK_LEAST_RED)
    ):
        return FULL_INK
    return FAINT_INK if cool or violet or warm else PLAIN


def _ink(kinds: UInt8Array, speck_px: float, rim_px: int) -> Mask:
    """Full ink, less the specks of dye that pathologists paint on margins, and the faint ink around it."""
    full = without_specks(kinds == FULL_INK, speck_px)
    if rim_px == 0 or not full.any():
        return full
    grown: Mask = ndimage.binary_dilation(full, iterations=rim_px, mask=kinds >= FAINT_INK)
    return grown


def without_specks(mask: Mask, speck_px: float) -> Mask:
    """The parts (pixels that share sides) of at least ``speck_px`` pixels."""
    parts, n_parts = ndimage.label(mask)
    large = np.bincount(parts.ravel(), minlength=n_parts + 1) >= speck_px
    large[0] = False
    kept: Mask = large[parts]
    return kept


def _flooded(saturation: UInt8Array, glass: Mask, tissue: Mask, foreign: Mask) -> Mask:
    """Tissue after glass and tissue have flooded all but what is foreign, steep places last."""
    gradient = ndimage.maximum_filter(saturation, 3) - ndimage.minimum_filter(saturation, 3)
    labels = np.full(saturation.shape, UNKNOWN, dtype=np.uint8)
    labels[glass], labels[tissue], labels[foreign] = GLASS, TISSUE, FOREIGN
    flood(gradient, labels)
    flooded: Mask = labels == TISSUE
    return flooded


@kernel()
def flood(heights: UInt8Array, labels: UInt8Array) -> None:
    """Watershed by flooding (Meyer 1994), in place: pixels labelled 1 or 2 spread to those labelled 0, lowest first,
    first come first served. A queue for each of the 256 heights, linked through ``after``: 5 bytes a pixel."""
    height, width = labels.shape
    after = np.full(height * width, -1, dtype=np.int32)
    first = np.full(256, -1, dtype=np.int32)
    last = np.full(256, -1, dtype=np.int32)
    for y in range(height):
        for x in range(width):
            if labels[y, x] in (GLASS, TISSUE):
                _enqueue(y * width + x, 0, after, first, last)
    for level in range(256):
        while first[level] >= 0:
            y, x = divmod(first[level], width)
            first[level] = after[first[level]]
            for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                v, u = y + dy, x + dx
                if 0 <= v < height and 0 <= u < width and labels[v, u] == UNKNOWN:
                    labels[v, u] = labels[y, x]
                    _enqueue(v * width + u, max(level, heights[v, u]), after, first, last)


@kernel()
def _enqueue(pixel: int, level: int, after: Int32Array, first: Int32Array, last: Int32Array) -> None:
    if first[level] < 0:
        first[level] = pixel
    else:
        after[last[level]] = pixel
    last[level] = pixel


def mask_fraction(mask: Mask, l0_per_mask_px: float, xy_l0: Int64Array, side_l0: float) -> Float32Array:
    """How much of each square the mask covers, pixels that are cut by its sides counted in part.

    Args:
        mask: bool (h, w). Its last row and column reach one pixel further, because the size of a level is rounded
            down; what lies beyond counts as uncovered.
        l0_per_mask_px: side of a mask pixel in level 0 pixels.
        xy_l0: int64 (n, 2), top left corners in level 0 pixels.
        side_l0: side of the squares in level 0 pixels, need not be whole.

    Returns:
        float32 (n,) in 0..1. Float64 within, only + - * /, which every machine rounds alike.
    """
    covered = np.pad(np.pad(mask, ((0, 1), (0, 1)), mode="edge"), ((1, 0), (1, 0)))
    table = np.cumsum(np.cumsum(covered, axis=0, dtype=np.int64), axis=1)
    start = xy_l0 / l0_per_mask_px
    stop = (xy_l0 + side_l0) / l0_per_mask_px
    (left, top), (right, bottom) = start.T, stop.T
    total = _up_to(table, right, bottom) - _up_to(table, left, bottom)
    total -= _up_to(table, right, top) - _up_to(table, left, top)
    share = total / (side_l0 / l0_per_mask_px) ** 2
    return np.clip(share, 0, 1).astype(np.float32)


def _up_to(table: Int64Array, x: Float64Array, y: Float64Array) -> Float64Array:
    """Covered area left of x and above y, in mask pixels: a summed-area table is linear between its corners."""
    rows, columns = table.shape
    x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
    column = np.minimum(x.astype(np.int64), columns - 2)
    row = np.minimum(y.astype(np.int64), rows - 2)
    dx, dy = x - column, y - row
    above = table[row, column] * (1 - dx) + table[row, column + 1] * dx
    below = table[row + 1, column] * (1 - dx) + table[row + 1, column + 1] * dx
    area: Float64Array = above * (1 - dy) + below * dy
    return area
