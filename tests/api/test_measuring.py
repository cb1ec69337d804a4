"""Metrics of arrays are those of the stages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

import hypoxia_hpc as hx
from hypoxia_hpc.analysis.measures import binary_intervals, class_intervals, score_intervals, survival_intervals
from hypoxia_hpc.api.measuring import MEASURES, METRICS
from hypoxia_hpc.config.outcome import OUTCOME_KINDS

RNG = np.random.default_rng(0)
N = 60
Y = RNG.integers(0, 2, N)
P = np.clip(Y * 0.3 + RNG.random(N) * 0.7, 0, 1)
GROUPS = [f"P{number // 4}" for number in range(N)]
THREE = RNG.integers(0, 3, N)
SAID = RNG.dirichlet(np.ones(3), N)
TIME, EVENT = RNG.exponential(9, N), RNG.integers(0, 2, N)
UNIT: dict[str, Any] = {"confidence": 0.9, "units": np.array(GROUPS, dtype=object)}


def test_every_kind_has_metrics() -> None:
    assert tuple(MEASURES) == tuple(METRICS) == OUTCOME_KINDS


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            hx.evaluate(Y.tolist(), P, GROUPS, threshold=0.4, confidence=0.9),
            binary_intervals(Y, P, threshold=0.4, **UNIT),
        ),
        (hx.evaluate(THREE, SAID, GROUPS, kind="classes", confidence=0.9), class_intervals(THREE, SAID, **UNIT)),
        (
            hx.evaluate(P + Y, P, GROUPS, kind="score", confidence=0.9, bootstrap=150, seed=3),
            score_intervals(P + Y, P, bootstrap=150, seed=3, **UNIT),
        ),
        (
            hx.evaluate(np.column_stack([TIME, EVENT]), P, GROUPS, kind="survival", confidence=0.9),
            survival_intervals(TIME, EVENT, P, **UNIT),
        ),
    ],
    ids=OUTCOME_KINDS,
)
def test_metrics_are_those_of_the_stage(found: Any, expected: Any) -> None:
    assert any({*names} <= {*found.index} for names in METRICS.values())
    assert found.index.name == "metric"
    assert found.dtypes.astype(str).tolist() == ["float64", "float64", "float64", "int64"]
    assert {name: row.to_dict() for name, row in found.iterrows()} == {
        name: {key: np.nan if number is None else number for key, number in asdict(interval).items()}
        for name, interval in expected.items()
    }


def test_classes_have_any_names() -> None:
    names = np.array(["LMS", "UPS", "SS"])
    by_name = hx.evaluate(names[THREE], SAID, kind="classes", classes=names)
    assert by_name.equals(hx.evaluate(THREE, SAID, kind="classes"))
    assert hx.evaluate(np.array(["no", "yes"])[Y], P, classes=["no", "yes"]).equals(hx.evaluate(Y, P))


def test_without_groups_every_row_is_a_unit() -> None:
    alone = hx.evaluate(Y, P)
    assert not alone.equals(hx.evaluate(Y, P, GROUPS))
    assert alone["value"].to_numpy() == pytest.approx(hx.evaluate(Y, P, GROUPS)["value"].to_numpy())


def test_what_is_not_defined_is_nan() -> None:
    found = hx.evaluate([1, 1], [0.2, 0.9])
    assert np.isnan(found.loc["roc_auc", ["value", "low", "high"]].astype(float)).all()
    assert found.loc["accuracy", "value"] == 0.5


TWO = np.array([[0.5, 0.5], [0.1, 0.9]])


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (([0, 1], TWO), {}, r"y \(2,\), p \(2, 2\)[^$]*predict_proba\(bags\)\[:, 1\]"),
        (([0, 1], [0.5, 0.5], ["A"]), {}, r"groups \(1,\)"),
        (([0, 1], [0.5]), {}, r"y \(2,\), p \(1,\)"),
        (([1, 2], [0.5, 0.5]), {}, r"labels that are none of 0, 1[^$]* 2[^$]*classes=\["),
        ((["no", "yes"], [0.5, 0.5]), {}, r"labels that are none of 0, 1[^$]*'no'[^$]*'yes'"),
        ((["no", "yes"], [0.5, 0.5]), {"classes": ["no"]}, "classes has 1 names, 2 different ones"),
        (([0, 1], [0.5, 1.5]), {}, r"1 probabilities are not in 0..1"),
        (([0, 1], [0.5, 1.5]), {"threshold": 9}, "evaluate.threshold = 9"),
        (([0, 1], [0.5, 0.5]), {"kind": "colour"}, "kind = 'colour' is not known"),
        (([0, 1], [0.5, 0.5]), {"kind": "classes"}, r"must be \(n,\), \(n, k\)"),
        (([0, 2], TWO), {"kind": "classes"}, r"labels that are none of 0, 1[^$]* 2"),
        (([0, 1], TWO - 1), {"kind": "classes"}, r"not in 0..1[^$]*-0.9"),
        (([0.5, np.nan], [1, 2]), {"kind": "score"}, "y has NaN or infinite values: 1 of"),
        ((["a", "b"], [1, 2]), {"kind": "score"}, "y has values that are no numbers"),
        (([0.5, 1], [1, np.inf]), {"kind": "score"}, "p has NaN or infinite values: 1 of"),
        (([1, 0], [1, 2]), {"kind": "survival"}, r"y \(2,\)[^$]*must be \(n, 2\)"),
        (([[-1, 0], [3, 1]], [1, 2]), {"kind": "survival"}, "times of follow-up that are below 0[^$]*-1.0"),
        (([[1, 0], [3, 2]], [1, 2]), {"kind": "survival"}, "events that are neither 0 nor 1[^$]*2.0"),
    ],
)
def test_metrics_that_cannot_be(arguments: tuple[Any, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        hx.evaluate(*arguments, **settings)
