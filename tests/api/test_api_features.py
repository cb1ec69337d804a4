"""Features of tiles in memory are, bit by bit, those of a store of the same settings."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import hypoxia_hpc as hx
from hypoxia_hpc.api import features
from hypoxia_hpc.config import ExtractTable, parse_config
from hypoxia_hpc.networks.inference.device import _device_of
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.extract import extract_stage
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.features import open_features

ID = "CMU-1-Small-Region"
TILE = {"tile_px": 75, "mpp": 2.0}
# The smallest network that takes 75 px.
EXTRACT = {"backbone": "mobilenet_v2", "weights": "random", "seed": 3, "batch_size": 8}


@pytest.fixture(scope="module")
def tiles(real_slide: Path) -> hx.Tiles:
    return hx.tile(real_slide, **TILE)


def test_they_equal_a_store(real_slide: Path, tmp_path: Path, tiles: hx.Tiles) -> None:
    run, slide = RunDir(tmp_path), Slide(ID, real_slide, ID, 1)
    config = parse_config({"tile": TILE, "extract": EXTRACT}, source="test")
    TileStage(run, config.tile).make(slide, "key", lambda tiles: None)
    extract_stage(run, config, threads=2).make(slide, "key", lambda tiles: None)
    stored = open_features(run.features(config.extract.name, ID))
    found = hx.extract(tiles, **EXTRACT)
    assert found.values.dtype == np.float16
    assert np.array_equal(found.values, stored.values)
    assert found.xy_l0 is not None
    assert np.array_equal(found.xy_l0, stored.xy)
    assert (len(found), found.slide_id) == (16, ID)
    assert repr(found) == f"<Features of {ID}: float16 {stored.values.shape}>"
    as_array = hx.extract(tiles.pixels[:5], **EXTRACT)
    assert np.array_equal(as_array.values, stored.values[:5])
    assert (as_array.slide_id, as_array.xy_l0) == ("", None)


def test_float32_where_it_is_asked_for(tiles: hx.Tiles) -> None:
    half = hx.extract(tiles, **EXTRACT).values
    whole = hx.extract(tiles, **EXTRACT, dtype="float32").values
    assert whole.dtype == np.float32
    assert np.array_equal(whole.astype(np.float16), half)


def test_random_weights_are_said_to_be_once(tiles: hx.Tiles, caplog: pytest.LogCaptureFixture) -> None:
    features._note_random.cache_clear()
    with caplog.at_level(logging.WARNING, "hypoxia_hpc"):
        for _ in range(2):
            hx.extract(tiles, **EXTRACT)
    assert caplog.text.count("mobilenet_v2: RANDOM weights, not a trained network") == 1


def test_a_network_is_built_once(tiles: hx.Tiles) -> None:
    hx.extract(tiles, **EXTRACT)
    before = _device_of.cache_info()
    hx.extract(tiles.pixels[:3], **EXTRACT)
    hx.LogisticTop().fit([np.zeros((1, 2)), np.ones((1, 2))], [0, 1])
    hx.extract(tiles, **EXTRACT)
    after = _device_of.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (0, 2)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((2, 75, 75, 3), dtype=np.float32), r"tiles are float32 \(2, 75, 75, 3\): must be uint8"),
        (np.zeros((75, 75, 3), dtype=np.uint8), r"tiles are uint8 \(75, 75, 3\)"),
        (np.zeros((2, 75, 70, 3), dtype=np.uint8), r"\(2, 75, 70, 3\)"),
        (np.zeros((2, 75, 75, 4), dtype=np.uint8), r"\(2, 75, 75, 4\)"),
        (np.zeros((0, 75, 75, 3), dtype=np.uint8), r"n 1 or more"),
        (hx.Tiles("S", None, np.zeros((1, 2), np.int64), np.zeros(1, np.float32), 9.0), "the store keeps no pixels"),
    ],
)
def test_tiles_that_cannot_be(pixels: object, message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        hx.extract(pixels, **EXTRACT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"backbone": "resnet51"}, hx.InputError, "resnet51"),
        ({"bath_size": 3}, hx.InputError, "extract.bath_size: unknown key"),
        ({"weights": "imagnet"}, hx.InputError, '"imagnet" names a file, so weights_sha256 must give its SHA-256'),
        ({"backbone": "vgg16", "weights": "imagenet"}, hx.MachineError, "vgg16"),
    ],
)
def test_settings_that_cannot_be(
    tiles: hx.Tiles, tmp_path: Path, settings: dict[str, object], error: type[hx.HypoxiaError], message: str
) -> None:
    with pytest.raises(error, match=message):
        hx.extract(tiles, weights_folder=tmp_path, **{**EXTRACT, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("written", ["mine.weights.h5", "~/mine.weights.h5"])
def test_a_file_of_weights_lies_in_the_present_folder_or_at_home(
    tiles: hx.Tiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(hx.MachineError, match=f"mine.weights.h5 is not on this machine\n  - looked in {tmp_path}"):
        hx.extract(tiles, "mobilenet_v2", Path(written), weights_sha256="0" * 64)


def test_every_setting_is_documented() -> None:
    told = str(hx.extract.__doc__)
    names = set(ExtractTable.model_fields) - {"name", "backbone", "weights"}
    assert [name for name in names if f"``{name}``" not in told] == []
