"""The reference of the training patients, kept with the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models.reference import distance_table, is_kept, keep_reference, read_reference, unlike_sentence
from hypoxia_hpc.runs.directory import RunDir

D = 12


def means_of(rng: np.random.Generator, names: list[str], shift: float = 0.0) -> dict[str, np.ndarray]:
    return {name: rng.normal(shift, 1.0, D) for name in names}


SETS = {f"P{number:03d}": ("train", "train", "train", "valid", "test")[number % 5] for number in range(120)}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def test_it_is_read_as_it_was_made_and_holds_what_it_has_to(run: RunDir) -> None:
    means = means_of(np.random.default_rng(0), [*SETS, "unlabelled"])
    entry = keep_reference(run, means, ({**SETS, "unlabelled": "unlabelled"},))
    assert (entry["n_train"], entry["n_valid"], entry["test"]["n"]) == (72, 24, 24)
    assert entry["test"]["beyond"] <= 2
    found = read_reference(run, entry)
    train = np.array([means[name] for name, place in SETS.items() if place == "train"])
    np.testing.assert_allclose(found.mean, train.mean(axis=0))
    np.testing.assert_allclose(found.scale, train.std(axis=0, ddof=1))
    assert (found.limit, found.n) == (entry["limit"], 96)
    assert keep_reference(run, means, (SETS,)) == entry


def test_patients_of_another_cohort_are_named(run: RunDir) -> None:
    rng = np.random.default_rng(1)
    found = read_reference(run, keep_reference(run, means_of(rng, list(SETS)), (SETS,)))
    others = {**means_of(rng, ["near"]), **means_of(rng, ["far", "farther"], shift=4.0)}
    table = distance_table(found, others)
    assert table["unlike_training"].to_dict() == {"far": 1, "farther": 1, "near": 0}
    assert (table["distance"] > 0).all()
    said = unlike_sentence(table, found)
    assert said.startswith("2 of 3 patients look unlike the training patients: far, farther. ")
    assert said.endswith(
        "a rough limit, for it is of 96 training and validation patients alone: about 3% of patients of the same "
        "cohort lie beyond it too."
    )
    assert unlike_sentence(table.loc[["near"]], found) == ""


def test_in_cross_validation_every_labelled_patient_is_in_training(run: RunDir) -> None:
    means = means_of(np.random.default_rng(2), list(SETS))
    turned = {name: {"train": "valid", "valid": "test", "test": "train"}[place] for name, place in SETS.items()}
    third = {name: {"train": "test", "valid": "train", "test": "valid"}[place] for name, place in SETS.items()}
    entry = keep_reference(run, means, (SETS, turned, third))
    assert (entry["n_train"], entry["n_valid"], entry["test"]["n"]) == (120, 0, 0)


def test_with_too_few_patients_there_is_none(run: RunDir) -> None:
    means = means_of(np.random.default_rng(3), ["a", "b", "c"])
    assert keep_reference(run, means, ({"a": "train", "b": "train", "c": "test"},)) == {}
    assert keep_reference(run, {}, ({},)) == {}
    assert not run.reference_file.exists()
    assert is_kept(run, {})


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_file_that_is_not_the_one_is_refused(run: RunDir, damage: str) -> None:
    entry = keep_reference(run, means_of(np.random.default_rng(4), list(SETS)), (SETS,))
    assert is_kept(run, entry)
    if damage == "missing":
        run.reference_file.unlink()
    else:
        run.reference_file.write_bytes(run.reference_file.read_bytes() + b"\0")
    assert not is_kept(run, entry)
    with pytest.raises(NotReadyError, match=r"reference\.npy is missing or not the one"):
        read_reference(run, entry)
