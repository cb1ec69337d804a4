"""Regions drawn on a slide, from GeoJSON files as QuPath writes them, and how much of each tile lies in them.

Before the union of outlines is computed, their crossings are counted: a million crossings take a gigabyte and half a
minute in GEOS, and a file of a few kilobytes can contain them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from hypoxia_hpc.machine.compiling import kernel
from hypoxia_hpc.records import Float32Array, Float64Array, Int64Array
from hypoxia_hpc.tiling.geojson import Polygon, bad_regions, read_drawn

# Each becomes a position of the union, which without a limit would fill the memory.
MOST_CROSSINGS = 200_000
MOST_PAIRS = 4_000_000_000  # of outline segments above one another, looked at for crossings: some seconds

# Larger pieces make each tile at an edge slower to cut, smaller ones are more of them to find.
PIECE_POSITIONS = 256
# Outlines may have any number of positions in one place: halving ends here, at the size of a pixel.
SMALLEST_PIECE_PX = 1.0
# Squares that are geometries at the same time: more take more memory, fewer take more calls of GEOS.
TILES_AT_ONCE = 2**16

Geometries = NDArray[Any]
RegionsRule = Literal["include", "exclude"]


@dataclass(frozen=True, slots=True)
class Regions:
    """The union of the polygons of a file, in QuPath's pixels: ``whole`` a shapely (Multi)Polygon. ``pieces``, a
    shapely array (n,), are what its outlines and its holes enclose, cut into polygons of few positions; by ``signs``,
    int64 (n,), those count 1 and these -1. ``classes``: how many annotations each class has ("" is none)."""

    whole: Any
    pieces: Geometries
    signs: Int64Array
    classes: Mapping[str, int] = field(default_factory=dict)


def read_regions(path: Path, rule: RegionsRule = "include", wanted: Sequence[str] = ()) -> Regions:
    """The annotations of a GeoJSON file, of ``wanted`` classes where there are any (``geojson.read_drawn``). Overlaps
    count once; outlines that cross themselves are repaired. Areas of QuPath's ignored classes ("Ignore*") are left out:
    cut out of what is included, added to what is excluded.

    Coordinates are pixels of level 0, except that QuPath counts from the corner of the scanned area where the slide
    gives one (``Pyramid.bounds_l0``).

    Raises:
        SlideError: as ``read_drawn``; also ``bad-regions`` for outlines that cross one another too often, and where
            there is something to include and none of it is meant.
    """
    drawn = read_drawn(path, wanted)
    if rule == "include":
        drawn.require_area(path, wanted)
    _refuse_tangles(path, [ring for rings in (*drawn.polygons, *drawn.ignored) for ring in rings])
    try:
        whole = _union(drawn.polygons)
        if drawn.ignored:
            ignored = _union(drawn.ignored)
            whole = whole.difference(ignored) if rule == "include" else whole.union(ignored)
        return replace(_regions(whole), classes=drawn.classes)
    except shapely.errors.GEOSException as error:
        raise bad_regions(path, f"the union of the outlines cannot be computed: {error}") from None


def _union(polygons: list[Polygon]) -> Any:
    """The union, computed only where boxes around polygons overlap: of 60,000 small polygons on a slide in 0.3 s, which
    ``shapely.union_all`` takes 8 s for."""
    return shapely.disjoint_subset_union_all(_mended([shapely.Polygon(rings[0], rings[1:]) for rings in polygons]))


def require_on_slide(path: Path, regions: Regions, width_px: int, height_px: int) -> None:
    """Raises SlideError ``bad-regions`` where there are regions and all of them miss the slide, whose scanned area has
    this size."""
    if regions.whole.is_empty or regions.whole.intersects(shapely.box(0, 0, width_px, height_px)):
        return
    left, top, right, bottom = (round(one) for one in regions.whole.bounds)
    raise bad_regions(
        path,
        f"every region lies beside the slide: they span x {left:,} to {right:,} and y {top:,} to {bottom:,}, the slide "
        f"is {width_px:,} x {height_px:,} px; are they of another slide, or of a smaller copy of it?",
        remedy="give the file of this slide its name, <slide_id>.geojson, with outlines in pixels of the whole slide",
    )


def _refuse_tangles(path: Path, rings: list[Float64Array]) -> None:
    """Raise where the outlines cross so often that their union would fill the memory."""
    if not rings:
        return
    segments = np.concatenate([np.concatenate([ring[:-1], ring[1:]], axis=1) for ring in rings])
    across, down = np.abs(segments[:, 2:] - segments[:, :2]).sum(axis=0)
    if across > down:  # flat outlines: few of them lie beside one another, thousands above one another
        segments = segments[:, [1, 0, 3, 2]]
    segments = segments[np.argsort(np.minimum(segments[:, 0], segments[:, 2]), kind="stable")]
    crossings = count_crossings(segments, MOST_CROSSINGS, MOST_PAIRS)
    if crossings > MOST_CROSSINGS:
        raise bad_regions(path, f"outlines that cross one another more than {MOST_CROSSINGS:,} times")


@kernel()
def count_crossings(segments: Float64Array, most: int, most_pairs: int) -> int:
    """How often segments, float64 (n, 4) of x0, y0, x1, y1 in order of their left ends, cross one another or run
    along one another; ``most + 1`` where it is more than ``most`` or more than ``most_pairs`` pairs were looked at."""
    crossings = pairs = 0
    for i in range(len(segments)):
        right = max(segments[i, 0], segments[i, 2])
        low, high = min(segments[i, 1], segments[i, 3]), max(segments[i, 1], segments[i, 3])
        for j in range(i + 1, len(segments)):
            if min(segments[j, 0], segments[j, 2]) > right:
                break
            pairs += 1
            if min(segments[j, 1], segments[j, 3]) <= high and max(segments[j, 1], segments[j, 3]) >= low:
                crossings += _meet(segments[i], segments[j])
        if crossings > most or pairs > most_pairs:
            return most + 1
    return crossings


@kernel()
def _meet(one: Float64Array, other: Float64Array) -> Any:
    """Whether two segments cross within both, or share more than a point."""
    start, stop = _side(one, other[0], other[1]), _side(one, other[2], other[3])
    if start == 0 and stop == 0:
        shared_x = min(max(one[0], one[2]), max(other[0], other[2])) - max(min(one[0], one[2]), min(other[0], other[2]))
        shared_y = min(max(one[1], one[3]), max(other[1], other[3])) - max(min(one[1], one[3]), min(other[1], other[3]))
        return max(shared_x, shared_y) > 0
    return start * stop < 0 and _side(other, one[0], one[1]) * _side(other, one[2], one[3]) < 0


@kernel()
def _side(line: Float64Array, x: float, y: float) -> Any:
    return np.sign((line[2] - line[0]) * (y - line[1]) - (line[3] - line[1]) * (x - line[0]))


def _mended(polygons: list[Any]) -> Geometries:
    """The same polygons, every one valid. An area that an outline encloses twice is inside, not a hole."""
    found = np.array(polygons, dtype=object)
    wrong = ~shapely.is_valid(found)
    found[wrong] = shapely.make_valid(found[wrong], method="structure", keep_collapsed=False)
    return found


def _regions(whole: Any) -> Regions:
    parts = _with_area(whole)
    outlines = _pieces([shapely.Polygon(part.exterior) for part in parts])
    holes = _pieces([shapely.Polygon(hole) for part in parts for hole in part.interiors])
    signs = np.repeat([1, -1], [len(outlines), len(holes)])
    return Regions(whole, np.array(outlines + holes, dtype=object), signs)


def _pieces(polygons: list[Any]) -> list[Any]:
    """Halve polygons of many positions again and again, so that a tile at an edge meets a short outline only. (With
    their holes they are slow to cut: a file of 48,000 holes took 17 s, without them it takes 3 s.)"""
    waiting, pieces = polygons, []
    while waiting:
        part = waiting.pop()
        left, top, right, bottom = shapely.bounds(part).tolist()
        if shapely.get_num_coordinates(part) <= PIECE_POSITIONS or max(right - left, bottom - top) < SMALLEST_PIECE_PX:
            pieces.append(part)
            continue
        if right - left >= bottom - top:
            middle = (left + right) / 2
            halves = [shapely.box(left, top, middle, bottom), shapely.box(middle, top, right, bottom)]
        else:
            middle = (top + bottom) / 2
            halves = [shapely.box(left, top, right, middle), shapely.box(left, middle, right, bottom)]
        waiting += [cut for half in halves for cut in _with_area(shapely.intersection(part, half))]
    return pieces


def _with_area(geometry: Any) -> list[Any]:
    """The polygons of a geometry, without the points and lines that are left where outlines touch."""
    parts = shapely.get_parts(geometry)
    return list(parts[shapely.get_dimensions(parts) == 2])


def region_fraction(regions: Regions, xy_l0: Int64Array, side_l0: float) -> Float32Array:
    """How much of each square lies in the regions.

    Args:
        regions: of ``read_regions``.
        xy_l0: int64 (n, 2), top left corners in the pixels of the regions (level 0, from ``bounds_l0`` where the slide
            gives it).
        side_l0: side of the squares in the same pixels, need not be whole.

    Returns:
        float32 (n,) in 0..1. GEOS computes in float64; rounded, a share of exactly a half is exactly a half, so that
        no decision depends on the last digits.
    """
    shapely.prepare(regions.whole)
    tree = shapely.STRtree(regions.pieces)
    blocks = [xy_l0[first : first + TILES_AT_ONCE] for first in range(0, len(xy_l0), TILES_AT_ONCE)]
    return np.concatenate([np.empty(0, np.float32), *(_shares(regions, tree, block, side_l0) for block in blocks)])


def _shares(regions: Regions, tree: shapely.STRtree, xy_l0: Int64Array, side_l0: float) -> Float32Array:
    squares = shapely.box(xy_l0[:, 0], xy_l0[:, 1], xy_l0[:, 0] + side_l0, xy_l0[:, 1] + side_l0)
    inside = shapely.covers(regions.whole, squares)
    rest = np.flatnonzero(~inside)
    square, piece = tree.query(squares[rest], predicate="intersects")
    areas = regions.signs[piece] * shapely.area(shapely.intersection(squares[rest[square]], regions.pieces[piece]))
    shares = inside.astype(np.float64)
    shares[rest] = np.bincount(square, areas, minlength=len(rest)) / side_l0**2
    rounded: Float32Array = np.clip(shares, 0, 1).astype(np.float32)
    return rounded
