"""Tiles in memory are those of a store of the same settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hypoxia_hpc as hx
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

ID = "CMU-1-Small-Region"


@pytest.mark.parametrize(
    "settings",
    [
        {"tile_px": 75, "mpp": 2.0},
        {"tile_px": 64, "mpp": 1.3, "max_background": 0.8},
        {"tile_px": 100, "mpp": 1.0, "tissue": "otsu", "min_tissue": 0.3, "white": 230},
        {"tile_px": 50, "mpp": 4.0, "reduce": "decoder", "screen": "off"},
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_they_equal_a_store(real_slide: Path, tmp_path: Path, settings: dict[str, object], threads: int) -> None:
    run = RunDir(tmp_path)
    TileStage(run, TileTable.model_validate(settings)).make(Slide(ID, real_slide, ID, 1), "key", lambda tiles: None)
    stored = open_tiles(run.tiles(ID))
    tiles = hx.tile(real_slide, threads=threads, **settings)
    assert len(tiles) > 5
    assert isinstance(tiles.pixels, np.ndarray)
    assert np.array_equal(tiles.pixels, read_pixels(stored, 0, len(stored.xy)))
    assert np.array_equal(tiles.xy_l0, stored.xy)
    assert np.array_equal(tiles.background, stored.background)
    assert (tiles.pixels.dtype, tiles.xy_l0.dtype, tiles.background.dtype) == (np.uint8, np.int64, np.float32)
    assert (tiles.slide_id, tiles.side_l0) == (ID, stored.attributes["plan"]["side_l0"])


def test_an_open_slide_is_used_as_it_is(real_slide: Path) -> None:
    with hx.open_slide(real_slide, mpp=0.25) as slide:
        tiles = hx.tile(slide, tile_px=75, mpp=1.0)
        assert slide.size  # still open
        assert slide.thumbnail(9).shape == (9, 7, 3)
    assert tiles.side_l0 == 300
    assert repr(tiles) == f"<Tiles of {ID}: {len(tiles)} tiles, 75 px, 300 level 0 pixels wide>"


def test_regions_lie_in_a_folder(real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = '{"type": "Polygon", "coordinates": [[[0, 0], [1200, 0], [1200, 1200], [0, 1200], [0, 0]]]}'
    (tmp_path / f"{ID}.geojson").write_text(
        f'{{"type": "FeatureCollection", "features": [{{"type": "Feature", "properties": {{}}, "geometry": {box}}}]}}'
    )
    tiles = hx.tile(real_slide, tile_px=75, mpp=2.0, regions=str(tmp_path))
    whole = hx.tile(real_slide, tile_px=75, mpp=2.0).xy_l0
    assert np.array_equal(tiles.xy_l0, whole[(whole + 150 <= 1200).all(axis=1)])
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path.parent)
    for written in (f"~/{tmp_path.name}", tmp_path.name):
        assert np.array_equal(hx.tile(real_slide, tile_px=75, mpp=2.0, regions=written).xy_l0, tiles.xy_l0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tile_pix": 3}, r"tile.tile_pix: unknown key; valid keys of \[tile\]"),
        ({"tile_px": 3}, "tile.tile_px = 3: must be greater than or equal to 16"),
        ({"mpp": "1"}, 'tile.mpp = "1": must be a number'),
        ({"pixels": "none", "codec": "jpeg"}, "hx.tile does not take pixels, codec"),
        ({"pad_value": 0}, "hx.tile does not take pad_value, which are of images"),
        ({"threads": 0}, "threads = 0: must be 1 or more"),
        ({"regions": "~no-user/x"}, "hx.tile names '~no-user/x', and ~no-user is no user's home"),
    ],
)
def test_settings_that_cannot_be(real_slide: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        hx.tile(real_slide, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"mpp": 0.3}, "coarser-than-target"), ({"tile_px": 4000}, "no-tissue"), ({"max_background": 0.0}, "no-tissue")],
)
def test_a_slide_that_a_run_would_quarantine(real_slide: Path, settings: dict[str, float], reason: str) -> None:
    with pytest.raises(hx.SlideError) as caught:
        hx.tile(real_slide, **{"white": 1, **settings} if settings.get("max_background") == 0 else settings)
    assert caught.value.reason == reason


def test_every_setting_is_documented() -> None:
    told = str(hx.tile.__doc__)
    assert [name for name in TileTable.model_fields if f"``{name}``" not in told] == []
