"""[tile.stain] on images in folders: a patient's images are fitted together, and only their own pixels change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dyed import GLASS, OTHER, SLIDE, dyed
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Slide, Tiles
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.slides import stain_fit
from hypoxia_hpc.slides.image_stain import sample_images
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.attributes import tile_attributes
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels
from hypoxia_hpc.tiling.remarks import UNTRUSTED_STAIN
from hypoxia_hpc.tiling.stain.methods import METHODS
from hypoxia_hpc.tiling.stain.stains import Stains

PX = 40
N_OF_HOSPITAL = 10
IMAGES = ("large.png", "wide.png", "gone.png")
TABLE = {"tile_px": PX, "max_background": 0.5, "small_images": "pad", "pad_value": 100}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of nine tiles whose upper fifth is glass, one that is padded, one of a single green, one of glass."""
    folder = tmp_path_factory.mktemp("images")
    Image.fromarray(dyed()).save(folder / "large.png")
    Image.fromarray(dyed(seed=1)[-20:, :PX]).save(folder / "wide.png")
    green = np.full((PX, PX, 3), (60, 160, 70), np.uint8)
    Image.fromarray(green + np.random.default_rng(0).integers(0, 9, green.shape, np.uint8)).save(folder / "green.png")
    Image.new("RGB", (PX, PX), "white").save(folder / "glass.png")
    return folder


def cut(folder: Path, root: Path, images: tuple[str, ...] = IMAGES, threads: int = 1, **stain: Any) -> Tiles:
    table = TileTable.model_validate({**TABLE, "stain": stain})
    work, slide = TileStage(RunDir(root), table, threads), Slide("P", folder, "P", 1, images=images)
    done = work.make(slide, work.key(slide), lambda tiles: None)
    assert tile_state(RunDir(root), table, slide).remarks == done.remarks
    return open_tiles(work.target(slide))


def pixels(tiles: Tiles) -> Any:
    return read_pixels(tiles, 0, len(tiles.xy)).copy()


@pytest.mark.parametrize("threads", [1, 3])
def test_tiles_are_those_of_before_in_other_colours_and_what_fills_up_stays(
    folder: Path, tmp_path: Path, threads: int
) -> None:
    before, after = cut(folder, tmp_path / "1"), cut(folder, tmp_path / "2", threads=threads, method="macenko")
    assert np.array_equal(before.xy, after.xy) and np.array_equal(before.background, after.background)
    record = tile_attributes(after.attributes).stain
    found, given = (Stains(**{k: np.array(v) for k, v in record[name].items()}) for name in ("found", "given"))
    paint, expected = METHODS["macenko"].paint(found, given, GLASS), pixels(before)
    assert record["tiles"] == len(expected), "fewer than a sample has"
    paint(expected[:-1])
    padded = np.ascontiguousarray(expected[-1, 10:30])
    paint(padded)
    expected[-1, 10:30] = padded
    assert (expected[-1, :10] == 100).all() and not np.array_equal(expected, pixels(before))
    assert np.array_equal(pixels(after), expected)


def accuracy_in_another_hospital(folder: Path, seed: int, **stain: Any) -> float:
    """Patients of one class have more nuclei. Those of one hospital train a logistic regression on mean and spread of
    the colours of their tiles, those of another one, with its own stain, are called by it: the share of right calls."""
    features, labels = [], np.arange(2 * N_OF_HOSPITAL) % 2
    for number, label in enumerate(labels.tolist()):
        stains = SLIDE if number < N_OF_HOSPITAL else OTHER
        name = f"{seed}-{number}.png"
        image = dyed(stains, 2 * PX, 100 * seed + number, 0.2, 0.45 if label else 0.2)
        Image.fromarray(image).save(folder / name)
        tiles = pixels(cut(folder, folder / f"{number}{stain}", (name,), **stain)).reshape(-1, 3)
        features.append([*tiles.mean(axis=0), *tiles.std(axis=0)])
    ours, theirs = np.split(np.array(features), 2)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ours, labels[:N_OF_HOSPITAL])
    assert model.score(ours, labels[:N_OF_HOSPITAL]) > 0.9
    return float(model.score(theirs, labels[N_OF_HOSPITAL:]))


@pytest.mark.parametrize("seeds", [(0,), pytest.param((1, 2, 3, 4, 5), marks=pytest.mark.long)])
def test_models_of_one_hospital_call_patients_of_another_better_in_one_stain(
    tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    for seed in seeds:
        before = accuracy_in_another_hospital(tmp_path, seed)
        after = accuracy_in_another_hospital(tmp_path, seed, method="macenko")
        assert before <= 0.6 and after >= 0.9, (seed, before, after)


def test_each_image_has_its_part_in_the_sample_and_no_filling(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stain_fit, "SAMPLE_PX", 4 * PX**2)
    slide = Slide("P", folder, "P", 1, images=IMAGES)
    for threads in (1, 2):
        sample = sample_images(slide, TileTable.model_validate(TABLE), threads)
        assert sorted(tile.shape for tile in sample.tiles) == [(20, PX, 3), (PX, PX, 3), (PX, PX, 3)]
    assert sample.n_px == 20 * PX + 4 * PX**2, "two tiles of tissue and two of glass, and the padded one"


def test_a_patient_whose_fit_cannot_be_right_is_named_or_quarantined(folder: Path, tmp_path: Path) -> None:
    images = ("green.png",)
    before, after = cut(folder, tmp_path / "1", images), cut(folder, tmp_path / "2", images, method="macenko")
    assert np.array_equal(pixels(before), pixels(after))
    assert tile_attributes(after.attributes).remarks == (UNTRUSTED_STAIN,)
    with pytest.raises(SlideError, match="no stain that can be trusted") as caught:
        cut(folder, tmp_path / "3", images, method="macenko", untrusted="quarantine")
    assert caught.value.reason == "no-stain"


@pytest.mark.parametrize(("image", "reason"), [("gone.png", "missing-file"), ("glass.png", "no-tissue")])
def test_a_patient_without_tissue_has_that_reason(folder: Path, tmp_path: Path, image: str, reason: str) -> None:
    strict = {"method": "macenko", "untrusted": "quarantine"}
    work = TileStage(RunDir(tmp_path), TileTable.model_validate(TABLE | {"stain": strict}))
    with pytest.raises(SlideError) as caught:
        work.make(Slide("P", folder, "P", 1, images=(image,)), "key", lambda tiles: None)
    assert caught.value.reason == reason
