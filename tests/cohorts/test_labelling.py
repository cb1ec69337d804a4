"""What is known of patients, in a user's own words and columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hypoxia_hpc.cohorts.labelling import balance, patients_in, patients_said, plain_labels
from hypoxia_hpc.cohorts.tables import read_patient_table
from hypoxia_hpc.config.outcome import OutcomeTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.registry import BINARY, outcome_of
from hypoxia_hpc.records import Followed, Patient


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ("hypoxic Normoxic ", "1 0"),
        ("1.0 0.0 1", "1 0 1"),
        ("True FALSE", "1 0"),
        ("yes no", "1 0"),
        ("yes no maybe", "yes no maybe"),
        ("0 1 2", "0 1 2"),
        ("0.5 1.0", "0.5 1.0"),
    ],
)
def test_two_classes_in_any_words(words: str, labels: str) -> None:
    assert plain_labels(pd.Series(words.split(" "))).tolist() == [*labels.split(), *[""] * words.endswith(" ")]


def test_a_table_with_columns_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("\ufeffCase;Hypoxia;label;age\r\ntcga-e7-a6mf-01a;Hypoxic;x;61\r\nP1;normoxic;y;\r\n".encode())
    table = read_patient_table(path, "Case", "Hypoxia")
    assert table.columns.tolist() == ["patient_id", "label", "other_label", "age", "tumour_type"]
    assert table[["patient_id", "label", "age"]].to_numpy().tolist() == [["TCGA-E7-A6MF", "1", "61"], ["P1", "0", ""]]
    with pytest.raises(InputError, match="missing column: Hypoxie"):
        read_patient_table(path, "Case", "Hypoxie")


def test_samples_of_one_patient_are_named_with_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("patient_id,label\nTCGA-E7-A6MF-01A,1\ntcga.e7.a6mf,0\n")
    with pytest.raises(InputError, match=r"patient 'TCGA-E7-A6MF' occurs on lines 2, 3 with label '1', '0'"):
        read_patient_table(path)


def said(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["patient_id", "label", "tumour_type"])
    return table.assign(slide_id=[f"s{number}" for number in range(len(table))])


def test_labels_of_a_manifest_are_those_of_its_patients() -> None:
    found = patients_said(said(("p", "hypoxic", "A"), ("p", "", "A"), ("q", "normoxic", ""), ("r", "", "")))
    assert found is not None
    assert found.to_numpy().tolist() == [["p", "1", "A"], ["q", "0", ""], ["r", "", ""]]
    assert patients_said(said(("p", "", " "))) is None
    typed = patients_said(said(("p", "", "COAD")))
    assert typed is not None
    assert typed.to_numpy().tolist() == [["p", "", "COAD"]]


def test_slides_of_a_patient_that_contradict_each_other_are_named() -> None:
    with pytest.raises(InputError, match="different values in the manifest") as caught:
        patients_said(said(("p", "1", "A"), ("p", "0", "B"), ("q", "1", "A")))
    assert caught.value.offending == ("patient p: label 0, 1", "patient p: tumour_type A, B")


def test_the_balance_is_by_type_and_class() -> None:
    patients = [Patient("a", 1, "B"), Patient("b", 0, "B"), Patient("c", None), Patient("d", 1, "A")]
    header, rows = balance(patients, BINARY)
    assert header == ["tumour type", "patients", "normoxic", "hypoxic", "no label"]
    assert rows == [
        ["not known", "1", "0", "0", "1"],
        ["A", "1", "0", "1", "0"],
        ["B", "2", "1", "1", "0"],
        ["all", "4", "1", "2", "1"],
    ]
    followed = [Patient("a", Followed(3.0, 1)), Patient("b", None)]
    assert balance(followed, outcome_of(OutcomeTable(kind="survival"))) == (
        ["tumour type", "patients", "with a follow-up", "events", "median follow-up", "no label"],
        [["all", "2", "1", "1", "not reached", "1"]],
    )


def test_labels_that_are_none_are_all_named() -> None:
    table = pd.DataFrame({"patient_id": ["p", "q", "r"], "label": ["maybe", "1", "2"]})
    with pytest.raises(InputError, match="patients with a label that is none") as caught:
        patients_in(table, BINARY)
    assert [item.split(" is not ")[0] for item in caught.value.offending] == [
        "patient p: label 'maybe'", "patient r: label '2'",
    ]  # fmt: skip
    assert patients_in(table[1:2], BINARY) == (Patient("q", 1),)
