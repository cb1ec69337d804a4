"""Regions of GeoJSON: every form that QuPath writes, areas against a slow twin, and hostile files."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import naive
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc import reading
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.tiling import regions as module
from hypoxia_hpc.tiling.geojson import MOST_BYTES, MOST_PARTS, read_drawn
from hypoxia_hpc.tiling.region_paths import regions_digest, regions_path
from hypoxia_hpc.tiling.regions import (
    Regions,
    count_crossings,
    read_regions,
    region_fraction,
    require_on_slide,
)

Rings = list[list[list[float]]]

# As QuPath 0.5 exports an annotation with a hole, one of several parts, a point annotation and a line.
QUPATH = """{
  "type": "FeatureCollection",
  "features": [
    {
      "type": "Feature",
      "id": "ad3ba0a9-0a0f-4ac6-a89c-d6cd39a8d4b7",
      "geometry": {
        "type": "Polygon",
        "coordinates": [
          [[100, 100], [500.0, 100], [500.00, 500], [100, 500], [100, 100]],
          [[200, 200], [300, 200], [300, 300], [200, 300], [200, 200]]
        ]
      },
      "properties": {
        "objectType": "annotation",
        "name": "Tumour <b>1</b>",
        "classification": {"name": "Tumor", "color": [200, 0, 0]},
        "isLocked": true,
        "measurements": {"Area µm^2": NaN, "Solidity": 1e999}
      }
    },
    {
      "type": "Feature",
      "id": "PathAnnotationObject",
      "geometry": {
        "type": "MultiPolygon",
        "coordinates": [
          [[[600, 100], [700, 100], [700, 200], [600, 200], [600, 100]]],
          [[[600, 300, 0], [700, 300, 0], [700, 400, 0], [600, 300, 0]]]
        ],
        "plane": {"c": -1, "z": 0, "t": 0}
      },
      "properties": {"isLocked": false, "measurements": []}
    },
    {"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}, "properties": {}},
    {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, "properties": null},
    {"type": "Feature", "geometry": null, "properties": null}
  ]
}"""


def box(x: float, y: float, width: float, height: float) -> list[list[float]]:
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {}}


def regions_of(folder: Path, *geometries: object) -> Regions:
    path = folder / "slide.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(each) for each in geometries]}))
    return read_regions(path)


def shares(regions: Regions, corners: list[tuple[int, int]], side: float) -> list[float]:
    found = region_fraction(regions, np.array(corners, dtype=np.int64).reshape(-1, 2), side)
    assert found.dtype == np.float32
    return [float(value) for value in found]


def refused(path: Path) -> SlideError:
    with pytest.raises(SlideError) as caught:
        read_regions(path)
    assert caught.value.reason == "bad-regions"
    assert caught.value.problem.startswith(f"{path}: ")
    assert "QuPath" in caught.value.remedy
    assert len(str(caught.value)) < 1000
    return caught.value


# --- forms -------------------------------------------------------------------------------------------------------


def test_an_export_of_qupath(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    path.write_text(QUPATH)
    regions = read_regions(path)
    assert regions.whole.area == 400**2 - 100**2 + 100**2 + 100**2 / 2
    corners = [(100, 100), (200, 200), (150, 150), (600, 300), (550, 50), (0, 0), (800, 0)]
    assert shares(regions, corners, 100.0) == [1, 0, 0.75, 0.5, 0.25, 0, 0]
    assert shares(regions, [(0, 0)], 1000.0) == [np.float32(0.165)]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_form_says_the_same(tmp_path: Path, mark: str) -> None:
    square = polygon(box(10, 10, 20, 20))
    multi = {"type": "MultiPolygon", "coordinates": [square["coordinates"]]}
    collection = {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [0, 0]}, multi]}
    forms: list[object] = [
        {"type": "FeatureCollection", "features": [feature(square)]},
        [feature(square)],
        [square, multi],
        feature(square),
        square,
        multi,
        collection,
        [feature(collection)],
    ]
    for form in forms:
        path = tmp_path / "slide.geojson"
        path.write_text(mark + json.dumps(form), encoding="utf-8")
        assert shares(read_regions(path), [(0, 0), (10, 10), (20, 20)], 20.0) == [0.25, 1, 0.25]


def test_a_file_without_annotations_excludes_nothing_and_includes_nothing(tmp_path: Path) -> None:
    for text in ('{"type": "FeatureCollection", "features": []}', "[]"):
        (tmp_path / "slide.geojson").write_text(text)
        regions = read_regions(tmp_path / "slide.geojson", "exclude")
        assert shares(regions, [(0, 0), (5, 5)], 10.0) == [0, 0]
        assert shares(regions, [], 10.0) == []
        assert "no annotation at all" in refused(tmp_path / "slide.geojson").problem


# --- areas -------------------------------------------------------------------------------------------------------


def test_what_overlaps_counts_once(tmp_path: Path) -> None:
    regions = regions_of(
        tmp_path, polygon(box(0, 0, 60, 100)), polygon(box(40, 0, 60, 100)), polygon(box(0, 0, 60, 100))
    )
    assert shares(regions, [(0, 0), (30, 0), (50, 50)], 100.0) == [1, np.float32(0.7), 0.25]


def test_a_hole_may_be_filled_by_another_polygon(tmp_path: Path) -> None:
    ring = polygon(box(0, 0, 100, 100), box(20, 20, 60, 60))
    assert shares(regions_of(tmp_path, ring), [(0, 0), (30, 30), (70, 70)], 20.0) == [1, 0, 0.75]
    assert shares(regions_of(tmp_path, ring, polygon(box(30, 30, 40, 40))), [(30, 30), (20, 20)], 20.0) == [1, 0.25]


def test_edges_that_touch_share_nothing(tmp_path: Path) -> None:
    regions = regions_of(tmp_path, polygon(box(0, 0, 100, 100)), polygon(box(100, 0, 100, 100)))
    assert shares(regions, [(100, 100), (200, 0), (0, 100)], 50.0) == [0, 0, 0]
    assert shares(regions, [(75, 25), (100, 50), (0, 0)], 50.0) == [1, 1, 1]


def test_regions_may_lie_beyond_the_slide(tmp_path: Path) -> None:
    regions = regions_of(tmp_path, polygon(box(-1e6, -1e6, 1e6 + 50, 2e6)))
    assert shares(regions, [(0, 0), (50, 0), (-100, -100)], 100.0) == [0.5, 0, 1]


@pytest.mark.parametrize("side", [299.0, 299.9, 300.24038461538464, 0.5])
def test_sides_need_not_be_whole(tmp_path: Path, side: float) -> None:
    regions = regions_of(tmp_path, polygon(box(0, 0, 100.25, 1e4)))
    assert shares(regions, [(0, 0), (100, 7)], side) == pytest.approx([min(1, 100.25 / side), 0.25 / side], rel=1e-6)


def test_outlines_that_cross_themselves_are_mended(tmp_path: Path) -> None:
    bow_tie = polygon([[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]])
    assert shares(regions_of(tmp_path, bow_tie), [(0, 0)], 100.0) == [0.5]
    loop = [[0.0, 0.0], [100, 0], [100, 100], [20, 100], [20, -20], [60, -20], [60, 60], [0, 60], [0, 0]]
    assert shares(regions_of(tmp_path, polygon(loop)), [(25, 25), (70, 70), (200, 0)], 20.0) == [1, 1, 0]
    hole_outside = polygon(box(0, 0, 10, 10), box(50, 50, 10, 10))
    assert regions_of(tmp_path, hole_outside).whole.area >= 100
    flat = polygon([[0, 0], [10, 10], [20, 20], [0, 0]])
    assert shares(regions_of(tmp_path, flat, polygon(box(50, 0, 10, 10))), [(0, 0), (50, 0)], 10.0) == [0, 1]
    dot = polygon([[5, 5]] * 4)
    assert shares(regions_of(tmp_path, dot), [(0, 0)], 10.0) == [0]


small = st.integers(0, 24)
boxes = st.tuples(small, small, st.integers(1, 16), st.integers(1, 16))


@settings(max_examples=60)
@given(
    outer=st.lists(boxes, min_size=1, max_size=5),
    holed=st.booleans(),
    corners=st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40)), max_size=4),
    side=st.integers(1, 12),
)
def test_areas_of_boxes_are_exact(
    tmp_path_factory: pytest.TempPathFactory,
    outer: list[tuple[int, int, int, int]],
    holed: bool,
    corners: list[tuple[int, int]],
    side: int,
) -> None:
    """Corners are whole, so that a unit square is in or out."""
    rings: list[Rings] = [[box(*each)] for each in outer]
    if holed:
        rings[0] = [box(0, 0, 30, 30), box(*outer[0][:2], 5, 5)]
    regions = regions_of(tmp_path_factory.mktemp("regions"), *(polygon(*each) for each in rings))
    expected = [np.float32(naive.region_share(rings, corner, side, side)) for corner in corners]
    assert shares(regions, corners, float(side)) == pytest.approx(expected, abs=1e-7)


@settings(max_examples=30)
@given(
    triangles=st.lists(st.lists(st.tuples(small, small), min_size=3, max_size=3), min_size=1, max_size=4),
    corner=st.tuples(small, small),
)
def test_areas_of_slanted_outlines_agree_with_counted_points(
    tmp_path_factory: pytest.TempPathFactory, triangles: list[list[tuple[int, int]]], corner: tuple[int, int]
) -> None:
    rings: list[Rings] = [[[[float(v) for v in point] for point in [*each, each[0]]]] for each in triangles]
    regions = regions_of(tmp_path_factory.mktemp("regions"), *(polygon(*each) for each in rings))
    assert shares(regions, [corner], 8.0) == pytest.approx([naive.region_share(rings, corner, 8.0, 40)], abs=0.06)


def wavy(n: int, radius: float) -> list[list[float]]:
    """An outline of many positions, as a wand or a classifier draws it."""
    angle = 2 * math.pi * np.arange(n) / n
    reach = radius * (1 + 0.2 * np.cos(5 * angle) + 0.02 * np.cos(401 * angle))
    ring = np.stack([2000 + reach * np.cos(angle), 2000 + reach * np.sin(angle)], axis=1).round(2).tolist()
    return [*ring, ring[0]]


def test_long_outlines_are_cut_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regions = regions_of(tmp_path, polygon(wavy(20_000, 1500.0), wavy(5_000, 400.0)))
    assert len(regions.pieces) > 50
    assert shapely.get_num_coordinates(regions.pieces).max() <= 300
    assert (regions.signs * shapely.area(regions.pieces)).sum() == pytest.approx(regions.whole.area, rel=1e-12)
    corners = [(x, y) for y in range(0, 4000, 97) for x in range(0, 4000, 97)]
    squares = [shapely.box(x, y, x + 97.3, y + 97.3) for x, y in corners]
    expected = shapely.area(shapely.intersection(regions.whole, squares)) / 97.3**2
    found = shares(regions, corners, 97.3)
    assert found == pytest.approx(expected.tolist(), abs=1e-6)
    monkeypatch.setattr(module, "TILES_AT_ONCE", 100)
    assert shares(regions, corners, 97.3) == found


# --- files that are refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("\x00", "no JSON"),
        ("<svg/>", "no JSON"),
        ("[1" + "0" * 5000 + "]", "no JSON: Exceeds the limit"),
        ("[" * 100_000, "too deep"),
        ('{"a":' * 100_000, "too deep"),
        ("null", "feature 1: null is no kind"),
        ("3", "feature 1: null is no kind"),
        ("[[]]", "feature 1: null is no kind"),
        ('{"type": "FeatureCollection"}', "without a list of features"),
        ('{"type": "FeatureCollection", "features": {}}', "without a list of features"),
        ('{"type": "Topology"}', '"Topology" is no kind'),
        ('{"type": ["Polygon"]}', "list of 1 is no kind"),
        ('{"type": "Feature", "geometry": "Polygon"}', "null is no kind"),
        ('{"type": "Polygon"}', "without its coordinates"),
        ('{"type": "Polygon", "coordinates": []}', "with an area; there are: no class without an area 1"),
        ('{"type": "Polygon", "coordinates": [[]]}', "with an area; there are: no class without an area 1"),
        ('{"type": "Polygon", "coordinates": [[], [[0, 0], [9, 0], [9, 9], [0, 0]]]}', "a ring of 0 positions"),
        ('{"type": "Polygon", "coordinates": [3]}', "no list of positions"),
        ('{"type": "MultiPolygon", "coordinates": {}}', "without its coordinates"),
        ('{"type": "GeometryCollection"}', "without its geometries"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}', "a ring of 3 positions"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}', "a ring of 4 positions"),
        ('{"type": "Point", "coordinates": [0, 0]}', "with an area; there are: no class without an area 1"),
        ('[{"type": "Feature", "geometry": null}]', "with an area; there are: no class without an area 1"),
    ],
)
def test_what_is_no_geojson_is_told(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "slide.geojson"
    path.write_text(text)
    assert named in refused(path).problem


@pytest.mark.parametrize(
    "position",
    [
        *("NaN", '"ab"', '{"0": 1, "1": 2}', "[]", "[1]", '["1", "2"]', "[true, 0]", "[null, 0]", "[[0, 0], 0]"),
        *("[NaN, 0]", "[0, Infinity]", "[1e300, 0]", "[1e999, 0]", "[0, -2147483649]", "[1" + "0" * 400 + ", 0]"),
    ],
)
def test_positions_are_numbers_within_reason(tmp_path: Path, position: str) -> None:
    path = tmp_path / "slide.geojson"
    path.write_text(f'[{{"type": "Polygon", "coordinates": [[[0, 0], {position}, [1, 1], [0, 0]]]}}]')
    assert refused(path).problem.startswith(f"{path}: feature 1: ")
    assert "is no position [x, y] of numbers" in refused(path).problem


def test_every_wrong_feature_is_named_to_a_few(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    good, bad = polygon(box(0, 0, 9, 9)), {"type": "Circle"}
    path.write_text(json.dumps([good, bad, good, {"type": "x" * 10_000}]))
    problem = refused(path).problem
    assert "feature 2:" in problem
    assert "feature 4:" in problem
    assert "feature 1:" not in problem
    path.write_text(json.dumps([bad] * 100_000))
    assert refused(path).problem.endswith('feature 5: "Circle" is no kind of GeoJSON geometry; and so on')


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    path.write_bytes(b'{"type": "\xff"}')
    assert "no JSON" in refused(path).problem


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert "1,099,511,627,776 bytes, more than 16,777,216" in refused(path).problem
    with path.open("wb") as file:
        file.write(b"[]" + b" " * (MOST_BYTES - 2))
    assert not len(read_regions(path, "exclude").pieces)


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.geojson")
    assert "no plain file" in refused(tmp_path / "pipe.geojson").problem
    assert "no plain file" in refused(tmp_path).problem
    for read in (read_regions, regions_digest):
        with pytest.raises(SlideError, match="does not exist") as caught:
            read(tmp_path / "elsewhere.geojson")
        assert caught.value.reason == "no-regions"


@pytest.mark.parametrize(
    ("error", "reason", "told"),
    [
        (PermissionError(13, "Permission denied"), "no-permission", "Permission denied"),
        (OSError(5, "Input/output error"), "bad-regions", "cannot be read: Input/output error"),
    ],
)
def test_a_file_that_the_system_withholds_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str, told: str
) -> None:
    def withheld(path: Path, flags: int) -> None:
        raise error

    path = tmp_path / "slide.geojson"
    path.write_text("[]")
    monkeypatch.setattr(reading, "os", SimpleNamespace(**vars(os) | {"open": withheld}))
    for read in (read_regions, regions_digest):
        with pytest.raises(SlideError, match=told) as caught:
            read(path)
        assert caught.value.reason == reason


def hatched(n: int) -> list[dict[str, Any]]:
    """n strips across and n down: 4 n² crossings from a file of 80 n bytes."""
    places = [100 * k for k in range(n)]
    return [polygon(box(0, y, 100 * n, 30)) for y in places] + [polygon(box(x, 0, 30, 100 * n)) for x in places]


def test_a_small_file_of_many_crossings_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,500 strips each way would fill nine million crossings' worth of memory: they are not laid over one another."""

    def laid_over(polygons: object) -> NoReturn:
        pytest.fail("the outlines are laid over one another")

    monkeypatch.setattr("shapely.union_all", laid_over)
    path = tmp_path / "slide.geojson"
    path.write_text(json.dumps(hatched(1500)))
    assert "cross one another more than 200,000 times" in refused(path).problem
    rng = np.random.default_rng(0)
    scribble = rng.integers(0, 100_000, (20_000, 2)).tolist()
    path.write_text(json.dumps(polygon([*scribble, scribble[0]])))
    assert "cross one another" in refused(path).problem


def test_some_crossings_are_none_too_many(tmp_path: Path) -> None:
    regions = regions_of(tmp_path, *hatched(40))
    assert regions.whole.area == 40 * 2 * 30 * 4000 - 40**2 * 30**2
    assert shares(regions, [(0, 0), (30, 30), (0, 30)], 100.0) == [np.float32(0.51), np.float32(0.51), np.float32(0.51)]


@pytest.mark.parametrize("is_flat", [True, False])
def test_outlines_along_one_axis_are_compared_with_their_neighbours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_flat: bool
) -> None:
    """60,000 strips across a slide were refused for crossings that they do not have."""
    monkeypatch.setattr("hypoxia_hpc.tiling.regions.MOST_PAIRS", 10_000)
    strips = [box(0, 100 * k, 20_000, 30) if is_flat else box(100 * k, 0, 30, 20_000) for k in range(200)]
    assert regions_of(tmp_path, *map(polygon, strips)).whole.area == 200 * 30 * 20_000


