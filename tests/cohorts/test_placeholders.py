"""Words in place of a patient's id."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.manifests import read_manifest
from hypoxia_hpc.cohorts.placeholders import placeholders
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
