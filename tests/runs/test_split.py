"""The split of a run: kept with a record, made again where it was made of something else, and proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feature_runs import make_run

from hypoxia_hpc.cohorts import grouping
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.runs.cohort import load_cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.split import keep_split, split_of_run, split_problems

SITES = "ABCDEFGH"


def run_of_sites(folder: Path, **settings: Any) -> RunDir:
    """Thirty-two patients of eight hospitals, and one without label or hospital."""
    run = make_run(folder, {"heads": ["logistic"], "clusterings": [], **settings})
    table = pd.read_csv(run.patients_file, dtype=str).fillna("")
    sites = [SITES[int(name[1:]) // 4] if int(name[1:]) < 32 else "" for name in table["patient_id"]]
    table.assign(hospital=sites).to_csv(run.patients_file, index=False)
    return run


def kept(run: RunDir) -> pd.DataFrame:
    """What train writes first."""
    cohort = load_cohort(run)
    keep_split(run, cohort.config, list(cohort.patients.values()), cohort.split())
    return pd.read_csv(run.split_file)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = run_of_sites(tmp_path_factory.mktemp("grouped") / "run", keep_together="hospital", folds=2, repeats=2)
    kept(run)
    return run


def test_no_hospital_is_in_two_sets(grouped: RunDir) -> None:
    split = pd.read_csv(grouped.split_file)
    assert sorted(split["fold"].unique()) == [0, 1, 2, 3]
    hospitals = pd.read_csv(grouped.patients_file).set_index("patient_id")["hospital"]
    placed = split[split["set"] != "unlabelled"].assign(hospital=lambda rows: rows["patient_id"].map(hospitals))
    assert len(placed[["fold", "hospital", "set"]].drop_duplicates()) == 4 * 8
    assert (placed[placed["set"] == "test"].groupby("patient_id").size() == 2).all()


def test_its_record_says_what_it_was_made_of(grouped: RunDir) -> None:
    record = json.loads(grouped.split_record_file.read_text())
    assert record["keep_together"] == "hospital"
    assert [one["of"] for one in record["balances"]][:2] == [
        "the test sets of repeat 0", "training and validation of fold 0",
    ]  # fmt: skip
    assert all(one["is_best"] for one in record["balances"])


def test_it_is_read_and_not_searched_for_again(grouped: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = load_cohort(grouped)
    patients = list(cohort.patients.values())
    made = split_of_run(grouped, cohort.config, patients)

    def no_search(*_: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr(grouping, "_solved", no_search)
    reseeded = cohort.config.model_copy(update={"train": cohort.config.train.model_copy(update={"seed": 1})})
    again = split_of_run(grouped, cohort.config, patients)
    assert again.table.equals(made.table)
    assert again.balances == made.balances
    with pytest.raises(AssertionError, match="searched again"):
        split_of_run(grouped, reseeded, patients)
    with pytest.raises(AssertionError, match="searched again"):
        split_of_run(grouped, cohort.config, patients[1:])


def test_verify_proves_that_no_hospital_straddles(tmp_path: Path) -> None:
    run = run_of_sites(tmp_path / "run", keep_together="hospital")
    split = kept(run)
    assert split_problems(run) == []
    one = split.index[split["set"] == "test"][0]
    split.loc[one, "set"] = "train"
    split.to_csv(run.split_file, index=False)
    (found,) = [checked for checked in verify(run) if checked.path == "split.csv"]
    site = SITES[int(split["patient_id"][one][1:]) // 4].lower()
    assert found.problems[0] == "split.csv is not as it was written"
    assert found.problems[1].startswith(f"group {site} is in 2 sets of fold 0: ")
    split.loc[len(split)] = [split["patient_id"][one], 0, "test"]
    split.to_csv(run.split_file, index=False)
    assert "occurs on lines" in split_problems(run)[0]


def test_a_given_split_is_used_and_frozen(tmp_path: Path) -> None:
    run = run_of_sites(tmp_path / "run", split_file="mine.csv")
    names = [f"P{number:02d}" for number in range(32)]
    sets = ["train"] * 20 + ["valid"] * 6 + ["test"] * 6
    pd.DataFrame({"patient_id": names, "set": sets}).to_csv(tmp_path / "run" / "mine.csv", index=False)
    split = kept(run)
    assert split["set"].tolist() == [*sets, "unlabelled"]
    text = run.patients_file.read_text()
    run.patients_file.write_text(text.replace("P32,,", "P32,1,"))
    with pytest.raises(InputError, match=r"mine\.csv is no split of this cohort") as caught:
        load_cohort(run).split()
    assert caught.value.offending == ("patient P32 has a label and no set in fold 0",)


def test_the_split_that_a_run_has_is_frozen_by_its_own_name(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": [], "folds": 3}, n_patients=24)
    there = kept(run)
    cohort = load_cohort(run)
    changes = {"split_file": str(run.split_file), "seed": 9, "split": (0.8, 0.1, 0.1)}
    config = cohort.config.model_copy(update={"train": cohort.config.train.model_copy(update=changes)})
    text = run.split_file.read_bytes()
    again = split_of_run(run, config, list(cohort.patients.values()))
    keep_split(run, config, list(cohort.patients.values()), again)
    assert run.split_file.read_bytes() == text
    assert len(again.table) == len(there) == 3 * 25


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    run = run_of_sites(tmp_path / "run", keep_together="ward")
    with pytest.raises(InputError, match=r"'ward' is no column of patients\.csv or slides\.csv"):
        load_cohort(run).split()
