"""The annotations of a GeoJSON file as QuPath writes it, which comes from outside: its size and numbers are bounded.

What counts is decided from the properties of a feature: QuPath writes ``objectType`` (until 0.3 an id such as
``PathDetectionObject``), ``classification`` with a name, and ``isMissing`` of a TMA core. A feature of another program
has none of them and counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.errors import SlideError, some
from hypoxia_hpc.reading import UnfitFileError, parsed_json, read_plain
from hypoxia_hpc.records import Float64Array

EXPORT = "export the annotations from QuPath again as GeoJSON (File, Export objects as GeoJSON)"
MOST_BYTES = 16 * 2**20  # 700,000 positions of QuPath's
# A position is a list. Read, united and cut into pieces a position takes some 450 bytes: a worker holds 600 MB in all.
MOST_PARTS = 500_000
MOST_COORDINATE = 2**31
MOST_TOLD = 5  # problems of one file in one message

WITHOUT_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")
# QuPath's kinds of objects of which an area may be meant; cells, detections and tiles are results of QuPath's own.
MEANT = ("annotation", "tma_core")
OLD_KINDS = {
    "PathAnnotationObject": "annotation",
    "TMACoreObject": "tma_core",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
}
# Keys that are looked at, on any level; the values of others are dropped as soon as they are read.
KEPT = frozenset(
    "type features geometry geometries coordinates properties id objectType object_type isMissing classification "  # noqa: SIM905 - reads as a list
    "names name".split()
)
# QuPath leaves out what lies in an area of a class whose name ends so: "Ignore*", "Region*".
IGNORED_END = "*"
UNCLASSIFIED = ""

Ring = Float64Array
Polygon = list[Ring]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a file says: polygons of areas that are meant, and of those that are to be ``ignored``, each with its rings,
    outline first. ``classes``: how many annotations with an area each class has ("" is none). ``others``: how many
    features there are of other kinds, or without an area."""

    polygons: list[Polygon]
    ignored: list[Polygon]
    classes: dict[str, int]
    others: dict[str, int]

    def require_area(self, path: Path, wanted: Sequence[str]) -> None:
        """Raises SlideError ``bad-regions`` where no feature is an area that is meant."""
        if self.polygons:
            return
        if not (self.classes or self.others):
            raise bad_regions(path, "it has no annotation at all", f"draw what is to be included, and {EXPORT}")
        if self.classes and all(name.endswith(IGNORED_END) for name in self.classes):
            names = ", ".join(f"{name} {n:,}" for name, n in sorted(self.classes.items()))
            raise bad_regions(
                path,
                f"all annotations with an area are of classes that are left out: {names}",
                "draw what is to be included, of a class whose name does not end in *; to use all of the slide but "
                'these areas, set [tile] regions_rule = "exclude"',
            )
        of_class = f" of class {' or '.join(wanted)} ([tile] region_classes)" if wanted else ""
        counted = {name or "no class": n for name, n in self.classes.items()} | self.others
        found = ", ".join(f"{name} {n:,}" for name, n in sorted(counted.items()))
        problem = f"no annotation{of_class} with an area; there are: {found}"
        raise bad_regions(path, problem, "change [tile] region_classes, or draw such annotations" if wanted else EXPORT)


class _Wrong(ValueError):  # noqa: N818 - one problem of a file, reported with the others
    """What is wrong with one feature."""


def read_drawn(path: Path, wanted: Sequence[str] = ()) -> Drawn:
    """The areas of a FeatureCollection, a list of features, a feature or a geometry; every ring float64 (k, 2), closed.

    Annotations and TMA cores that are there count; detections, cells and tiles do not. With ``wanted``, only those of
    these classes or of classes below them ("Tumor" has "Tumor: Positive"). Empty geometries
    (null, {}, rings without positions), points and lines are skipped.

    Raises:
        SlideError: ``bad-regions`` with what is wrong (no GeoJSON, more than 16 MiB, more than 500,000 positions, lists
            and objects, coordinates that are no numbers, rings that are not closed); ``no-permission``; ``no-regions``.
    """
    content = read_bytes(path)
    _refuse_many(path, content)
    try:
        found = parsed_json(path, content, object_hook=_compact)
    except UnfitFileError as error:
        raise SlideError("bad-regions", error.problem, remedy=EXPORT) from None
    meant, others = _meant(_features(found))
    return _drawn(path, meant, others, wanted)