def test_a_union_of_polygons_apart_overlapping_and_touching_is_that_of_all_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    boxes = [box(*map(int, rng.integers(0, 2000, 2)), *map(int, rng.integers(10, 120, 2))) for _ in range(300)]
    boxes += [box(5000, 0, 100, 100), box(5100, 0, 100, 100), box(9000, 0, 5, 5)]
    at_once = shapely.union_all([shapely.Polygon(one) for one in boxes])
    assert shapely.normalize(regions_of(tmp_path, *map(polygon, boxes)).whole).equals(at_once)


segments_of_small_numbers = st.lists(st.tuples(*[st.integers(0, 6)] * 4), max_size=12)


@given(segments_of_small_numbers)
def test_crossings_equal_their_twin(segments: list[tuple[int, int, int, int]]) -> None:
    ordered = sorted(segments, key=lambda each: min(each[0], each[2]))
    array = np.array(ordered, dtype=np.float64).reshape(-1, 4)
    expected = naive.crossings(ordered)
    assert count_crossings(array, 1000, 1000) == expected
    assert count_crossings(array, 2, 1000) == min(expected, 3)
    assert count_crossings(array, 1000, 0) in (expected, 1001)


# --- what is meant ---------------------------------------------------------------------------------------------------


def qupath(kind: str | None, name: str | None = None, x: float = 0, **more: object) -> dict[str, Any]:
    """A square of 10 px at x, as QuPath writes an object of a kind and a class."""
    properties: dict[str, Any] = {} if kind is None else {"objectType": kind}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    return {"type": "Feature", "geometry": polygon(box(x, 0, 10, 10)), "properties": {**properties, **more}}


