"""Networks against tiles in memory: from stores, and from slides whose stores keep no pixels."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from hypoxia_hpc.bench.bare_stores import BARE, bare_slides, bare_tiles
from hypoxia_hpc.bench.case import Place, WrongAnswerError
from hypoxia_hpc.bench.cases import networks
from hypoxia_hpc.bench.cases.readers import collected, kept_of
from hypoxia_hpc.bench.cases.registry import CASES
from hypoxia_hpc.bench.slides import REAL_SLIDE
from hypoxia_hpc.models.extraction import require_tiled_slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.reread import slide_pixels
from hypoxia_hpc.stores.tiles import open_tiles


def test_every_network_is_measured_from_stores_and_from_slides() -> None:
    found = [case.name for case in CASES if case.topic == "networks"]
    assert found == [f"{name}{way}" for name in ("inception_v3", "resnet50", "vgg16", "vit") for way in ("", "-slides")]


def test_stores_without_pixels_lead_to_the_tiles_of_their_slide(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    rows = np.array([0, 7, 8, 30, 62])
    slides = bare_slides(REAL_SLIDE, bare_tiles(REAL_SLIDE, run), run, 2, rows)
    pixels = collected(lambda new_tile: kept_of(REAL_SLIDE, BARE, new_tile), BARE.tile_px).tiles
    expected = [pixels[row] for row in rows]
    for slide in slides:
        tiles = open_tiles(run.tiles(slide.slide_id))
        require_tiled_slide(slide, tiles)
        assert tiles.pixels is None
        with slide_pixels(slide.path, BARE, None, tiles.xy) as read:
            assert np.array_equal(read(0, 5), np.stack(expected))


@pytest.mark.parametrize("fill", [networks.from_stores, networks.from_slides])
def test_features_are_those_of_the_network_and_others_are_a_wrong_answer(
    fill: networks.Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small network in small batches."""
    if missing := networks.backend_missing():
        pytest.skip(missing)
    monkeypatch.setattr(networks, "CPU_BATCH", 2)
    place = Place(tmp_path / "run", tmp_path / "slides")
    place.scratch.mkdir()
    with networks.extraction(place, name="mobilenet_v3_small", fill=fill) as prepared:
        assert "features of the network itself" in prepared.check()
        prepared.work()
        prepared.bounds["tiles in memory"]()
        assert prepared.amount == 4
        prepared.tidy()
        noise = np.random.default_rng(0).normal(size=(2, 576)).astype(np.float32)
        with mock.patch.object(networks, "computed", lambda *_: noise), pytest.raises(WrongAnswerError, match="cosine"):
            prepared.check()
