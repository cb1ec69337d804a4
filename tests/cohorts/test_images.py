"""Tables of images: whose each is, and every wrong cell named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.images import (
    ImageRow,
    read_images,
    read_key_table,
    rows_by_pattern,
    sets_of,
    slices_cell,
    with_images,
)
from hypoxia_hpc.config import SourceTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import ImagePart, Slide

FOLDER = Path("/data/images")
HEADER = "patient_ID,Path,Label,training_set,is_valid\n"


def read(tmp_path: Path, text: str, names: SourceTable = SourceTable(), **options: bool) -> list[ImageRow]:  # noqa: B008
    (tmp_path / "key.csv").write_text(text, encoding="utf-8")
    return read_key_table(tmp_path / "key.csv", FOLDER, names, **options)


def test_a_key_table_says_whose_each_image_is(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        f"{HEADER}P1,a/1.png,LMS,TRAIN,False\nP1,a/2.png,LMS,train,False\nP2,{FOLDER}/b/1.png,SS,VALID,True\n"
        "P3,c.png,UPS,TEST,False\n",
    )
    assert [(row.patient_id, row.path, row.label, row.set) for row in rows] == [
        ("P1", "a/1.png", "LMS", "train"),
        ("P1", "a/2.png", "LMS", "train"),
        ("P2", "b/1.png", "SS", "valid"),
        ("P3", "c.png", "UPS", "test"),
    ]
    assert sets_of(rows) == {"P1": "train", "P2": "valid", "P3": "test"}


def test_columns_may_have_other_names_or_be_missing(tmp_path: Path) -> None:
    names = SourceTable(patient_column="case", path_column="file", label_column="kind", set_column="part")
    rows = read(tmp_path, "kind;file;case\nSS;1.png;A\n", names)
    assert rows == [ImageRow("A", "1.png", "", "SS", "", 2)]
    marked = read(tmp_path, "patient_ID,Path,is_valid\nA,1.png,False\nB,2.png,True\n")
    assert sets_of(marked) == {"A": "train", "B": "valid"}
    assert sets_of(read(tmp_path, f"{HEADER}A,1.png,SS,nonsense,False\n", has_sets=False)) == {}


WRONG = {
    "leaves the folder": ("P1,../../etc/passwd,LMS,TRAIN,False\n", "line 2: Path '../../etc/passwd' is no path below"),
    "absolute": ("P1,/etc/passwd,LMS,TRAIN,False\n", "line 2: Path '/etc/passwd' is no path below"),
    "no path": ("P1,,LMS,TRAIN,False\n", "line 2: Path '' is no path below"),
    "no patient": (",1.png,LMS,TRAIN,False\n", "line 2: patient_ID is empty"),
    "no set": ("P1,1.png,LMS,holdout,False\n", "line 2: training_set 'holdout' is none of"),
    "two sets": (
        "P1,1.png,LMS,TRAIN,False\nP1,2.png,LMS,VALID,True\n",
        "patient P1: train (line 2), valid (line 3)",
    ),
    "one image twice": (
        "P1,1.png,LMS,TRAIN,False\nP2,./1.png,LMS,TRAIN,False\n",
        "'1.png': lines 2, 3, patients P1, P2",
    ),
    "one patient, two names": ("p_1,1.png,LMS,TRAIN,False\nP-1,2.png,LMS,TEST,False\n", "'P-1', 'p_1'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_key_table_is_refused(tmp_path: Path, name: str) -> None:
    rows, said = WRONG[name]
    with pytest.raises(InputError) as caught:
        read(tmp_path, HEADER + rows)
    assert any(said in item for item in caught.value.offending), caught.value.offending
    assert caught.value.remedy


def test_a_pattern_finds_patients_and_names_what_does_not_fit() -> None:
    rows, others = rows_by_pattern(["P1/FLAIR/1.png", "P1/T1w/1.png", "x.png"], "{patient}/{series}/{image}")
    assert [(row.patient_id, row.series, row.path) for row in rows] == [
        ("P1", "FLAIR", "P1/FLAIR/1.png"),
        ("P1", "T1w", "P1/T1w/1.png"),
    ]
    assert others == ["x.png"]
    with pytest.raises(InputError, match="no image fits") as caught:
        rows_by_pattern(["x.png"], "{patient}/{image}")
    assert caught.value.offending == ("x.png",)
    with pytest.raises(InputError, match="differ only in case"):
        rows_by_pattern(["p1/1.png", "P1/2.png"], "{patient}/{image}")


def test_images_csv_is_not_trusted_either(tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    table.write_text("slide_id,path,series\nB,b/1.png,\nA,'=a.png,\nA,a 2.png,\n")
    part = ImagePart()
    assert read_images(table) == {"B": (("b/1.png", part),), "A": (("=a.png", part), ("a 2.png", part))}
    (slide,) = with_images([Slide("A", FOLDER, "A", 1)], table)
    assert slide.images == ("=a.png", "a 2.png")
    with pytest.raises(InputError, match="no image of slides") as caught:
        with_images([Slide("C", FOLDER, "C", 1)], table)
    assert caught.value.offending == ("C",)
    for path in ("../x.png", "/etc/passwd", "", "a/../../x.png"):
        table.write_text(f"slide_id,path\nA,{path}\n")
        with pytest.raises(InputError, match="1 wrong cell"):
            read_images(table)


def test_images_csv_says_which_slices_of_which_series(tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    table.write_text("slide_id,path,series,plane,slices\nA,a.nii.gz,FLAIR,axial,60-89\nA,a.png,T1w,unknown,\n")
    (slide,) = with_images([Slide("A", FOLDER, "A", 1)], table)
    assert slide.images == ("a.nii.gz", "a.png")
    assert slide.parts == (ImagePart("FLAIR", "axial", (60, 90)), ImagePart("T1w", "unknown"))
    assert slices_cell(slide.parts[0].slices) == "60-89"
    for cells in ("slanted,", "axial,9-3", "axial,-1-3", "axial,1-", "axial,1-9999999"):
        table.write_text(f"slide_id,path,series,plane,slices\nA,a.nii,FLAIR,{cells}\n")
        with pytest.raises(InputError, match="1 wrong cell"):
            read_images(table)