def written(folder: Path, *features: object) -> Path:
    path = folder / "slide.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_results_of_qupath_are_no_annotations(tmp_path: Path) -> None:
    old = [{**qupath(None, x=60 + 10 * n), "id": name} for n, name in enumerate(("PathCellObject", "PathTileObject"))]
    path = written(
        tmp_path,
        qupath("annotation", "Tumor"),
        qupath("detection", "Tumor", 10),
        qupath("cell", None, 20),
        qupath("tile", None, 30),
        qupath("tma_core", None, 40, isMissing=True),
        qupath("tma_core", None, 50, isMissing=False),
        *old,
        {**qupath(None, x=80), "id": "PathAnnotationObject"},
        {**qupath(None, x=90), "id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"},
    )
    assert shares(read_regions(path), [(10 * n, 0) for n in range(10)], 10.0) == [1, 0, 0, 0, 0, 1, 0, 0, 1, 1]
    drawn = read_drawn(path)
    assert drawn.classes == {"Tumor": 1, "": 3}
    assert drawn.others == {"detection": 1, "cell": 2, "tile": 2, "missing tma_core": 1}


def test_a_file_of_detections_alone_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, *[qupath("detection")] * 3, qupath("cell"))
    assert "no annotation with an area; there are: cell 1, detection 3" in refused(path).problem
    assert read_regions(path, "exclude").whole.is_empty


