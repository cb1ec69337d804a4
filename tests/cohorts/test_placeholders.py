"""Words in place of a patient's id."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.manifests import read_manifest
from hypoxia_hpc.cohorts.placeholders import is_shortened, placeholders
from hypoxia_hpc.cohorts.scores import read_scores
from hypoxia_hpc.cohorts.tables import read_patient_table
from hypoxia_hpc.errors import InputError

WORDS = ["ANONYMOUS", "anon", "Unknown", "NA", "n/a", "#N/A", "NaN", "None", "NULL", "-", "--", "?", "not available"]
IDS = ["P1", "ANON-001", "anonymous_2", "unknown7", "Nana", "00123", "1e5", "-1", "TCGA-E7-A6MF", "Ä", "患者"]


@pytest.mark.parametrize("word", WORDS)
def test_words_name_no_patient(word: str) -> None:
    assert placeholders([word, *IDS]) == {word}


def test_ids_name_patients() -> None:
    assert placeholders([*IDS, *IDS, ""]) == set()


def test_zeros_name_none_where_several_slides_have_them_and_no_id_is_a_number() -> None:
    assert placeholders(["0", "0", "P1"]) == {"0"}
    assert placeholders(["000", "000"]) == {"000"}
    assert placeholders(["0", "P1"]) == placeholders(["0", "0", "1"]) == set()


@pytest.mark.parametrize("column", ["patient_id", "case"])
def test_a_manifest_names_every_patient_or_leaves_the_cell_empty(tmp_path: Path, column: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"path,{column}\na.svs, NA \nb.svs,P1\nc.svs,NA\nd.svs,\n")
    with pytest.raises(InputError, match="leave the cells empty") as caught:
        read_manifest(path, lambda _: None, column)
    assert caught.value.offending == ("line 2: patient 'NA'", "line 4: patient 'NA'")
    path.write_text(path.read_text().replace("NA", ""))
    assert [each.patient_id for each in read_manifest(path, lambda _: None, column).candidates] == ["", "P1", "", ""]


def test_numbers_that_a_spreadsheet_shortened_are_no_ids(tmp_path: Path) -> None:
    assert all(map(is_shortened, ("1E+05", "1,23457E+12", "1.23457E+12", "9E-05")))
    assert not any(map(is_shortened, ("1e5", "1E5", "E+05", "P1E+05", "12345", "1.5")))
    path = tmp_path / "t.csv"
    path.write_text("path;patient_id;label\na.svs;1,23457E+12;1\nb.svs;1,23457E+12;1\nc.svs;P;0\n")
    with pytest.raises(InputError, match="shortened") as caught:
        read_manifest(path, lambda _: None)
    assert caught.value.offending == ("line 2: patient '1,23457E+12'", "line 3: patient '1,23457E+12'")
    with pytest.raises(InputError, match=r"line 2: patient_id '1,23457E.12' is a number that a spreadsheet"):
        read_patient_table(path)


def test_a_type_of_no_tumour_is_none(tmp_path: Path) -> None:
    """Its median would be over patients of any type."""
    path = tmp_path / "t.csv"
    path.write_text("patient_id,score,tumour_type\nP,1,NA\nQ,2,COAD\nR,3,unknown\n")
    with pytest.raises(InputError) as caught:
        read_scores(path, "type-median", "score")
    assert caught.value.offending == (
        "line 2: tumour_type is 'NA', not a type",
        "line 4: tumour_type is 'unknown', not a type",
    )
    assert len(read_scores(path, "pan-median", "score")) == 3
