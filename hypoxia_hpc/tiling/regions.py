"""Regions drawn on a slide, from GeoJSON files as QuPath writes them, and how much of each tile lies in them.

A file comes from outside: its size, its numbers and how often its outlines cross are bounded before anything works on
it (a million crossings are a gigabyte and half a minute in GEOS; a few kilobytes of text can draw them).
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Float32Array, Float64Array, Int64Array
from hypoxia_hpc.tiling.compiling import kernel

MOST_BYTES = 16 * 2**20  # 700,000 positions of QuPath's; parsed they take 15 times the memory
MOST_COORDINATE = 2**31
MOST_CROSSINGS = 200_000
MOST_PAIRS = 4_000_000_000  # of outline segments above one another, looked at for crossings: some seconds
MOST_TOLD = 5  # problems of one file in one message

PIECE_POSITIONS = 256
SMALLEST_PIECE_PX = 1.0
TILES_AT_ONCE = 2**16

WITHOUT_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")

Ring = Float64Array
Geometries = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Regions:
    """The union of the polygons of a file, in QuPath's pixels: ``whole`` a shapely (Multi)Polygon. ``pieces``, a
    shapely array (n,), are what its outlines and its holes enclose, cut into polygons of few positions; by ``signs``,
    int64 (n,), those count 1 and these -1."""

    whole: Any
    pieces: Geometries
    signs: Int64Array


class _Wrong(ValueError):  # noqa: N818 - one problem of a file, told with the others
    """What is wrong with one feature."""


def regions_path(folder: Path, slide_id: str) -> Path:
    """Where the regions of a slide lie. Raises SlideError ``no-regions`` where there is no such file."""
    path = folder / f"{slide_id}.geojson"
    if not path.exists():
        raise SlideError(
            "no-regions",
            f"{path} does not exist, so nobody said which part of this slide to use",
            remedy="export its annotations from QuPath as GeoJSON under this name; for a slide without any write "
            '{"type": "FeatureCollection", "features": []}',
        )
    return path


def regions_digest(path: Path) -> str:
    """SHA-256 (hex) of the file's bytes. Raises SlideError as ``read_regions`` does for files that cannot be read."""
    return hashlib.sha256(_bytes(path)).hexdigest()


def read_regions(path: Path) -> Regions:
    """Read a FeatureCollection, a list of features, a feature or a geometry; Polygons and MultiPolygons with holes.

    Coordinates are pixels of level 0, except that QuPath counts from the corner of the scanned area where the slide
    gives one (``Pyramid.bounds_l0``). Points and lines have no area and are passed over, properties are not looked at,
    what overlaps counts once, outlines that cross themselves are mended.

    Raises:
        SlideError: ``bad-regions`` with what is wrong (no GeoJSON, more than 16 MiB, coordinates that are no numbers,
            rings that are not closed, tangled outlines, features but no polygon); ``no-permission``; ``no-regions``.
    """
    try:
        found = json.loads(_bytes(path))
    except RecursionError:
        raise _bad(path, "lists within lists, too deep to be GeoJSON") from None
    except ValueError as error:  # not JSON, not Unicode, a number of more than 4,300 digits
        raise _bad(path, f"no JSON: {error}") from None
    features = _features(found)
    polygons = _polygons(path, features)
    if features and not polygons:
        raise _bad(path, f"{len(features)} features, but no polygon among them")
    _refuse_tangles(path, [ring for rings in polygons for ring in rings])
    try:
        whole = shapely.union_all(_mended([shapely.Polygon(rings[0], rings[1:]) for rings in polygons]))
        return _regions(whole)
    except shapely.errors.GEOSException as error:
        raise _bad(path, f"outlines that cannot be laid over one another: {error}") from None


def _bad(path: Path, problem: str) -> SlideError:
    return SlideError(
        "bad-regions",
        f"{path}: {problem}",
        remedy="export the annotations from QuPath again as GeoJSON (File, Export objects as GeoJSON)",
    )