def test_classes_that_are_wanted(tmp_path: Path) -> None:
    names = ("Tumor", "Tumor: Positive", "Tumor bed", "Stroma", None)
    features = [qupath("annotation", name, 10 * n) for n, name in enumerate(names)]
    derived = qupath("annotation", None, 50)
    derived["properties"]["classification"] = {"names": ["Tumor", "Negative"], "color": [0, 0, 0]}
    path = written(tmp_path, *features, derived)
    for rule in ("include", "exclude"):
        found = read_regions(path, rule, ["Tumor"])
        assert shares(found, [(10 * n, 0) for n in range(6)], 10.0) == [1, 1, 0, 0, 0, 1]
        assert found.classes == {
            "Tumor": 1,
            "Tumor: Positive": 1,
            "Tumor bed": 1,
            "Stroma": 1,
            "": 1,
            "Tumor: Negative": 1,
        }
    with pytest.raises(SlideError, match="no annotation of class Necrosis") as caught:
        read_regions(path, "include", ["Necrosis"])
    assert "Stroma 1" in caught.value.problem and "no class 1" in caught.value.problem
    assert read_regions(path, "exclude", ["Necrosis"]).whole.is_empty


def test_ignored_classes_are_left_out_of_either(tmp_path: Path) -> None:
    features = [qupath("annotation", "Tumor"), qupath("annotation", "Ignore*", 5), qupath("annotation", "Tumor", 20)]
    path = written(tmp_path, *features)
    corners = [(0, 0), (10, 0), (20, 0)]
    assert shares(read_regions(path, "include", ["Tumor"]), corners, 10.0) == [0.5, 0, 1]
    assert shares(read_regions(path, "exclude", ["Tumor"]), corners, 10.0) == [1, 0.5, 1]
    alone = written(tmp_path, qupath("annotation", "Ignore*"))
    with pytest.raises(SlideError, match=r"are of classes that are left out: Ignore\* 1") as caught:
        read_regions(alone)
    assert "draw what is to be included" in caught.value.remedy


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {"type": "Polygon", "coordinates": []},
        {"type": "MultiPolygon", "coordinates": []},
        {},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": [[], []]},
        {"type": "MultiPolygon", "coordinates": [[]]},
        {"type": "MultiPolygon", "coordinates": [[[]]]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": "Point", "coordinates": [1, 2]},
    ],
)
def test_empty_geometries_are_skipped_alike(tmp_path: Path, geometry: object) -> None:
    path = written(tmp_path, feature(geometry), feature(polygon(box(0, 0, 10, 10))))
    assert shares(read_regions(path), [(0, 0), (5, 0)], 10.0) == [1, 0.5]
    assert "no annotation with an area" in refused(written(tmp_path, feature(geometry))).problem


