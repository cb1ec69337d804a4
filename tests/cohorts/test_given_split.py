"""A split of the user's own: as it is, or refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hypoxia_hpc.cohorts.dealing import Member
from hypoxia_hpc.cohorts.given_split import given_split, read_given
from hypoxia_hpc.cohorts.splits import SplitRule
from hypoxia_hpc.errors import InputError

RULE = SplitRule((0.6, 0.2, 0.2))
MEMBERS = [Member(f"p{i}", str(i % 2), group=f"g{i // 2}") for i in range(6)] + [Member("u", None)]


def given(*sets: str, names: str = "p0 p1 p2 p3 p4 p5") -> pd.DataFrame:
    folds = len(sets)
    rows = [
        (name, fold, one) for fold in range(folds) for name, one in zip(names.split(), sets[fold].split(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["patient_id", "fold", "set"])


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "mine.csv").write_text(text)
    return tmp_path / "mine.csv"


def test_a_table_in_other_words(tmp_path: Path) -> None:
    path = written(tmp_path, "Patient_ID;set;note\ntcga.e7.a6mf.01A;Training;x\np1;VAL;\np2;test;\n")
    assert read_given(path).to_numpy().tolist() == [["TCGA-E7-A6MF", 0, "train"], ["p1", 0, "valid"], ["p2", 0, "test"]]


def test_every_wrong_cell_is_named(tmp_path: Path) -> None:
    path = written(
        tmp_path, "patient_id,fold,set\np1,0,train\n,0,test\np2,x,test\np3,0,holdout\np1,0,test\np1,1,test\n"
    )
    with pytest.raises(InputError) as caught:
        read_given(path)
    assert caught.value.offending == (
        "line 3: patient_id '' is empty",
        "line 4: fold 'x' is not a whole number from 0",
        "line 5: set 'holdout' is none of train, valid, test",
        "patient p1 in fold 0: lines 2, 6, sets train, test",
    )


def test_it_is_used_as_it_is() -> None:
    table = given_split(given("train train valid valid test test"), MEMBERS, RULE, "mine.csv").table
    assert dict(zip(table["patient_id"], table["set"], strict=True)) == {
        "p0": "train", "p1": "train", "p2": "valid", "p3": "valid", "p4": "test", "p5": "test", "u": "unlabelled",
    }  # fmt: skip


def test_folds_of_ones_own() -> None:
    rule = SplitRule((0.8, 0.0, 0.2), folds=2)
    table = given_split(
        given("train train train train test test", "test test test test train train"), MEMBERS, rule, "m"
    )
    assert table.table["fold"].tolist() == [0] * 7 + [1] * 7
    with pytest.raises(InputError, match=r"has the folds 0, and \[train\] asks for 2"):
        given_split(given("train train train train test test"), MEMBERS, rule, "m")
    with pytest.raises(InputError) as caught:
        given_split(given("train train train train test test", "test test train train test test"), MEMBERS, rule, "m")
    assert caught.value.offending == (
        "patient p4 is in the test set of 2 folds",
        "patient p5 is in the test set of 2 folds",
    )


def test_what_is_wrong_with_it_is_all_said() -> None:
    rule = SplitRule((0.6, 0.2, 0.2), together=True)
    with pytest.raises(InputError, match=r"mine\.csv is no split of this cohort") as caught:
        given_split(given("train test valid test test", names="p0 p1 p2 p3 p9"), MEMBERS, rule, "mine.csv")
    assert caught.value.offending == (
        "patient p4 has a label and no set in fold 0",
        "patient p5 has a label and no set in fold 0",
        "set train of fold 0 has no patient with label 1",
        "set valid of fold 0 has no patient with label 1",
        "set test of fold 0 has no patient with label 0",
        "group g0 is in 2 sets of fold 0: train (p0), test (p1)",
        "group g1 is in 2 sets of fold 0: valid (p2), test (p3)",
    )