def bad_regions(path: Path, problem: str, remedy: str = EXPORT) -> SlideError:
    """The error of a file that holds no usable regions."""
    return SlideError("bad-regions", f"{path}: {problem}", remedy=remedy)


def read_bytes(path: Path) -> bytes:
    """The file, at most 16 MiB. Raises SlideError."""
    try:
        return read_plain(path, MOST_BYTES)
    except UnfitFileError as error:
        raise SlideError("bad-regions", error.problem, remedy=f"{EXPORT}: annotations only, no cells") from None
    except (FileNotFoundError, NotADirectoryError):
        raise SlideError("no-regions", f"{path} does not exist", remedy="bring it back") from None
    except PermissionError as error:
        raise SlideError("no-permission", f"{path}: {error.strerror}", remedy="chmod it for this user") from None
    except OSError as error:
        raise bad_regions(path, f"cannot be read: {error.strerror}") from None


def _refuse_many(path: Path, content: bytes) -> None:
    """Raise for a file whose lists and objects would fill the memory, a position of coordinates being one of them."""
    parts = content.count(b"[") + content.count(b"{")
    if parts > MOST_PARTS:
        raise bad_regions(
            path, f"{parts:,} positions, lists and objects, more than {MOST_PARTS:,}: simplify the annotations"
        )


def _compact(found: dict[str, Any]) -> dict[str, Any]:
    """What is needed of an object of JSON, which has just been read: coordinates of areas as arrays, since as lists
    they take ten times the memory; nothing of the geometry of a feature that is not meant."""
    kept = {key: value for key, value in found.items() if key in KEPT}
    if "coordinates" in kept:
        kept["coordinates"] = _packed(kept.get("type"), kept["coordinates"])
    if "geometry" in kept and _kind(kept) not in MEANT:
        del kept["geometry"]
    return kept


def _packed(kind: object, coordinates: object) -> list[Polygon] | _Wrong:
    """The polygons of a geometry, or what is wrong with it, to be said if it is meant."""
    try:
        if kind == "MultiPolygon":
            found = _listed(coordinates, "MultiPolygon without its coordinates")
        else:
            found = [coordinates] if kind == "Polygon" else []
        return [_rings(rings) for rings in found if not _is_empty(rings)]
    except _Wrong as wrong:
        return _Wrong(*wrong.args)  # without its traceback, which holds the lists


def _features(found: object) -> list[object]:
    """The features of a collection or a list, else the single feature or geometry that the file holds."""
    if isinstance(found, dict) and found.get("type") == "FeatureCollection":
        found = found.get("features")
        return found if isinstance(found, list) else [{"type": "FeatureCollection without a list of features"}]
    return found if isinstance(found, list) else [found]


def _meant(features: list[object]) -> tuple[list[tuple[int, object]], dict[str, int]]:
    """The features that an area may be meant by, with their numbers; and how many there are of each other kind."""
    meant, others = [], Counter[str]()
    for number, feature in enumerate(features, start=1):
        kind = _kind(feature)
        if kind in MEANT:
            meant.append((number, feature))
        else:
            others[kind] += 1
    return meant, dict(others)


def _kind(feature: object) -> str:
    """What QuPath calls the object; what another program wrote is an annotation."""
    properties = _properties(feature)
    kind = properties.get("objectType", properties.get("object_type"))
    if kind is None and isinstance(feature, dict):
        identity = feature.get("id")
        kind = OLD_KINDS.get(identity) if isinstance(identity, str) else None
    if kind == "tma_core" and properties.get("isMissing") is True:
        return "missing tma_core"
    return kind if isinstance(kind, str) else MEANT[0]


