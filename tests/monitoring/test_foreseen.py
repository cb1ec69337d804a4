"""What doctor and estimate foresee of a slide is what tile makes of it: the same tiles, or the same reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from image_folders import PX, write_folder

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.monitoring.foreseen import foresee, foresee_images, planned_tiles
from hypoxia_hpc.records import Slide, TileWork
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.synthetic.svs import write_svs

SIDE = 640  # px, 0.5 µm/px: 10 x 10 tiles of 64


def square(x: int, y: int, side: int, name: str = "Tumor") -> dict[str, Any]:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return annotation({"type": "Polygon", "coordinates": [ring]}, name)


def annotation(geometry: object, name: str = "Tumor") -> dict[str, Any]:
    properties = {"objectType": "annotation", "classification": {"name": name}}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.fixture
def slide(tmp_path: Path) -> Slide:
    write_svs(tmp_path / "a.svs", np.random.default_rng(0).integers(0, 200, (SIDE, SIDE, 3)).astype(np.uint8), 0.5)
    return Slide("a", tmp_path / "a.svs", "p", 1)


def table_with(folder: Path, features: object, **settings: object) -> TileTable:
    folder.mkdir()
    text = features if isinstance(features, str) else json.dumps(features)
    (folder / "a.geojson").write_text(text)
    return TileTable.model_validate({"tile_px": 64, "regions": str(folder), **settings})


def made(slide: Slide, table: TileTable, root: Path) -> TileWork:
    """As a worker of ``tile`` does it. Raises SlideError."""
    work = TileStage(RunDir(root), table)
    work.target(slide).parent.mkdir(parents=True)
    return work.make(slide, work.key(slide), lambda tiles: None)


def blanked(slide: Slide, wanted: Callable[[int], bool]) -> None:
    """Overwrite the native tiles of these numbers; the header stays."""
    with tifffile.TiffFile(slide.path) as file:
        page = file.pages[0]
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    data = bytearray(slide.path.read_bytes())
    for number, (offset, length) in enumerate(spans):
        if wanted(number):
            data[offset : offset + length] = bytes(length)
    slide.path.write_bytes(data)


@pytest.mark.parametrize(
    ("features", "settings"),
    [
        ([square(0, 0, 320)], {}),
        ([square(0, 0, 320)], {"regions_rule": "exclude"}),
        ([square(0, 0, 320), square(320, 320, 128, "Stroma")], {"region_classes": ["Stroma"]}),
        ([square(0, 0, 320), square(0, 0, 128, "Ignore*")], {}),
        ([square(10, 10, 320)], {"min_region": 0.95}),
        ([square(0, 0, 320)], {"tissue": "otsu", "min_tissue": 0.0}),
    ],
    ids=str,
)
def test_tiles_are_those_that_tile_looks_at(
    slide: Slide, tmp_path: Path, features: list[Any], settings: dict[str, Any]
) -> None:
    table = table_with(tmp_path / "regions", features, **settings)
    planned = foresee(slide, table).planned
    counts = made(slide, table, tmp_path / "run").counts
    assert (planned.plan.n_tiles, planned.n_selected) == (counts.planned, counts.planned - counts.masked)
    assert 0 < planned.n_selected < planned.plan.n_tiles


NO_RING = annotation({"type": "Polygon", "coordinates": []})


@pytest.mark.parametrize(
    ("features", "settings"),
    [
        ([square(90_000, 0, 100)], {}),
        ([square(0, 0, 9)], {}),
        ([square(0, 0, SIDE)], {"regions_rule": "exclude"}),
        ([square(0, 0, 320)], {"region_classes": ["Necrosis"]}),
        ([NO_RING, annotation(None)], {}),
        ("{", {}),
        ([annotation({"type": "Polygon", "coordinates": [[[0, 0], [9, 9]]]})], {}),
        ([square(0, 0, 320)], {"tissue": "otsu", "tile_px": 4096}),
        ([square(0, 0, 320)], {"mpp": 0.1}),
    ],
    ids=str,
)
def test_what_tile_will_refuse_is_refused_in_the_same_words(
    slide: Slide, tmp_path: Path, features: Any, settings: dict[str, Any]
) -> None:
    table = table_with(tmp_path / "regions", features, **settings)
    foreseen, cut = refusals(slide, table, tmp_path / "run")
    assert (foreseen.reason, str(foreseen)) == (cut.reason, str(cut))


def refusals(slide: Slide, table: TileTable, root: Path) -> tuple[SlideError, SlideError]:
    with pytest.raises(SlideError) as foreseen:
        foresee(slide, table)
    with pytest.raises(SlideError) as cut:
        made(slide, table, root)
    return foreseen.value, cut.value


@pytest.mark.parametrize("has_file", [True, False], ids=["gone", "without regions"])
def test_a_slide_or_its_regions_that_are_gone(slide: Slide, tmp_path: Path, has_file: bool) -> None:
    table = table_with(tmp_path / "regions", [square(0, 0, 320)])
    (slide.path if has_file else tmp_path / "regions" / "a.geojson").unlink()
    foreseen, cut = refusals(slide, table, tmp_path / "run")
    assert foreseen.reason == cut.reason == ("missing-file" if has_file else "no-regions")
    if has_file:
        return
    for whole in ({"regions_rule": "exclude"}, {"regions_missing": "whole"}):
        planned = foresee(slide, table.model_copy(update=whole)).planned
        assert (planned.classes, planned.n_selected) == (None, 100)


@pytest.mark.parametrize("tile_px", [64, 4096], ids=["with tiles", "smaller than a tile"])
def test_pixels_that_do_not_decode_are_no_lack_of_tissue(slide: Slide, tmp_path: Path, tile_px: int) -> None:
    blanked(slide, lambda number: True)
    foreseen, cut = refusals(slide, TileTable(tile_px=tile_px), tmp_path / "run")
    assert foreseen.reason == cut.reason == "unreadable"


def test_a_slide_that_opens_and_never_reads(shared_slide: Callable[[str], Path], tmp_path: Path) -> None:
    slide = Slide("a", shared_slide("unreadable.svs"), "p", 1)
    for tile_px in (16, 299):
        foreseen, cut = refusals(slide, TileTable(tile_px=tile_px), tmp_path / str(tile_px))
        assert foreseen.reason == cut.reason == "unreadable"


def test_damage_that_tile_may_bear_is_said(slide: Slide, tmp_path: Path) -> None:
    table = TileTable(tile_px=64, max_unreadable=0.5)
    assert foresee(slide, table).damage == ""
    blanked(slide, lambda number: number == 0)
    found = foresee(slide, table)
    assert found.damage.startswith("1 of the 3 tiles that were tried do not decode; the first is at (0, 0)")
    assert made(slide, table, tmp_path / "run").counts.unreadable > 0


@pytest.mark.parametrize(("most", "is_refused"), [(0.01, True), (1.0, False)])
def test_a_file_that_ends_too_soon(tmp_path: Path, most: float, is_refused: bool) -> None:
    path, table = tmp_path / "a.tif", TileTable(tile_px=64, max_unreadable=most)
    image = np.random.default_rng(0).integers(0, 200, (SIDE, SIDE, 3)).astype(np.uint8)
    options: dict[str, Any] = {"tile": (64, 64), "byteorder": ">", "resolution": (20_000, 20_000), "resolutionunit": 3}
    tifffile.imwrite(path, image, photometric="rgb", metadata=None, **options)
    path.write_bytes(path.read_bytes()[: -3 * 64 * 64 * 2 - 1])
    said = "the file ends before 3 of the 100 native tiles of the level that is read"
    if is_refused:
        with pytest.raises(SlideError, match=said) as caught:
            foresee(Slide("a", path, "p", 1), table)
        assert caught.value.reason == "unreadable"
    else:
        assert foresee(Slide("a", path, "p", 1), table).damage == f"{said}: fetch it again"


def test_images_in_folders_are_foreseen_from_their_headers(tmp_path: Path) -> None:
    folder, table = write_folder(tmp_path / "images"), TileTable(tile_px=PX)
    names = ("B/cut.jpg", "B/palette.png", "B/small.png", "B/text.png")
    slide = Slide("B", folder, "B", 1, images=names)
    found = foresee_images(slide, table)
    assert (found.n_tiles, found.left_out) == (402, ("B/text.png: not-an-image",))
    assert planned_tiles(slide, table) == found.n_tiles
    with pytest.raises(SlideError) as caught:
        planned_tiles(Slide("B", folder, "B", 1, images=("B/text.png",)), table)
    assert caught.value.reason == "not-an-image"