def test_a_hole_without_positions_is_none(tmp_path: Path) -> None:
    assert shares(regions_of(tmp_path, polygon(box(0, 0, 10, 10), [])), [(0, 0), (5, 0)], 10.0) == [1, 0.5]


def test_regions_that_miss_the_slide_are_said_as_that(tmp_path: Path) -> None:
    path = written(tmp_path, feature(polygon(box(1000, 2000, 50, 60))))
    require_on_slide(path, read_regions(path), 1000, 2000)  # they touch
    with pytest.raises(SlideError, match="every region lies beside the slide: they span x 1,000 to 1,050") as caught:
        require_on_slide(path, read_regions(path), 999, 2000)
    assert caught.value.reason == "bad-regions"
    require_on_slide(path, read_regions(written(tmp_path), "exclude"), 10, 10)


# --- where they lie ----------------------------------------------------------------------------------------------


def test_the_file_of_a_slide_bears_its_id(tmp_path: Path) -> None:
    (tmp_path / "TCGA-1.DX1.geojson").write_text("[]")
    assert regions_path(TileTable(regions=str(tmp_path)), "TCGA-1.DX1") == tmp_path / "TCGA-1.DX1.geojson"
    assert regions_path(TileTable(), "TCGA-1.DX1") is None
    table = TileTable(regions=str(tmp_path))
    with pytest.raises(SlideError, match=r"other\.geojson does not exist") as caught:
        regions_path(table, "other")
    assert caught.value.reason == "no-regions"
    assert 'regions_missing = "whole"' in caught.value.remedy
    for rule in ({"regions_rule": "exclude"}, {"regions_missing": "whole"}):
        assert regions_path(table.model_copy(update=rule), "other") is None


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    path.write_text(QUPATH)
    before = regions_digest(path)
    assert before == hashlib.sha256(QUPATH.encode()).hexdigest()
    path.write_text(QUPATH.replace("100", "101"))
    assert regions_digest(path) != before


