"""What the viewer shows of a run, done or half done, and of a folder."""

from __future__ import annotations

import io
import math
import re
import shutil
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest
from feature_runs import make_run
from PIL import Image

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.viewer.answers import Viewer
from hypoxia_hpc.viewer.http_messages import Request
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.overlays import PICTURE_PX, overlays_of
from hypoxia_hpc.viewer.pyramid import Place
from hypoxia_hpc.viewer.serving import shown_at
from hypoxia_hpc.viewer.shown import Shown, new_keys
from viewer.viewed_runs import HOT, ODD_NAME, SIDE_L0, SIZE_L0, viewed_run


def asked(shown: Shown, path: str) -> tuple[HTTPStatus, bytes]:
    slides = OpenSlides({slide.key: slide.path for slide in shown.slides})
    answer = Viewer(shown, slides).respond(Request("GET", path, "", {}, True))
    slides.close()
    return answer.status, answer.body


def test_a_run_half_done_shows_its_slides_and_says_what_to_do(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []}, n_patients=4)
    shown = shown_at(run.root)
    assert [slide.slide_id for slide in shown.slides] == [slide.slide_id for slide in run.slides()]
    assert {slide.label for slide in shown.slides} == {"normoxic", "hypoxic", ""}
    assert "hypoxia-hpc run" in shown.note and shown.model == "" and not any(slide.values for slide in shown.slides)
    status, said = asked(shown, f"/slides/{shown.slides[0].key}.json")
    assert status == HTTPStatus.NOT_FOUND and b"S00-0.svs" in said, "a slide that was moved is named"


def test_what_stands_out_in_quality_is_shown_where_it_was_measured(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []}, n_patients=4)
    table = run.root / "quality" / "quality.csv"
    table.parent.mkdir()
    first, second, third, fourth, *_ = (slide.slide_id for slide in run.slides())
    table.write_text(
        "slide_id,tissue_mm2,stands_out,reason\n"
        f"{first},9.0,blurred pen,\n{second},9.0,,\n{third},,,unreadable\n{fourth},9.0,pen,missing-file\n"
    )
    found = [slide.quality for slide in shown_at(run.root).slides]
    assert found[:4] == ["blurred pen", "nothing stands out", "not measured", "pen"] and not any(found[4:])
    table.write_bytes(b"\xff\x00")
    assert not any(slide.quality for slide in shown_at(run.root).slides)


def test_keys_are_new_in_every_viewer() -> None:
    first, second = new_keys(20), new_keys(20)
    assert len({*first, *second}) == 40 and all(re.fullmatch("[0-9a-f]{16}", key) for key in first)


def test_a_folder_of_slides_and_a_slide(tmp_path: Path, real_slide: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / ODD_NAME).symlink_to(real_slide)
    (tmp_path / "notes.txt").write_text("no slide")
    shown = shown_at(tmp_path)
    assert [slide.name for slide in shown.slides] == [f"below/{ODD_NAME}"]
    assert asked(shown, f"/slides/{shown.slides[0].key}.json")[0] == HTTPStatus.OK
    assert [slide.slide_id for slide in shown_at(real_slide).slides] == ["CMU-1-Small-Region"]
    with pytest.raises(InputError, match="does not exist"):
        shown_at(tmp_path / "gone")


