"""Warnings in plain words, each from its figure, and none without it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from judged import measures, rows_of

from hypoxia_hpc.config import STUDIES
from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.warnings import figure_warnings, group_warnings, leak_warnings, warnings_of

RIGHT: dict[str, Any] = {
    "lead": {"model": "m"},
    "chance": {"m": {"p_holm": 0.001, "verdict": "above"}},
    "compared": {
        "site": {"difference": 0.2, "low": 0.1, "high": 0.3},
        "other": {"difference": 0.0, "low": -1, "high": 1},
    },
    "within": {"site": {"m": {"roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9}, "p": 0.001}}},
    "probe": {"site": {"readable": False, "accuracy": 0.2, "majority": 0.2}},
    "models": {
        "site": {"test": {"patient": {"roc_auc": {"value": 0.7, "low": 0.6, "high": 0.8}}}},
        "m": {
            "test": {
                "patient": {
                    "roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9},
                    "calibration_intercept": {"value": 0.1, "low": -0.2, "high": 0.4},
                    "calibration_slope": {"value": 1.1, "low": 0.8, "high": 1.4},
                }
            }
        },
    },
}


def found(content: dict[str, Any], least: float = 0.0) -> dict[str, str]:
    return {one.kind: one.text for one in warnings_of(content, measures("binary"), least)}


@pytest.mark.parametrize(("value", "n"), [(0.71, 1), (0.70, 0), (None, 0)])
def test_what_is_better_than_a_question_was_ever_answered_is_a_probable_leak(value: float | None, n: int) -> None:
    content = {"lead": {"model": "m"}, "models": {"m": {"external": {"patient": {"roc_auc": {"value": value}}}}}}
    ceiling, judge = STUDIES["mgmt"].ceiling, measures("binary")
    said = leak_warnings(content, judge, ceiling, "external")
    assert [one.kind for one in said] == ["probable-leak"] * n
    assert all("ROC AUC of 0.71 is a probable leak" in one.text and "had 0.56" in one.text for one in said)
    assert leak_warnings(content, judge, None, "external") == leak_warnings(content, judge, ceiling) == []


def test_nothing_is_said_where_all_is_well() -> None:
    assert found(RIGHT) == {}


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"chance": {"m": {"p_holm": 0.001, "verdict": "below"}}}, "below-chance", "swapped labels"),
        (
            {"compared": {"site": {"difference": 0.05, "low": -0.1, "high": 0.2}}},
            "not-above-site",
            "cannot be distinguished from a guess from the site alone",
        ),
        ({"compared": {"site": {"difference": -0.3, "low": -0.4, "high": -0.2}}}, "not-above-site", "is worse than"),
        ({"compared": {"site": {"difference": 0.0, "low": None, "high": None}}}, "not-above-site", "ROC AUC +0.00."),
        (
            {"within": {"site": {"m": {"roc_auc": {"value": 0.5, "low": 0.4, "high": 0.6}, "p": 0.9}}}},
            "chance-within-site",
            "Among patients of the same site the model is not above chance",
        ),
        (
            {"within": {"site": {"m": {"roc_auc": {"value": 1.0, "low": 0.35, "high": 1.0, "n": 8}, "p": 0.25}}}},
            "too-few-within-site",
            "of 8 patients who can be compared, which are too few",
        ),
        (
            {"within": {"site": {"m": {"roc_auc": {"value": 0.6, "low": 0.3, "high": 0.85, "n": 20}, "p": 0.5}}}},
            "too-few-within-site",
            "cannot be said",
        ),
        ({"probe": {"site": {"readable": True, "accuracy": 0.9, "majority": 0.2}}}, "site-readable", "90%"),
    ],
)
def test_each_figure_has_its_words(change: dict[str, Any], kind: str, words: str) -> None:
    said = found(RIGHT | change)
    assert set(said) == {kind}
    assert words in said[kind]


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_a_figure_that_says_nothing_or_is_not_there_is_said(kind: str) -> None:
    judge, rows = measures(kind), rows_of(kind, 12, 1.0)
    rows = rows.assign(**dict(zip(judge.said_of_patients, rows[list(judge.outcome.outputs)].to_numpy().T, strict=True)))

    def kinds(rows: pd.DataFrame, value: float | None, low: float | None) -> list[str]:
        headline = {"value": value, "low": low, "high": low, "n": len(rows)}
        return [one.kind for one in figure_warnings(rows, headline, judge, "test patient")]

    same = rows.assign(**dict.fromkeys(judge.said_of_patients, 0.3))
    assert kinds(rows, 0.8, 0.6) == kinds(rows[:0], None, None) == []
    assert kinds(same, judge.no_relation, None) == ["says-nothing"]
    assert kinds(rows[:2], None, None) == ["no-figure"]
    assert kinds(rows[:2], 1.0, None) == ["no-interval"]


def test_few_groups_that_are_kept_together_are_said() -> None:
    kinds = [[one.kind for one in group_warnings([f"H{n}" for n in range(number)])] for number in (0, 1, 2, 5, 6)]
    assert kinds == [[], ["one-group"], ["few-groups"], ["few-groups"], []]
    assert "of 2 groups" in group_warnings(["H1", "H2"])[0].text


def test_calibration_that_is_off() -> None:
    off = {
        "calibration_intercept": {"value": -0.8, "low": -1.2, "high": -0.4},
        "calibration_slope": {"value": 0.4, "low": 0.2, "high": 0.6},
    }
    said = found(RIGHT | {"models": {"m": {"test": {"patient": off}}}})
    assert "too high" in said["calibration"]
    assert "too extreme" in said["calibration-slope"]


def test_too_few_patients_say_how_many_are_needed() -> None:
    assert "At least 4 of either class" in found(RIGHT, least=0.1)["too-few"]
    heads = {name: {"p_holm": 1.0, "verdict": "not told apart"} for name in "mabc"}
    assert "4 models" in found(RIGHT | {"chance": heads}, least=0.1)["too-few"]
    assert "At least 5 of either class" in found(RIGHT | {"chance": heads}, least=0.1)["too-few"]
    assert "no labelled test patients" in found(RIGHT | {"chance": {}})["too-few"]
