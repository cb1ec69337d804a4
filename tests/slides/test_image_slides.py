"""A patient's images become one store, whatever reads them; those that cannot be read are left out with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from image_folders import PX, tissue, write_folder
from PIL import Image

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.models.contact_sheets import contact_sheet
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides import fingerprint
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.slides.image_slides import PatientTiles, cut_images
from hypoxia_hpc.slides.image_stores import make_image_store
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.attributes import AS_THEY_ARE, read_tile_attributes
from hypoxia_hpc.stores.integrity import check_store
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

TABLE = TileTable(tile_px=PX)
OF_A = ("A/2.png", "A/10.png", "A/deep.tif")
OF_B = ("B/cut.jpg", "B/palette.png", "B/small.png", "B/text.png", "B/gone.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images") / "all")


def cut(slide: Slide, threads: int = 1) -> tuple[PatientTiles, list[np.ndarray]]:
    made: list[np.ndarray] = []

    def new_tile() -> np.ndarray:
        made.append(np.empty((PX, PX, 3), dtype=np.uint8))
        return made[-1]

    return cut_images(slide, TABLE, new_tile, threads=threads), made


def test_tiles_are_those_of_the_images_in_their_order(folder: Path) -> None:
    tiles, made = cut(Slide("A", folder, "A", 1, images=OF_A))
    large, turned = tissue(1, 40, 50), np.rot90(tissue(2, 16, 32), -1)
    expected = [large[y : y + PX, x : x + PX] for y in (0, 16) for x in (0, 16, 32)]
    expected += [turned[:PX], turned[PX:], np.repeat(tissue(3)[..., :1], 3, axis=2)]
    assert all(np.array_equal(*pair) for pair in zip(made, expected, strict=True))
    assert [(each.width, each.height, each.columns, each.rows) for each in tiles.images] == [
        (50, 40, 3, 2),
        (16, 32, 1, 2),
        (16, 16, 1, 1),
    ]
    assert len({tuple(place) for place in tiles.xy.tolist()}) == 9
    assert (tiles.xy + PX <= np.array(tiles.size)).all()


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_change_nothing(folder: Path, threads: int) -> None:
    slide = Slide("B", folder, "B", 1, images=OF_B)
    (one, pixels), (many, others) = cut(slide), cut(slide, threads)
    assert one.images == many.images
    assert np.array_equal(one.xy, many.xy)
    assert np.array_equal(np.array(pixels), np.array(others))


def test_a_store_says_what_became_of_each_image(folder: Path, tmp_path: Path) -> None:
    slide = Slide("B", folder, "B", 1, images=OF_B)
    ticks: list[int] = []
    work = make_image_store(slide, TABLE, tmp_path / "B.zarr", "key", {}, ticks.append, threads=1)
    tiles = open_tiles(tmp_path / "B.zarr")
    made = read_tile_attributes(tmp_path / "B.zarr")
    assert made is not None
    assert check_store(tmp_path / "B.zarr") == []
    assert (made.slide.mpp, made.slide.mpp_source, made.slide.fingerprint) == (None, AS_THEY_ARE, fingerprint_of(slide))
    assert [image.get("reason") or image["fit"] for image in made.images] == [
        "unreadable",
        "cut",
        "stretch",
        "not-an-image",
        "missing-file",
    ]
    assert made.counts == work.counts
    assert (work.counts.planned, work.counts.kept, work.counts.unreadable, sum(ticks)) == (5, 2, 3, 2)
    assert all(name in work.note for name in ("B/cut.jpg: unreadable", "B/text.png", "B/gone.png: missing-file"))
    assert read_pixels(tiles, 0, 2).shape == (2, PX, PX, 3)


def test_the_content_of_images_is_read_once_for_the_key_and_the_store(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    add = fingerprint._add_image
    monkeypatch.setattr(fingerprint, "_add_image", lambda *a: (hashed.append(a[2]), add(*a))[1])
    work, slide = TileStage(RunDir(tmp_path), TABLE), Slide("A", folder, "A", 1, images=OF_A[:2])
    work.make(slide, work.key(slide), lambda tiles: None)
    assert hashed == list(OF_A[:2])
    os.utime(folder / OF_A[0])  # perhaps another image now
    work.key(slide)
    assert hashed == list(OF_A[:2]) * 2


@pytest.mark.parametrize(
    ("images", "reason"), [(("C/white.png",), "no-tissue"), (("B/text.png", "B/gone.png"), "unreadable")]
)
def test_a_patient_without_tiles_is_quarantined(folder: Path, images: tuple[str, ...], reason: str) -> None:
    with pytest.raises(SlideError) as caught:
        cut(Slide("C", folder, "C", 1, images=images))
    assert caught.value.reason == reason


def test_a_fingerprint_is_of_content_and_names_not_of_place_or_time(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    (moved / "A").mkdir(parents=True)
    for name in OF_A:
        (moved / name).write_bytes((folder / name).read_bytes())
    here = fingerprint_of(Slide("A", folder, "A", 1, images=OF_A))
    assert fingerprint_of(Slide("X", moved, "X", 9, images=OF_A)) == here
    assert fingerprint_of(Slide("A", folder, "A", 1, images=OF_A[:2])) != here
    assert fingerprint_of(Slide("A", folder, "A", 1, images=OF_A[::-1])) != here
    Image.fromarray(tissue(9, 40, 50)).save(moved / "A" / "2.png")
    assert fingerprint_of(Slide("X", moved, "X", 9, images=OF_A)) != here
    with pytest.raises(SlideError) as caught:
        fingerprint_of(Slide("X", moved, "X", 9, images=("A/none.png",)))
    assert caught.value.reason == "missing-file"


def test_the_sheet_shows_each_tile_at_its_place(folder: Path, tmp_path: Path) -> None:
    slide = Slide("A", folder, "A", 1, images=OF_A)
    make_image_store(slide, TABLE, tmp_path / "A.zarr", "key", {}, lambda tiles: None, threads=1)
    tiles, made = open_tiles(tmp_path / "A.zarr"), read_tile_attributes(tmp_path / "A.zarr")
    assert made is not None
    assert made.slide.size_l0 is not None
    whole = contact_sheet(tiles, made.slide.size_l0, max(made.slide.size_l0))
    x, y = tiles.xy[-1].tolist()
    assert np.array_equal(whole[y : y + PX, x : x + PX], read_pixels(tiles, 8, 9)[0])
    assert max(contact_sheet(tiles, made.slide.size_l0, 20).shape) <= 20
