"""One slide under two patients, one patient under two ids."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import NAME, D, make_run, write_slide

from hypoxia_hpc.cohorts.slide_table import read_slides
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.cohort import load_cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.identity import in_both, one_patient, shared_slides
from hypoxia_hpc.runs.split import keep_split, split_problems
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.features import open_features
from hypoxia_hpc.stores.tiles import new_tile_store


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []}, n_patients=16)


def copy_slide(run: RunDir, of: str, to: str, patient_id: str) -> None:
    """As if the slide's file had come again with one byte behind its image: other fingerprint, same tiles."""
    values = np.array(open_features(run.features(NAME, of)).values)
    for folder in (run.tiles(to), run.features(NAME, to)):
        shutil.rmtree(folder)
    write_slide(run, to, patient_id, values)


def test_a_slide_that_came_again_in_another_file_is_refused(run: RunDir) -> None:
    assert shared_slides(run, run.slides(), NAME) == []
    copy_slide(run, "S00-0", "S03-0", "P03")
    assert shared_slides(run, run.slides(), NAME) == [(("P00", "S00-0"), ("P03", "S03-0"))]
    with pytest.raises(InputError, match=r"in slides\.csv under more than one patient .*: 1\n") as caught:
        train(run, progress=NoProgress(), stop=threading.Event())
    assert caught.value.offending == ("P00 (S00-0) and P03 (S03-0)",)
    assert not run.split_file.exists()


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_features_that_tell_nothing_are_no_proof(run: RunDir, value: float) -> None:
    for slide_id, patient_id in (("S00-0", "P00"), ("S03-0", "P03")):
        for folder in (run.tiles(slide_id), run.features(NAME, slide_id)):
            shutil.rmtree(folder)
        write_slide(run, slide_id, patient_id, np.full((20, D), value))
    assert shared_slides(run, run.slides(), NAME) == []


def test_stores_with_pixels_are_held_by_them(tmp_path: Path) -> None:
    """Two slides of one file's worth of tiles, and a third that differs in one pixel."""
    run = RunDir(tmp_path)
    for slide_id, last in (("a", 0), ("b", 0), ("c", 1)):
        pixels = np.zeros((16, 16, 3), np.uint8)
        pixels[-1, -1, -1] = last
        with new_tile_store(run.tiles(slide_id), 16) as store:
            store.new_tile()[:] = pixels
            attributes = {"key": slide_id, "spec": {}, "slide": {"fingerprint": slide_id, "mpp": 0.5 + last}}
            store.commit(np.zeros((1, 2), np.int64), np.zeros(1, np.float32), attributes)
    text = "slide_id,path,patient_id,cost\n" + "".join(f"{name},{name}.svs,P{name},1\n" for name in "abc")
    run.slides_file.write_text(text)
    assert shared_slides(run, run.slides(), NAME) == [(("Pa", "a"), ("Pb", "b"))]


def test_slides_of_one_patient_may_be_the_same(run: RunDir) -> None:
    text = run.slides_file.read_text()
    copy_slide(run, "S00-0", "S03-0", "P03")
    run.slides_file.write_text(text.replace(",P03,", ",P00,"))
    assert shared_slides(run, run.slides(), NAME) == []


def test_ids_that_differ_in_case_or_separators_are_refused(run: RunDir) -> None:
    for file in (run.slides_file, run.patients_file):
        file.write_text(file.read_text().replace("P01", "P-1").replace("P02", "p_1"))
    with pytest.raises(InputError, match="differ only in case, separators or leading zeros") as caught:
        train(run, progress=NoProgress(), stop=threading.Event())
    assert caught.value.offending == ("'P-1', 'p_1'",)
    assert one_patient(run, run.slides(), NAME) == {"P-1": "P-1/p_1", "p_1": "P-1/p_1"}


def test_a_barcode_in_any_writing_is_one_patient_in_all_tables(tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_text(
        "slide_id,path,patient_id,cost\na,a.svs,tcga.e7.a6mf,1\nb,b.svs,TCGA-E7-A6MF-01Z-00-DX1,1\n"
    )
    assert [slide.patient_id for slide in read_slides(tmp_path / "slides.csv")] == ["TCGA-E7-A6MF"] * 2


def test_verify_finds_who_came_into_two_sets_that_way(run: RunDir) -> None:
    cohort = load_cohort(run)
    keep_split(run, cohort.config, list(cohort.patients.values()), cohort.split())
    assert split_problems(run) == []
    split = pd.read_csv(run.split_file).set_index("patient_id")["set"]
    (one, _), (other, _) = (next(iter(split[split == name].items())) for name in ("train", "test"))
    copy_slide(run, f"S{one[1:]}-0", f"S{other[1:]}-0", other)
    (problem,) = split_problems(run)
    assert problem.startswith("group ")
    assert problem.endswith(f" is in 2 sets of fold 0: train ({one}), test ({other})") or problem.endswith(
        f" is in 2 sets of fold 0: test ({other}), train ({one})"
    )


def test_patients_of_two_runs_are_one_by_id_or_by_slide(run: RunDir, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", {"heads": ["logistic"], "clusterings": []}, n_patients=3, n_unlabelled=0)
    names = {"P00": "p00", "P01": "TCGA-ZZ-0001", "P02": "A"}
    text = other.slides_file.read_text()
    for here, there in names.items():
        text = text.replace(f",{here},", f",{there},")
    other.slides_file.write_text(text)

    def found(slides: tuple[Slide, ...]) -> dict[str, str]:
        return in_both(other, other.slides(), NAME, run, slides, NAME)

    # Both runs were made of the same numbers: their slides have the same fingerprints.
    assert found(run.slides()) == {"p00": "P00", "TCGA-ZZ-0001": "P01", "A": "P02"}
    copy_slide(other, "S00-0", "S02-0", "A")  # of another file, and with the features of P00
    assert found(run.slides())["A"] == "P00"
    strangers = tuple(replace(one, slide_id=f"{one.slide_id}-missing") for one in run.slides())
    assert found(strangers) == {"p00": "P00"}
    other.slides_file.write_text(text.replace("TCGA-ZZ-0001", "tcga.zz.0001.01A"))
    assert found((replace(strangers[0], patient_id="TCGA-ZZ-0001"),)) == {"TCGA-ZZ-0001": "TCGA-ZZ-0001"}
