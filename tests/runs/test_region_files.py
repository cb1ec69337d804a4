"""Files of regions under names that no slide has are said, with the name that would fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.region_files import unused_regions

SLIDES = [Slide(name, Path(f"/slides/{name}.svs"), name, 1) for name in ("strip", "Muller-Gro-e-1", "one.Big", "done")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("done.geojson", ()),
        ("strip.tif.geojson", ("strip.tif.geojson (strip.geojson?)",)),
        ("one.Big.GeoJSON", ("one.Big.GeoJSON (one.Big.geojson?)",)),
        ("M\u00fcller Gro\u00dfe 1.geojson", ("M\u00fcller Gro\u00dfe 1.geojson (Muller-Gro-e-1.geojson?)",)),
        ("strip.json", ("strip.json (strip.geojson?)",)),
        ("orphan.geojson", ("orphan.geojson",)),
        ("notes.txt", ()),
    ],
)
def test_names_that_no_slide_has(name: str, said: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).touch()
    found = unused_regions(TileTable(regions=str(tmp_path)), SLIDES)
    assert found == said


def test_without_regions_or_their_folder_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert unused_regions(TileTable(), SLIDES) == ()
    assert unused_regions(TileTable(regions=str(tmp_path / "gone")), SLIDES) == ()