def test_a_hot_region_lies_where_it_was_planted(tmp_path: Path, real_slide: Path) -> None:
    shown = viewed_run(tmp_path, real_slide)
    assert shown.run is not None
    found = overlays_of(shown.run, "real", Path("gone.svs"), "tanh")
    assert found is not None
    assert [one.name for one in found.overlays] == [
        *("tanh: probability", "logistic: probability", "phenotypes", "kept tiles")
    ]
    n_hot = len(HOT[0]) * len(HOT[1])
    assert [words for _, words in found.overlays[2].legend()["classes"]] == [
        *(f"cluster 7: {63 - n_hot}", f"cluster 40: {n_hot}")
    ]
    whole = Place(found.first_level, 0, 0)
    for number in (2, 3):
        with Image.open(io.BytesIO(found.png(number, whole) or b"")) as image:
            assert image.size == (SIZE_L0[0] // 4, math.ceil(SIZE_L0[1] / 4))
    with Image.open(io.BytesIO(found.png(0, whole) or b"")) as image:
        picture = np.asarray(image.convert("RGBA")).astype(int)
    hot = (picture[..., 0] > 200) & (picture[..., 3] > 0)
    expected = np.zeros_like(hot)
    scale = 1 / 4
    (left, right), (top, bottom) = ((min(one) * SIDE_L0, (max(one) + 1) * SIDE_L0) for one in HOT)
    expected[round(top * scale) : round(bottom * scale), round(left * scale) : round(right * scale)] = True
    assert (hot & expected).sum() / (hot | expected).sum() > 0.98
    assert (picture[-1, -1, 3], picture[0, 0, 3]) == (0, 255), "where no tile is, it is clear"


def test_an_overlay_is_a_pyramid_with_the_pixels_of_the_slide(tmp_path: Path, real_slide: Path) -> None:
    shown = viewed_run(tmp_path, real_slide)
    assert shown.run is not None
    found = overlays_of(shown.run, "real", Path("gone.svs"), "tanh")
    assert found is not None
    (left, top), px = (SIDE_L0 * min(one) for one in HOT), PICTURE_PX  # the hot tiles' corner
    column, row = left // px, top // px
    with Image.open(io.BytesIO(found.png(0, Place(found.zoom.last, column, row)) or b"")) as image:
        red = np.asarray(image.convert("RGB")).astype(int)[..., 0]
    x, y = left - column * px, top - row * px
    assert (red[y, x] > 200, red[y - 1, x] > 200, red[y, x - 1] > 200) == (True, False, False), "to the pixel"
    for place in (Place(found.zoom.last, 3, 0), Place(found.zoom.last + 1, 0, 0), Place(found.first_level - 1, 0, 0)):
        assert found.png(0, place) is None
    assert found.png(4, Place(found.zoom.last, 0, 0)) is None, "there is no such overlay"


def test_a_file_that_is_another_slide_now_gets_no_overlays(tmp_path: Path, real_slide: Path) -> None:
    shown = viewed_run(tmp_path, real_slide)
    other = shared_pixels(tmp_path / "other.tif")
    moved = replace(shown, slides=(replace(shown.slides[0], path=other),))
    status, said = asked(moved, f"/slides/{shown.slides[0].key}.json")
    assert status == HTTPStatus.OK and b"it is another one now" in said and b'"overlays": []' in said


def shared_pixels(path: Path) -> Path:
    """A slide of other sides."""
    write_svs(path, np.full((700, 900, 3), 200, dtype=np.uint8), 0.5)
    return path


def test_what_cannot_be_read_is_said_and_the_slide_is_shown(tmp_path: Path, real_slide: Path) -> None:
    shown = viewed_run(tmp_path, real_slide)
    assert shown.run is not None
    first, second = (slide.key for slide in shown.slides)
    assert b'"overlays": [{"name": "kept tiles"' in asked(shown, f"/slides/{second}.json")[1], "nothing is said of it"
    assert asked(shown, f"/overlays/{second}/1_files/10/0_0.png")[0] == HTTPStatus.NOT_FOUND
    (shown.run.predictions / "tiles.parquet").write_bytes(b"damaged")
    status, said = asked(shown, f"/slides/{first}.json")
    assert status == HTTPStatus.OK and b"is damaged" in said and b'"overlays": []' in said
    assert asked(shown, f"/overlays/{first}/0_files/10/0_0.png")[0] == HTTPStatus.NOT_FOUND
    shutil.rmtree(shown.run.tiles("real"))
    assert b'"note": ""' in asked(shown, f"/slides/{first}.json")[1]