# --- memory --------------------------------------------------------------------------------------------------------

MOST_MB = 600
TILED = """
import re, sys
from pathlib import Path
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.tile import TileStage
slide, folder = Path(sys.argv[1]), Path(sys.argv[2])
work = TileStage(RunDir(folder / "run"), TileTable(tile_px=64, regions=str(folder)))
work.target(Slide("s", slide, "p", 1)).parent.mkdir(parents=True, exist_ok=True)
try:
    print(work.make(Slide("s", slide, "p", 1), "0" * 64, lambda tiles: None).counts.masked)
except SlideError as error:
    print(error)
print(int(re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024 / 1e6)
"""


def tiled_in_a_child(slide: Path, folder: Path) -> tuple[str, float]:
    """What a worker that tiles a slide within the regions of FOLDER/s.geojson says, and its most memory, MB."""
    done = subprocess.run(
        [sys.executable, "-c", TILED, slide, folder], capture_output=True, text=True, check=True, timeout=300
    )
    said, _, memory = done.stdout.strip().rpartition("\n")
    return said, float(memory)


def outlines(n: int, positions: int) -> list[Rings]:
    """Side by side over 2,000 x 2,400 px, with bays, each of so many positions."""
    angle = np.linspace(0, 2 * math.pi, positions)
    radius = 40 + 4 * np.sin(7 * angle)
    round_ = np.round(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), 3)
    round_[-1] = round_[0]
    centres = [np.array([50 + 100 * (k % 20), 50 + 100 * (k // 20)]) for k in range(n)]
    return [[(round_ + centre).round(3).tolist()] for centre in centres]


@pytest.mark.parametrize("parts", [pytest.param("one outline a feature", marks=pytest.mark.long), "one feature"])
def test_a_worker_stays_within_its_memory_with_the_largest_file(tmp_path: Path, real_slide: Path, parts: str) -> None:
    rings = outlines(480, MOST_PARTS // 490)
    if parts == "one feature":
        features = [feature({"type": "MultiPolygon", "coordinates": rings})]
    else:
        features = [feature(polygon(*one)) for one in rings]
    text = json.dumps({"type": "FeatureCollection", "features": features, "name": "x"})
    path = tmp_path / "s.geojson"
    path.write_text(text.replace('"x"', f'"{"x" * (MOST_BYTES - len(text))}"'))
    assert 0.95 * MOST_PARTS < text.count("[") + text.count("{") <= MOST_PARTS
    said, memory = tiled_in_a_child(real_slide, tmp_path)
    assert int(said) > 0
    assert memory < MOST_MB, memory


def test_more_positions_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.geojson"
    path.write_text("[" + ",".join(["[]"] * (MOST_BYTES // 3 - 9)) + "]")
    tracemalloc.start()
    try:
        assert "5,592,397 positions, lists and objects, more than 500,000" in refused(path).problem
        assert tracemalloc.get_traced_memory()[1] < 2 * MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rule", [{"regions_rule": "exclude"}, {"regions_missing": "whole"}, {}])
def test_a_folder_that_is_not_there_is_no_folder_without_files(tmp_path: Path, rule: dict[str, str]) -> None:
    """One typing error, and everything that is to be left out would be in."""
    table = TileTable(regions=str(tmp_path / "regoins")).model_copy(update=rule)
    with pytest.raises(SlideError, match="regoins: there is no such folder") as caught:
        regions_path(table, "one")
    assert "mend [tile] regions" in caught.value.remedy


def test_the_remedy_fits_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "a.geojson"
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]},
        "properties": {"objectType": "annotation", "classification": {"name": "tumor"}},
    }
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(SlideError, match="there are: tumor 1") as caught:
        read_regions(file, "include", ("Tumor",))
    assert "region_classes" in caught.value.remedy
    with pytest.raises(SlideError, match="lies beside the slide") as caught:
        require_on_slide(file, Regions(shapely.box(50, 50, 60, 60), np.array([]), np.array([])), 9, 9)
    assert "<slide_id>.geojson" in caught.value.remedy
