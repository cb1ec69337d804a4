"""Which patients belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.cohorts.groups import joined, read_groups
from hypoxia_hpc.errors import InputError


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    patients, slides = tmp_path / "patients.csv", tmp_path / "slides.csv"
    patients.write_text("patient_id,label,hospital\np1,0,North\np2,1,north \np3,1,\nTCGA-E7-A6MF,1,South\n")
    slides.write_text(
        "slide_id,patient_id,site,scanner\na,p1,X,s1\nb,p1,,s2\nc,p2,Y,s2\nd,p3,Z,s3\ne,TCGA-E7-A6MF,,s4\n"
    )
    return [patients, slides]


def test_a_column_of_either_table(tables: list[Path]) -> None:
    assert read_groups(tables, "hospital", ["p1", "p2"]) == {"p1": "north", "p2": "north"}
    assert read_groups(tables, "scanner", ["p3", "p1", "p2"]) == {"p1": "s1+s2", "p2": "s1+s2", "p3": "s3"}


def test_a_site_is_taken_from_the_barcode_where_the_column_says_nothing(tables: list[Path]) -> None:
    assert read_groups(tables, "site", ["p1", "TCGA-E7-A6MF"]) == {"TCGA-E7-A6MF": "e7", "p1": "x"}
    assert read_groups(tables[:1], "site", ["TCGA-E7-A6MF"]) == {"TCGA-E7-A6MF": "e7"}


def test_patients_without_a_value_are_all_named(tables: list[Path]) -> None:
    with pytest.raises(InputError, match="without a value of hospital") as caught:
        read_groups(tables, "hospital", ["p3", "p1", "p9"])
    assert caught.value.offending == ("p3", "p9")


def test_a_column_that_is_not_there_names_those_that_are(tables: list[Path]) -> None:
    with pytest.raises(InputError, match=r"'ward' is no column of patients\.csv or slides\.csv") as caught:
        read_groups(tables, "ward", ["p1"])
    assert "hospital, label, scanner, site, slide_id" in caught.value.remedy


def test_values_that_share_a_patient_are_one_group() -> None:
    values = {"a": ["x", "y"], "b": ["y", "z"], "c": ["w"], "d": ["z"], "e": ["v", "w"]}
    assert joined(values) == {"a": "x+y+z", "b": "x+y+z", "c": "v+w", "d": "x+y+z", "e": "v+w"}
