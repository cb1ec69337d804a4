"""Splits and metrics of arrays and frames are those of the stages."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

import hypoxia_hpc as hx
from hypoxia_hpc.analysis.metrics import binary_metrics
from hypoxia_hpc.cohorts.splits import SplitRule, members_of, split_members
from hypoxia_hpc.records import Patient

PATIENTS = pd.DataFrame(
    {
        "patient_id": [f"P{number:02d}" for number in range(30)],
        "label": pd.array([number % 2 for number in range(28)] + [pd.NA, pd.NA], dtype="Int64"),
        "tumour_type": ["A", "B", None] * 10,
    }
)
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 60)
P = np.clip(Y * 0.3 + RNG.random(60) * 0.7, 0, 1)
GROUPS = [f"P{number // 4}" for number in range(60)]


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
        (PATIENTS.assign(label=2), {}, "labels that are not 0, 1 or missing"),
        (PATIENTS.assign(label="1"), {}, r"labels that are not 0, 1 or missing[^$]*P00: '1'"),
        (pd.concat([PATIENTS, PATIENTS[:1]]), {}, r"patients that occur twice[^$]*P00"),
        (PATIENTS[:3], {}, "too few patients"),
        (PATIENTS, {"fractions": (0.5, 0.1, 0.1)}, "three shares that sum to 1"),
        (PATIENTS, {"folds": 0}, "train.folds = 0"),
        (PATIENTS, {"seed": -1}, "train.seed = -1"),
    ],
)
def test_splits_that_cannot_be(patients: pd.DataFrame, settings: dict[str, object], message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        hx.split(patients, **settings)  # type: ignore[arg-type]


def test_metrics_are_those_of_the_stage() -> None:
    settings = {"threshold": 0.4, "bootstrap": 150, "confidence": 0.9, "seed": 3}
    expected = binary_metrics(Y, P, GROUPS, **settings)  # type: ignore[arg-type]
    found = hx.evaluate(Y.tolist(), P, GROUPS, **settings)  # type: ignore[arg-type]
    assert found.index.name == "metric"
    assert found.dtypes.astype(str).tolist() == ["float64", "float64", "float64", "int64"]
    assert {name: row.to_dict() for name, row in found.iterrows()} == {
        name: asdict(interval) for name, interval in expected.items()
    }


def test_without_groups_every_row_is_a_patient() -> None:
    alone = hx.evaluate(Y, P, bootstrap=200)
    assert alone.equals(hx.evaluate(Y, P, np.arange(60), bootstrap=200))
    assert not alone.equals(hx.evaluate(Y, P, GROUPS, bootstrap=200))


def test_what_is_not_defined_is_nan() -> None:
    found = hx.evaluate([1, 1], [0.2, 0.9], bootstrap=100)
    assert np.isnan(found.loc["roc_auc", ["value", "low", "high"]].astype(float)).all()
    assert found.loc["accuracy", "value"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (([0, 1], [[0.5, 0.5], [0.1, 0.9]]), {}, r"y \(2,\), p \(2, 2\)[^$]*predict_proba\(bags\)\[:, 1\]"),
        (([0, 1], [0.5, 0.5], ["A"]), {}, r"groups \(1,\)"),
        (([1, 2], [0.5, 0.5]), {}, r"1 labels are not 0 or 1: 2\nremedy: mend the values that were given"),
        ((["no", "yes"], [0.5, 0.5]), {}, "2 labels are not 0 or 1: 'no', 'yes'"),
        (([0, 1], [0.5, 1.5]), {}, r"1 probabilities are not in 0..1"),
        (([0, 1], [0.5, 0.5]), {"bootstrap": 9}, "evaluate.bootstrap = 9"),
    ],
)
def test_metrics_that_cannot_be(arguments: tuple[object, ...], settings: dict[str, int], message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        hx.evaluate(*arguments, **settings)  # type: ignore[arg-type]
