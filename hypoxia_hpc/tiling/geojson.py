"""The rings of the polygons of a GeoJSON file, which comes from outside: its size and its numbers are bounded."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Float64Array

MOST_BYTES = 16 * 2**20  # 700,000 positions of QuPath's; parsed they take 15 times the memory
MOST_COORDINATE = 2**31
MOST_TOLD = 5  # problems of one file in one message

WITHOUT_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")

Ring = Float64Array


class _Wrong(ValueError):  # noqa: N818 - one problem of a file, reported with the others
    """What is wrong with one feature."""


def read_polygons(path: Path) -> list[list[Ring]]:
    """The rings of every polygon, outline first, each float64 (k, 2) and closed: of a FeatureCollection, a list of
    features, a feature or a geometry. Points and lines are skipped, properties are ignored.

    Raises:
        SlideError: ``bad-regions`` with what is wrong (no GeoJSON, more than 16 MiB, coordinates that are no numbers,
            rings that are not closed, features but no polygon); ``no-permission``; ``no-regions``.
    """
    try:
        found = json.loads(read_bytes(path))
    except RecursionError:
        raise bad_regions(path, "lists within lists, too deep to be GeoJSON") from None
    except ValueError as error:  # not JSON, not Unicode, a number of more than 4,300 digits
        raise bad_regions(path, f"no JSON: {error}") from None
    features = _features(found)
    polygons = _polygons(path, features)
    if features and not polygons:
        raise bad_regions(path, f"{len(features)} features, but no polygon among them")
    return polygons


def bad_regions(path: Path, problem: str) -> SlideError:
    """The error of a file that holds no usable regions."""
    return SlideError(
        "bad-regions",
        f"{path}: {problem}",
        remedy="export the annotations from QuPath again as GeoJSON (File, Export objects as GeoJSON)",
    )


def read_bytes(path: Path) -> bytes:
    """The file, at most 16 MiB. Raises SlideError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
            raise bad_regions(path, "no plain file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise SlideError("no-regions", f"{path} does not exist", remedy="bring it back") from None
    except PermissionError as error:
        raise SlideError("no-permission", f"{path}: {error.strerror}", remedy="chmod it for this user") from None
    except OSError as error:
        raise bad_regions(path, f"cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise bad_regions(
            path, f"{status.st_size:,} bytes, more than {MOST_BYTES:,}: annotations only, no cell detections"
        )
    return content


def _features(found: object) -> list[object]:
    """The features of a collection or a list, else the single feature or geometry that the file holds."""
    if isinstance(found, dict) and found.get("type") == "FeatureCollection":
        found = found.get("features")
        return found if isinstance(found, list) else [{"type": "FeatureCollection without a list of features"}]
    return found if isinstance(found, list) else [found]


def _polygons(path: Path, features: list[object]) -> list[list[Ring]]:
    """The rings of every polygon, outline first."""
    polygons: list[list[Ring]] = []
    problems: list[str] = []
    for number, feature in enumerate(features, start=1):
        try:
            polygons += [_rings(rings) for rings in _coordinates(feature)]
        except _Wrong as wrong:
            problems.append(f"feature {number}: {wrong}" if len(problems) < MOST_TOLD else "and so on")
            if len(problems) > MOST_TOLD:
                break
    if problems:
        raise bad_regions(path, "; ".join(problems))
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