def _class(feature: object) -> str:
    """The name of a feature's class, with those below it behind colons; "" where it has none."""
    named = _properties(feature).get("classification")
    if not isinstance(named, dict):
        return UNCLASSIFIED
    names = named.get("names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return ": ".join(names)
    name = named.get("name")
    return name if isinstance(name, str) else UNCLASSIFIED


def _properties(feature: object) -> dict[str, Any]:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties if isinstance(properties, dict) else {}


def _drawn(path: Path, meant: Sequence[tuple[int, object]], others: dict[str, int], wanted: Sequence[str]) -> Drawn:
    drawn = Drawn([], [], {}, others)
    problems: list[str] = []
    for number, feature in meant:
        name = _class(feature)
        try:
            polygons = list(_polygons(feature))
        except _Wrong as wrong:
            problems.append(f"feature {number}: {wrong}" if len(problems) < MOST_TOLD else "and so on")
            if len(problems) > MOST_TOLD:
                break
            continue
        counts, kind = (drawn.classes, name) if polygons else (drawn.others, f"{name or 'no class'} without an area")
        counts[kind] = counts.get(kind, 0) + 1
        if name.endswith(IGNORED_END):
            drawn.ignored.extend(polygons)
        elif not wanted or _is_of(name, wanted):
            drawn.polygons.extend(polygons)
    if problems:
        raise bad_regions(path, "; ".join(problems))
    return drawn


def _is_of(name: str, wanted: Sequence[str]) -> bool:
    said = composed(name)
    return any(said == one or said.startswith(f"{one}: ") for one in map(composed, wanted))


def _polygons(feature: object) -> Iterator[Polygon]:
    """Every polygon of a feature or geometry. Raises _Wrong."""
    waiting = [feature]
    while waiting:
        geometry = waiting.pop()
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if isinstance(geometry, dict) and kind == "Feature":
            waiting += [] if geometry.get("geometry") in (None, {}) else [geometry["geometry"]]
        elif isinstance(geometry, dict) and kind == "GeometryCollection":
            waiting += _listed(geometry.get("geometries"), "GeometryCollection without its geometries")
        elif isinstance(geometry, dict) and kind in ("Polygon", "MultiPolygon"):
            yield from _unpacked(geometry.get("coordinates", _Wrong(f"{kind} without its coordinates")))
        elif kind not in WITHOUT_AREA:
            raise _Wrong(f"{_shown(kind)} is no kind of GeoJSON geometry")


def _unpacked(packed: list[Polygon] | _Wrong) -> list[Polygon]:
    if isinstance(packed, _Wrong):
        raise packed
    return packed


def _is_empty(rings: object) -> bool:
    """A polygon without positions: [], or [[]] with an outline and perhaps holes that have none."""
    return isinstance(rings, list) and all(ring == [] for ring in rings)


def _rings(rings: object) -> Polygon:
    """Outline first; a hole without positions is none."""
    outline, *holes = _listed(rings, "Polygon without its coordinates")
    return [_ring(ring) for ring in (outline, *(hole for hole in holes if hole != []))]


def _ring(ring: object) -> Ring:
    """Positions of a closed ring, float64 (k, 2); further coordinates of a position are left out."""
    positions = _listed(ring, "ring that is no list of positions")
    for position in positions:
        if not (isinstance(position, list) and len(position) >= 2 and _is_coordinate(position[0], position[1])):
            raise _Wrong(f"{_shown(position)} is no position [x, y] of numbers up to {MOST_COORDINATE:,}")
    if len(positions) < 4 or positions[0][:2] != positions[-1][:2]:
        raise _Wrong(
            f"a ring of {some(len(positions), 'position')}; 4 or more, of which the last is the first, would be closed"
        )
    numbers = (number for position in positions for number in (position[0], position[1]))
    return np.fromiter(numbers, np.float64, 2 * len(positions)).reshape(-1, 2)


def _is_coordinate(*values: object) -> bool:
    return all(type(value) in (int, float) and abs(value) <= MOST_COORDINATE for value in values)  # type: ignore[arg-type]


def _listed(value: object, problem: str) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong(problem)
    return value


def _shown(value: object) -> str:
    text = json.dumps(value) if not isinstance(value, list | dict) else f"{type(value).__name__} of {len(value)}"
    return text if len(text) <= 60 else text[:57] + "..."
