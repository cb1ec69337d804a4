"""Images in folders as a cohort: a row for each patient, their order, their cost, and what is odd about them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_folders import CLASSES, tissue, write_cohort
from PIL import Image

from hypoxia_hpc.cohorts.images import read_images
from hypoxia_hpc.config import OutcomeTable, SourceTable
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.outcomes.registry import BINARY, outcome_of
from hypoxia_hpc.runs.image_cohort import equal_images, image_cohort, image_costs
from hypoxia_hpc.runs.sources import Sources, with_columns_of_study

BY_SERIES = SourceTable(kind="folders", pattern="{patient}/{series}/{image}")


def write(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tissue(seed)).save(folder / name)
    return folder


def test_images_come_by_series_and_number(tmp_path: Path) -> None:
    names = ("P.1/T2w/I-10.png", "P.1/T2w/I-9.png", "P.1/FLAIR/I-2.png", "q 2/T2w/I-1.png", ".hidden/T2w/I-1.png")
    cohort = image_cohort(Sources(write(tmp_path / "images", *names)), BY_SERIES, BINARY)
    (tmp_path / "images.csv").write_text(cohort.images_csv())
    found = {name: tuple(path for path, _ in images) for name, images in read_images(tmp_path / "images.csv").items()}
    assert found == {
        "P.1": ("P.1/FLAIR/I-2.png", "P.1/T2w/I-9.png", "P.1/T2w/I-10.png"),
        "q-2": ("q 2/T2w/I-1.png",),
    }
    slides = cohort.joined.slides.slides
    assert slides[["slide_id", "patient_id", "name"]].to_numpy().tolist() == [["P.1"] * 3, ["q-2", "q 2", "q 2"]]


def test_labels_and_sets_come_from_the_table(tmp_path: Path) -> None:
    outcome = outcome_of(OutcomeTable(kind="classes", classes=CLASSES))
    sources = Sources(tmp_path / "images", images_table=write_cohort(tmp_path / "images"))
    cohort = image_cohort(sources, SourceTable(kind="folders"), outcome)
    assert {each.patient_id: each.label for each in cohort.joined.patients}["P5"] == 2
    assert (len(cohort.rows), cohort.sets["P0"], cohort.sets["P6"], cohort.sets["P9"]) == (24, "train", "valid", "test")
    binary = (tmp_path / "key.csv").read_text().replace("tile_0_1.png,LMS", "tile_0_1.png,SS")
    (tmp_path / "key.csv").write_text(binary)
    with pytest.raises(InputError, match="whose images have different values in the table or the paths") as caught:
        image_cohort(sources, SourceTable(kind="folders"), outcome)
    assert caught.value.offending == ("patient P0: label LMS, SS",)


def test_the_columns_of_the_table_that_a_study_was_published_with_are_known(tmp_path: Path) -> None:
    """As far as a table has them, and no others are asked for."""
    table = tmp_path / "labels.csv"
    table.write_text("BraTS21ID,MGMT_value\n00003,1\n00004,0\n")
    sources = Sources(write(tmp_path / "images", "00003/T2w/1.png", "00004/T2w/1.png"), patients=table)
    known = with_columns_of_study(sources, "mgmt")
    outcome = outcome_of(OutcomeTable(classes=("unmethylated", "methylated")))
    cohort = image_cohort(known, BY_SERIES, outcome)
    assert {each.patient_id: each.label for each in cohort.joined.patients} == {"00003": 1, "00004": 0}
    assert with_columns_of_study(sources, "hypoxia") == sources
    asked = replace(sources, label_column="status")
    assert with_columns_of_study(asked, "mgmt").label_column == "status"
    table.write_text("patient_id,label\n00003,1\n")
    assert with_columns_of_study(sources, "mgmt") == sources


def test_costs_grow_with_the_pixels_and_bad_headers_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "images", "A/1.png", "B/1.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 900, 3), dtype=np.uint8)).save(folder / "B/1.png")
    (folder / "A" / "2.png").write_text("no image")
    cohort = image_cohort(Sources(folder), SourceTable(kind="folders"), BINARY)
    seen: list[int] = []
    costs = image_costs(cohort, lambda: seen.append(1), threading.Event())
    assert len(seen) == 3
    assert costs.cost["B"] > costs.cost["A"] >= 1
    assert costs.refused == {"not-an-image": ("A/2.png",)}
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        image_costs(cohort, lambda: None, stop)


def test_equal_images_of_several_patients_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "images", "A/1.png", "A/2.png", "B/1.png")
    for copy in ("A/3.png", "B/2.png"):
        (folder / copy).write_bytes((folder / "A" / "1.png").read_bytes())
    cohort = image_cohort(Sources(folder), SourceTable(kind="folders"), BINARY)
    assert equal_images(cohort, threading.Event()) == ("A/1.png = B/2.png and 1 more",)


def test_empty_images_are_of_no_patient(tmp_path: Path) -> None:
    folder = write(tmp_path / "images", "A/1.png", "B/1.png")
    for name in ("A/2.png", "B/2.png"):
        Image.new("I;16", (12, 12)).save(folder / name)
    cohort = image_cohort(Sources(folder), SourceTable(kind="folders"), BINARY)
    assert equal_images(cohort, threading.Event()) == ()


def test_a_path_is_found_whatever_the_form_of_its_accents(tmp_path: Path) -> None:
    folder = write(tmp_path / "images", "Mu\u0308ller.png")
    (tmp_path / "key.csv").write_text("patient_ID,Path\nA,M\u00fcller.png\n", encoding="utf-8")
    cohort = image_cohort(Sources(folder, images_table=tmp_path / "key.csv"), SourceTable(kind="folders"), BINARY)
    assert [row.path for row in cohort.rows] == ["Mu\u0308ller.png"]


def test_series_are_taken_as_asked_and_missing_ones_are_named(tmp_path: Path) -> None:
    names = [f"P1/{series}/I-{number}.png" for series in ("FLAIR", "T1w", "T2w") for number in (1, 2, 3, 10)]
    folder = write(tmp_path / "images", *names, "P2/FLAIR/I-1.png", "P3/T1w/I-1.png", "P2/T2w/I-1.png")
    asked = {"image_mode": ["T2w", "FLAIR"], "patient_mode": "middle", "middle": 2, "orientation": "axial"}
    source = SourceTable.model_validate(BY_SERIES.model_dump() | asked)
    cohort = image_cohort(Sources(folder), source, BINARY)
    assert cohort.images_csv().splitlines() == [
        "slide_id,path,series,plane,slices",
        *(f"P1,P1/{series}/I-{number}.png,{series},axial," for series in ("T2w", "FLAIR") for number in (2, 3)),
        "P2,P2/T2w/I-1.png,T2w,axial,",
        "P2,P2/FLAIR/I-1.png,FLAIR,axial,",
    ]
    assert (cohort.missing, cohort.without) == ({}, ("P3",))
    only = image_cohort(Sources(folder), BY_SERIES.model_copy(update={"image_mode": ("T1w", "FLAIR")}), BINARY)
    assert only.missing == {"T1w": ("P2",), "FLAIR": ("P3",)}
    assert [(each["kind"], each["names"]) for each in only.left_out()] == [("series", ["P2"]), ("series", ["P3"])]
    assert image_cohort(Sources(folder), BY_SERIES, BINARY).images_csv().startswith("slide_id,path,series\n")


def test_series_of_two_sizes_are_named_before_they_are_tiled(tmp_path: Path) -> None:
    folder = write(tmp_path / "images", "A/T1w/1.png", "A/T1w/2.png", "B/T1w/1.png")
    Image.new("L", (9, 8)).save(folder / "A" / "T1w" / "2.png")
    Image.new("F", (16, 16)).save(folder / "B" / "T1w" / "2.tif")
    cohort = image_cohort(Sources(folder), BY_SERIES, BINARY, in_series=True)
    costs = image_costs(cohort, lambda: None, threading.Event())
    assert (costs.mixed, costs.refused) == (("A T1w: 16 x 16 unknown, 9 x 8 unknown",), {})
    plain = image_costs(image_cohort(Sources(folder), BY_SERIES, BINARY), lambda: None, threading.Event())
    assert (plain.mixed, plain.refused) == ((), {"not-supported": ("B/T1w/2.tif",)})
