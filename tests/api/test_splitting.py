"""Splits of frames are those of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hypoxia_hpc as hx
from hypoxia_hpc.cohorts.splits import SplitRule, members_of, split_members
from hypoxia_hpc.config import OutcomeTable
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.records import Followed, Patient

PATIENTS = pd.DataFrame(
    {
        "patient_id": [f"P{number:02d}" for number in range(30)],
        "label": pd.array([number % 2 for number in range(28)] + [pd.NA, pd.NA], dtype="Int64"),
        "tumour_type": ["A", "B", None] * 10,
    }
)


@pytest.mark.parametrize("folds", [1, 3])
def test_a_split_is_that_of_the_stage(folds: int) -> None:
    records = [
        Patient(f"P{number:02d}", number % 2 if number < 28 else None, ("A", "B", "")[number % 3])
        for number in range(30)
    ]
    expected = split_members(members_of(records), SplitRule((0.6, 0.2, 0.2), folds, seed=7)).table
    found = hx.split(PATIENTS, (0.6, 0.2, 0.2), folds=folds, seed=7)
    pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(hx.split(PATIENTS[::-1], (0.6, 0.2, 0.2), folds=folds, seed=7), expected)


def test_the_table_needs_no_types_and_takes_any_missing_label() -> None:
    plain = pd.DataFrame({"patient_id": range(20), "label": [0.0, 1.0] * 9 + [np.nan, 1.0]})
    found = hx.split(plain)
    assert found["patient_id"].tolist() == sorted(map(str, range(20)))
    assert found.set_index("patient_id").loc["18", "set"] == "unlabelled"


@pytest.mark.parametrize(
    ("patients", "settings", "message"),
    [
        (PATIENTS.drop(columns="label"), {}, r"lacks columns[^$]*label"),
        (PATIENTS.assign(label=2), {}, "patient P00: label '2' is not 0, 1, normoxic, hypoxic or empty"),
        (PATIENTS, {"outcome": "score", "folds": 2, "keep_together": "ward"}, "'ward' is no column of the table of"),
        (PATIENTS, {"keep_together": "tumour_type"}, r"without a value of tumour_type[^$]*P02"),
        (PATIENTS, {"outcome": "survival"}, r"lacks columns[^$]*time[^$]*event"),
        (PATIENTS, {"outcome": "classes"}, "three classes or more, got 2"),
        (PATIENTS, {"outcome": {"kinds": "score"}}, "outcome.kinds: unknown key"),
        (PATIENTS, {"repeats": 2}, "folds must be above 1"),
        (PATIENTS.assign(patient_id=pd.NA), {}, "patients without an id"),
        (pd.concat([PATIENTS, PATIENTS[:1]]), {}, r"patients that occur twice[^$]*P00"),
        (PATIENTS[:3], {}, "too few patients"),
        (PATIENTS, {"fractions": (0.5, 0.1, 0.1)}, "three shares that sum to 1"),
        (PATIENTS, {"folds": 0}, "train.folds = 0"),
        (PATIENTS, {"seed": -1}, "train.seed = -1"),
    ],
)
def test_splits_that_cannot_be(patients: pd.DataFrame, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        hx.split(patients, **settings)


# --- other kinds, groups and repeats ----------------------------------------------------------------------------------


def known_of(n: int, outcome: OutcomeTable) -> tuple[pd.DataFrame, list[Patient]]:
    """The same patients as a frame and as records."""
    ids = [f"P{number:02d}" for number in range(n)]
    columns: dict[str, list[Any]]
    if outcome.kind == "survival":
        labels: list[Any] = [Followed(number * 1.5, number % 2) for number in range(n)]
        columns = {outcome.time: [one.time for one in labels], outcome.event: [one.event for one in labels]}
    elif outcome.kind == "classes":
        labels = [number % 3 for number in range(n)]
        columns = {outcome.column: [outcome.classes[one] for one in labels]}
    else:
        labels = [number / 7 for number in range(n)]
        columns = {outcome.column: labels}
    return pd.DataFrame({"patient_id": ids, **columns}), [Patient(*pair) for pair in zip(ids, labels, strict=True)]


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "classes", "classes": ["LMS", "SS", "UPS"], "column": "subtype"},
        {"kind": "score", "column": "purity"},
        {"kind": "survival", "time": "months", "event": "died"},
    ],
)
def test_other_kinds_are_split_as_by_the_stage(asked: Mapping[str, Any]) -> None:
    outcome = outcome_of(OutcomeTable.model_validate(asked))
    frame, records = known_of(40, outcome.table)
    rule = SplitRule((0.7, 0.15, 0.15), folds=3, repeats=2, seed=3, needed=outcome.needed_strata)
    expected = split_members(members_of(records, outcome=outcome), rule).table
    pd.testing.assert_frame_equal(hx.split(frame[::-1], folds=3, repeats=2, seed=3, outcome=asked), expected)


def test_groups_stay_whole() -> None:
    patients = PATIENTS.assign(hospital=[f"h{number % 10}" for number in range(30)])
    sets = hx.split(patients, keep_together="hospital", seed=2)
    placed = sets[sets["set"] != "unlabelled"].merge(patients, on="patient_id")
    assert placed.groupby("hospital")["set"].nunique().max() == 1
    assert set(placed["set"]) == {"train", "valid", "test"}
    barcodes = PATIENTS.assign(patient_id=[f"TCGA-{'AB'[n % 2]}{n % 5}-{n:04d}" for n in range(30)])
    sites = hx.split(barcodes, keep_together="site", folds=2).query("set != 'unlabelled'")
    site_sets = sites.groupby(["fold", sites["patient_id"].str[5:7]])["set"].nunique()
    assert site_sets.max() == 1
