"""Galleries as the page is sent them: the tiles that the predictions name, with the slide's own pixels."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models.galleries import jpeg
from hypoxia_hpc.models.tile_galleries import SHOWN_PX
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.tiling.windows import Window
from hypoxia_hpc.viewer.answers import Viewer
from hypoxia_hpc.viewer.galleries import galleries_shown
from hypoxia_hpc.viewer.http_messages import Request
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.shown import Shown, shown_folder
from viewer.viewed_runs import HOT, SIDE_L0, viewed_run


@pytest.fixture
def shown(tmp_path: Path, real_slide: Path) -> Shown:
    return viewed_run(tmp_path, real_slide)


def test_the_hot_tiles_lead_with_the_pixels_of_their_places(shown: Shown, real_slide: Path) -> None:
    found = galleries_shown(shown, shown.slides[0].key)
    highest, lowest = found.described["galleries"]
    hot = {(SIDE_L0 * x, SIDE_L0 * y) for x in HOT[0] for y in HOT[1]}
    assert {(one["x"], one["y"]) for one in highest["tiles"][: len(hot)]} == hot
    assert not hot & {(one["x"], one["y"]) for one in lowest["tiles"]}
    with opened_slide(real_slide) as slide:
        for tile in (*highest["tiles"], *lowest["tiles"]):
            window = Window(0, tile["x"], tile["y"], SIDE_L0, SIDE_L0, (SIDE_L0, SIDE_L0))
            pixels = Image.fromarray(slide.read_window(window)).resize((SHOWN_PX, SHOWN_PX), Image.Resampling.BOX)
            assert found.pictures[tile["picture"]] == jpeg(np.asarray(pixels))


def test_of_few_tiles_no_more_than_half_are_in_each(shown: Shown) -> None:
    assert shown.run is not None
    path = shown.run.predictions / "tiles.parquet"
    table = pd.read_parquet(path)
    few = table[table["model"] == "tanh"].head(7)
    few.assign(probability=np.linspace(0.1, 0.9, 7)).to_parquet(path, index=False)
    found = galleries_shown(shown, shown.slides[0].key).described["galleries"]
    highest, lowest = ({(one["x"], one["y"]) for one in gallery["tiles"]} for gallery in found)
    assert len(highest) == len(lowest) == 3 and not highest & lowest


def test_they_are_of_the_slides_that_are_shown_alone(shown: Shown) -> None:
    real, odd = shown.slides
    assert galleries_shown(shown).described["who"] == "1 test patient"
    note = galleries_shown(replace(shown, slides=(odd,))).described["note"]
    assert note == "tanh says nothing of tiles of patients that it was not trained on"
    assert galleries_shown(shown, odd.key).described == {
        "note": "tanh says nothing of tiles of this slide",
        "galleries": [],
    }
    keys = {tile["key"] for one in galleries_shown(shown).described["galleries"] for tile in one["tiles"]}
    assert keys == {real.key}


def test_what_cannot_be_answered(shown: Shown, real_slide: Path) -> None:
    with pytest.raises(NotReadyError, match="no predictions"):
        galleries_shown(shown_folder(real_slide))
    viewer = Viewer(shown, OpenSlides({slide.key: slide.path for slide in shown.slides}))

    def status(path: str) -> HTTPStatus:
        return viewer.respond(Request("GET", path, "", {}, True)).status

    assert status("/galleries/index.json") == status("/galleries/5.jpg") == HTTPStatus.OK
    assert status("/galleries/6.jpg") == HTTPStatus.NOT_FOUND, "there are six pictures"
    assert status(f"/galleries/{'0' * 16}/index.json") == HTTPStatus.NOT_FOUND
    assert shown.run is not None
    (shown.run.predictions / "tiles.parquet").write_bytes(b"damaged")
    answer = viewer.respond(Request("GET", f"/galleries/{shown.slides[0].key}/index.json", "", {}, True))
    assert answer.status == HTTPStatus.NOT_FOUND and b"is damaged" in answer.body


def test_a_slide_that_is_gone_leaves_tiles_without_pictures(shown: Shown, tmp_path: Path) -> None:
    assert shown.run is not None
    table = shown.run.slides_file.read_text().replace(str(shown.slides[0].path), str(tmp_path / "gone.svs"))
    shown.run.slides_file.write_text(table)
    found = galleries_shown(shown, shown.slides[0].key)
    assert found.pictures == () and found.described["unread"] == ["no pictures of 1 slide: slide-gone"]
    assert {tile["picture"] for one in found.described["galleries"] for tile in one["tiles"]} == {None}
