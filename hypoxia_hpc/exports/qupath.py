"""GeoJSON as QuPath reads it: a tile for each tile, or an annotation for each class of tiles that touch."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.exports.slide import File, Format, SlideExport
from hypoxia_hpc.records import Json

# Okabe and Ito's colours, which colour-blind readers tell from each other; the first class is bluish.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (240, 228, 66))
NAMESPACE = uuid.UUID("6f0c1d2e-7a35-5d0b-9a0f-4b7f1f6f2b90")


def tile_features(slide: SlideExport) -> Iterator[Json]:
    """A QuPath tile object for each tile, in level 0 pixels, with what is said of it as measurements."""
    columns = {name: slide.said[name].to_numpy() for name in slide.said}
    for row, (x, y) in enumerate(slide.xy_l0.tolist()):
        side = slide.side_l0
        ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        said = {name: float(values[row]) for name, values in columns.items() if not np.isnan(values[row])}
        properties = {"objectType": "tile", **_class(slide, int(slide.classes[row])), "measurements": said}
        yield _feature(f"{slide.slide.slide_id}/{x}/{y}/{side}", {"type": "Polygon", "coordinates": [ring]}, properties)


def region_features(slide: SlideExport) -> Iterator[Json]:
    """An annotation for each class: the tiles that are called so, joined where they touch, with their number."""
    import shapely

    x, y = slide.xy_l0.T
    boxes = shapely.box(x, y, x + slide.side_l0, y + slide.side_l0)
    for number in sorted({*slide.classes.tolist()} - {-1}):
        own = slide.classes == number
        geometry = shapely.geometry.mapping(shapely.normalize(shapely.union_all(boxes[own])))
        said = {"tiles": float(own.sum())}
        properties = {"objectType": "annotation", **_class(slide, number), "measurements": said}
        yield _feature(f"{slide.slide.slide_id}/class/{number}", geometry, properties)


def _feature(name: str, geometry: Mapping[str, Any], properties: Json) -> Json:
    return {"type": "Feature", "id": str(uuid.uuid5(NAMESPACE, name)), "geometry": geometry, "properties": properties}


def _class(slide: SlideExport, number: int) -> Json:
    if number < 0:
        return {}
    colour = list(COLOURS[number % len(COLOURS)])
    return {"classification": {"name": slide.names[number], "color": colour}, "color": colour}


def _written(features: Iterator[Json], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for number, feature in enumerate(features):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(feature, separators=(",", ":"), allow_nan=False))
        file.write("\n]}\n")


def _tiles(slide: SlideExport, folder: Path) -> Iterator[File]:
    yield f"{slide.slide.slide_id}.geojson", lambda path: _written(tile_features(slide), path)


def _regions(slide: SlideExport, folder: Path) -> Iterator[File]:
    yield f"{slide.slide.slide_id}.geojson", lambda path: _written(region_features(slide), path)


TILES = Format("qupath", "QuPath: ID.geojson, a tile object for each tile", _tiles, has_features=False)
REGIONS = Format(
    "qupath-regions", "QuPath: ID.geojson, an annotation for each class of tiles", _regions, has_features=False
)
