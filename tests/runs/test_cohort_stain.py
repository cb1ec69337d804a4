"""The stain that a cohort agrees on: of training patients alone, the same bytes whoever fits it, and what tiles get."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from dyed import GLASS, SLIDE, dyed
from image_folders import write_stained_run
from PIL import Image

from hypoxia_hpc.config import TileTable, parse_config
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs import cohort_stain
from hypoxia_hpc.runs.cohort_stain import in_drawn_order, keep_cohort_stain, training_patients
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.stain_reference import stain_target
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.synthetic.svs import write_svs
from hypoxia_hpc.tiling.stain.density import light_of_glass
from hypoxia_hpc.tiling.stain.macenko import fit_macenko
from hypoxia_hpc.tiling.stain.stains import median_stains


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stained_run(tmp_path_factory.mktemp("cohort") / "run")


@pytest.fixture
def run(made: Path, tmp_path: Path) -> RunDir:
    shutil.copytree(made, tmp_path / "run")
    return RunDir(tmp_path / "run")


def keep(run: RunDir) -> bytes:
    keep_cohort_stain(run, run.config(), NoProgress(), threading.Event())
    return run.stain_file.read_bytes()


def test_it_is_the_median_of_training_slides_and_what_tiles_get(run: RunDir) -> None:
    record = json.loads(keep(run))
    images = [np.array(Image.open(run.root / "images" / f"{name}.png"))[:, :, :3] for name in "ABC"]
    fits = [fit_macenko(image, light_of_glass(image, GLASS), GLASS).found for image in images]
    expected = median_stains([fit for fit in fits if fit is not None])
    assert sorted(one["slide_id"] for one in record["slides"]) == ["A", "B", "C"]
    assert set(record["left_out"]) == {"G"}
    target = stain_target(run.config().tile)
    assert np.abs(target.directions - expected.directions).max() < 0.02
    assert np.abs(target.strongest / expected.strongest - 1).max() < 0.1
    assert np.allclose(np.linalg.norm(target.directions, axis=0), 1)
    work, slide = TileStage(run, run.config().tile), run.slides()[4]
    before = work.key(slide)
    work.make(slide, before, lambda tiles: None)
    store = read_tile_attributes(run.tiles(slide.slide_id))
    assert store is not None
    assert (store.stain["given"], slide.slide_id) == (record["given"], "T")
    record["given"]["strongest"] = [1.0, 1.0]
    run.stain_file.write_text(json.dumps(record))
    assert work.key(slide) != before, "the reference counts by its content"
    assert stain_target(run.config().tile).strongest.tolist() == [1.0, 1.0]


def test_no_other_patient_changes_it_and_it_stays(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    first = keep(run)
    for name in ("T.png", "V.png"):
        Image.fromarray(dyed(seed=9)).save(run.root / "images" / name)
    run.stain_file.unlink()
    assert keep(run) == first
    monkeypatch.setattr(cohort_stain, "fit_of", lambda *_: pytest.fail("it is there"))
    assert keep(run) == first


def test_it_is_fitted_again_where_one_of_its_patients_is_in_test_now(run: RunDir) -> None:
    first, split = keep(run), run.root / "split.csv"
    split.write_text(split.read_text().replace("B,train", "B,test"))
    again = keep(run)
    assert again != first
    assert {one["slide_id"] for one in json.loads(again)["slides"]} == {"A", "C"}
    run.stain_file.write_text("{")
    assert keep(run) == again


def test_slides_are_one_of_a_patient_and_no_other_patient_changes_their_order() -> None:
    slides = [Slide(f"{patient}{n}", Path("a"), patient, 1) for patient in "pqrs" for n in range(3)]
    drawn = in_drawn_order(slides)
    assert sorted(slide.patient_id for slide in drawn) == list("pqrs")
    assert in_drawn_order(slides[::-1]) == drawn
    assert in_drawn_order(slides[3:]) == [slide for slide in drawn if slide.patient_id != "p"]


def test_a_slide_is_sampled_where_masks_leave_it(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", dyed(side=620), 0.5)
    table = TileTable.model_validate({"tile_px": 100, "stain": {"method": "macenko"}})
    slide = Slide("a", tmp_path / "a.svs", "p", 1)
    [used] = cohort_stain.cohort_stain(table, [slide], "key", threading.Event())["slides"]
    assert np.abs(np.array(used["found"]["strongest"]) / SLIDE.strongest - 1).max() < 0.2


def test_what_cannot_be_fitted_is_refused(run: RunDir, tmp_path: Path) -> None:
    green = [slide for slide in run.slides() if slide.slide_id == "G"]
    with pytest.raises(InputError, match="no training slide has a stain") as caught:
        cohort_stain.cohort_stain(run.config().tile, green, "key", threading.Event())
    assert caught.value.offending[0].startswith("G: ")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        cohort_stain.cohort_stain(run.config().tile, green, "key", stop)
    folds = tmp_path / "folds.csv"
    folds.write_text("patient_id,fold,set\nA,0,train\nA,1,test\nB,0,test\nB,1,train\n")
    with pytest.raises(InputError, match="is in training in all of 2 folds"):
        training_patients(folds)
    with pytest.raises(InputError) as refused:
        parse_config({"tile": {"stain": {"method": "macenko", "reference": "cohort"}}}, source="run.toml")
    assert "[train] split_file" in refused.value.offending[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it holds no stain"),
        ('{"method": "macenko", "given": {"directions": [1], "strongest": [1, 1], "white": [1, 1, 1]}}', "no stain"),
        ('{"method": "vahadane", "given": {"directions": [], "strongest": [], "white": []}}', "of the method vahadane"),
    ],
)
def test_a_file_that_is_no_such_record_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "stain.json").write_text(text)
    table = TileTable.model_validate({"stain": {"method": "macenko", "reference": str(tmp_path / "stain.json")}})
    with pytest.raises(InputError, match=said) as caught:
        stain_target(table)
    assert "[tile.stain] reference" in str(caught.value)


@pytest.mark.parametrize(("word", "name"), [("cohort", "stain.json"), ("./cohort", "cohort")])
def test_the_word_is_no_path(run: RunDir, word: str, name: str) -> None:
    run.config_file.write_text(run.config_file.read_text().replace('reference = "cohort"', f'reference = "{word}"'))
    assert run.config().tile.stain.reference == str(run.root / name)