def _bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
            raise _bad(path, "no plain file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise SlideError("no-regions", f"{path} does not exist", remedy="bring it back") from None
    except PermissionError as error:
        raise SlideError("no-permission", f"{path}: {error.strerror}", remedy="chmod it for this user") from None
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise _bad(path, f"{status.st_size:,} bytes, more than {MOST_BYTES:,}: annotations only, no cell detections")
    return content


def _features(found: object) -> list[object]:
    """What is to be looked at: the features of a collection or a list, else the one thing that is there."""
    if isinstance(found, dict) and found.get("type") == "FeatureCollection":
        found = found.get("features")
        return found if isinstance(found, list) else [{"type": "FeatureCollection without a list of features"}]
    return found if isinstance(found, list) else [found]


def _polygons(path: Path, features: list[object]) -> list[list[Ring]]:
    """The rings of every polygon, outline first."""
    polygons: list[list[Ring]] = []
    problems = []
    for number, feature in enumerate(features, start=1):
        try:
            polygons += [_rings(rings) for rings in _coordinates(feature)]
        except _Wrong as wrong:
            problems.append(f"feature {number}: {wrong}" if len(problems) < MOST_TOLD else "and so on")
            if len(problems) > MOST_TOLD:
                break
    if problems:
        raise _bad(path, "; ".join(problems))
    return polygons


def _coordinates(feature: object) -> Iterator[object]:
    """The coordinates of every polygon of a feature or geometry."""
    waiting = [feature]
    while waiting:
        geometry = waiting.pop()
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if isinstance(geometry, dict) and kind == "Feature":
            waiting += [] if geometry.get("geometry") is None else [geometry["geometry"]]
        elif isinstance(geometry, dict) and kind == "GeometryCollection":
            waiting += _listed(geometry.get("geometries"), "GeometryCollection without its geometries")
        elif isinstance(geometry, dict) and kind == "Polygon":
            yield geometry.get("coordinates")
        elif isinstance(geometry, dict) and kind == "MultiPolygon":
            yield from _listed(geometry.get("coordinates"), "MultiPolygon without its coordinates")
        elif kind not in WITHOUT_AREA:
            raise _Wrong(f"{_shown(kind)} is no kind of GeoJSON geometry")


def _rings(rings: object) -> list[Ring]:
    listed = _listed(rings, "Polygon without its coordinates")
    if not listed:
        raise _Wrong("Polygon without a ring")
    return [_ring(ring) for ring in listed]


def _ring(ring: object) -> Ring:
    """Positions of a closed ring, float64 (k, 2); further coordinates of a position are left out."""
    positions = _listed(ring, "ring that is no list of positions")
    for position in positions:
        if not (isinstance(position, list) and len(position) >= 2 and _is_coordinate(position[0], position[1])):
            raise _Wrong(f"{_shown(position)} is no position [x, y] of numbers up to {MOST_COORDINATE:,}")
    if len(positions) < 4 or positions[0][:2] != positions[-1][:2]:
        raise _Wrong(
            f"a ring of {len(positions)} positions; 4 or more, of which the last is the first, would be closed"
        )
    return np.array([position[:2] for position in positions], dtype=np.float64)


def _is_coordinate(*values: object) -> bool:
    return all(type(value) in (int, float) and abs(value) <= MOST_COORDINATE for value in values)  # type: ignore[arg-type]


def _listed(value: object, problem: str) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong(problem)
    return value


def _shown(value: object) -> str:
    text = json.dumps(value) if not isinstance(value, list | dict) else f"{type(value).__name__} of {len(value)}"
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse_tangles(path: Path, rings: list[Ring]) -> None:
    """Raise where the outlines cross so often that to lay them over one another would fill the memory."""
    if not rings:
        return
    segments = np.concatenate([np.concatenate([ring[:-1], ring[1:]], axis=1) for ring in rings])
    segments = segments[np.argsort(np.minimum(segments[:, 0], segments[:, 2]), kind="stable")]
    crossings = count_crossings(segments, MOST_CROSSINGS, MOST_PAIRS)
    if crossings > MOST_CROSSINGS:
        raise _bad(path, f"outlines that cross one another more than {MOST_CROSSINGS:,} times")


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
def _meet(one: Float64Array, other: Float64Array) -> bool:
    """Whether two segments cross within both, or share more than a point."""
    start, stop = _side(one, other[0], other[1]), _side(one, other[2], other[3])
    if start == 0 and stop == 0:
        shared_x = min(max(one[0], one[2]), max(other[0], other[2])) - max(min(one[0], one[2]), min(other[0], other[2]))
        shared_y = min(max(one[1], one[3]), max(other[1], other[3])) - max(min(one[1], one[3]), min(other[1], other[3]))
        return max(shared_x, shared_y) > 0
    return start * stop < 0 and _side(other, one[0], one[1]) * _side(other, one[2], one[3]) < 0


@kernel()
def _side(line: Float64Array, x: float, y: float) -> float:
    return np.sign((line[2] - line[0]) * (y - line[1]) - (line[3] - line[1]) * (x - line[0]))


def _mended(polygons: list[Any]) -> Geometries:
    """The same, every one valid; what an outline that crosses itself goes around twice is inside, not a hole."""
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
    their holes they would be slow to cut: 13 s instead of 1 s for 48,000 holes.)"""
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
        float32 (n,) in 0..1; what GEOS computes in float64 is good to nine digits, so machines agree after rounding.
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
    return np.clip(shares, 0, 1).astype(np.float32)
