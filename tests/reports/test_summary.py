"""The head of the page says what the numbers allow, and no more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from report_data import page_of

from hypoxia_hpc.reports.data import PatientPrediction, ReportData
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.summary import summarise, verdict

BINARY = KINDS["binary"]


def auc(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"patient": {"roc_auc": {"value": value, "low": low, "high": high, "n": 24}}}


def with_metrics(data: ReportData, **metrics: Any) -> ReportData:
    return dataclasses.replace(data, metrics={"schema": 2, **metrics})


def test_question_answer_and_what_stands_beside_it(empty_report: ReportData) -> None:
    models = {
        "tanh": {"valid": auc(0.8), "test": auc(0.75, 0.55, 0.9)},
        "tumour-type": {"test": auc(0.97, 0.9, 1.0)},
        "n-tiles": {"test": auc(None)},
    }
    difference = {"difference": -0.22, "low": -0.4, "high": -0.1, "p": 0.01, "n": 24}
    within = {"tumour_type": {"tanh": {"roc_auc": {"value": 0.5, "low": 0.3, "high": 0.7, "n": 24}, "p": 1.0}}}
    found = summarise(
        with_metrics(
            empty_report,
            models=models,
            compared={"tumour-type": difference},
            within=within,
            warnings=[{"kind": "confounded", "text": "The tumour type alone does as well."}],
            unchecked=[{"check": "comparison with site", "why": "no patient has a site"}],
        ),
        BINARY,
    )
    assert found.question == "Is the tumour of a patient hypoxic or normoxic?"
    assert found.answer == "ROC AUC 0.75 (0.55–0.90) on 24 test patients, model tanh."  # noqa: RUF001
    assert found.warnings == ("The tumour type alone does as well.",)
    assert found.unchecked == ("comparison with site alone (no patient has a site)",)
    names = ["model tanh", "model tanh, within a tumour type", "tumour type alone"]
    assert [row.name for row in found.beside] == names
    assert found.beside[2].difference == difference


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("above", "Better than chance (p = 0.02, corrected for 2 models (Holm); exact test)."),
        ("below", "Worse than chance (p = 0.02, corrected for 2 models (Holm); exact test). Look for swapped labels."),
        ("not told apart", "Chance is not ruled out (p = 0.02, corrected for 2 models (Holm); exact test)."),
    ],
)
def test_words_follow_the_test_and_never_the_interval(empty_report: ReportData, said: str, expected: str) -> None:
    chance = {"p": 0.01, "p_holm": 0.02, "method": "exact", "verdict": said}
    models = {"tanh": {"test": auc(0.7, 0.51, 0.9)}}
    data = with_metrics(empty_report, models=models, chance={"tanh": chance, "funnel": chance})
    assert summarise(data, BINARY).verdict == expected


def test_without_a_test_nothing_is_said_of_chance(empty_report: ReportData) -> None:
    assert summarise(with_metrics(empty_report, models={"tanh": {"test": auc(0.9, 0.8, 1.0)}}), BINARY).verdict == ""
    assert verdict({"funnel": {}}, "tanh") == ""
    tiny = {"p": 1e-9, "p_holm": 1e-9, "method": "exact", "verdict": "above"}
    assert verdict({"tanh": tiny}, "tanh") == "Better than chance (p < 0.001; exact test)."
    assert (
        verdict({"tanh": {**tiny, "method": "interval"}}, "tanh") == "Better than chance (p < 0.001; by the interval)."
    )
    nothing = {"p": 1.0, "p_holm": 1.0, "method": "none", "verdict": "not told apart"}
    assert verdict({"tanh": nothing}, "tanh") == "No claim is made: no two patients or groups here can be compared."


def test_unlabelled_patients_alone_are_an_answer_too(empty_report: ReportData) -> None:
    rows = tuple(
        PatientPrediction("tanh", "unlabelled", f"P{i}", None, (i / 4,), 7, "hypoxic" if i > 2 else "normoxic")
        for i in range(5)
    )
    found = summarise(dataclasses.replace(empty_report, predictions=rows), BINARY)
    assert found.answer == "2 of 5 unlabelled patients called hypoxic, model tanh."
    assert found.notes == ("There is no ROC AUC: this run has no labelled test patients.",)
    assert found.beside == ()


def test_outside_patients_are_called_so(empty_report: ReportData) -> None:
    data = with_metrics(empty_report, models={"tanh": {"external": auc(0.75, 0.6, 0.9)}})
    assert summarise(data, BINARY).answer.endswith("on 24 outside patients, model tanh.")


def test_what_a_question_has_been_answered_with_is_said(empty_report: ReportData) -> None:
    """Whether or not the run found anything."""
    of_study = dataclasses.replace(empty_report, settings={"study": "mgmt"})
    (note,) = summarise(of_study, BINARY).notes
    assert "ROC AUC of about 0.6 on outside patients: the winner of the RSNA-MICCAI challenge had 0.56" in note
    assert summarise(dataclasses.replace(empty_report, settings={"study": "hypoxia"}), BINARY).notes == ()


def test_nothing_is_no_answer(empty_report: ReportData) -> None:
    assert summarise(empty_report, BINARY).answer == "No model has been evaluated on test patients yet."


def test_a_cross_validation_says_what_it_is(empty_report: ReportData) -> None:
    models = {name: {"valid": auc(0.8), "test": auc(0.75, 0.6, 0.9)} for name in ("attention", "tanh")}
    folds = {"tanh": {str(fold): {"test": auc(area)} for fold, area in enumerate((0.6, None, 0.9))}}
    notes = summarise(with_metrics(empty_report, models=models, folds=folds), BINARY).notes
    assert notes[0] == (
        "Cross-validated in 3 folds, each patient predicted by models that did not see it; fold by fold it is 0.75 on "
        "average, from 0.60 to 0.90. The interval allows for folds that share training patients (Nadeau and "
        "Bengio); it holds the split fixed. Baselines, and how much better the model is than they are, are means over "
        "the folds: what different folds say is not ranked together."
    )
    twice = dataclasses.replace(
        with_metrics(empty_report, models=models, folds={"tanh": {str(n): {"test": auc(0.7)} for n in range(6)}}),
        settings={"train": {"repeats": 2}},
    )
    assert summarise(twice, BINARY).notes[0].startswith("Cross-validated in 3 folds, 2 times, each patient")
    assert "folds" not in " ".join(summarise(with_metrics(empty_report, models=models), BINARY).notes)


def test_the_mean_over_folds_stands_where_baselines_are_compared_and_who_tells_nothing_does_not(
    empty_report: ReportData,
) -> None:
    unknown = {"difference": 0.2, "low": None, "high": None, "p": None, "n": 24}
    mean = {"value": 0.7, "low": 0.5, "high": 0.85, "n": 24}
    data = with_metrics(
        empty_report,
        models={
            "tanh": {"test": auc(0.75, 0.55, 0.9)},
            "tumour-type": {"test": auc(0.5)},
            "site": {"test": auc(0.5)},
        },
        within_folds={"tanh": {"roc_auc": mean}},
        compared={"tumour-type": unknown},
        unchecked=[{"check": "comparison with site", "why": "it says the same of all these patients"}],
    )
    found = summarise(data, BINARY)
    assert [row.name for row in found.beside] == ["model tanh", "model tanh, mean over folds", "tumour type alone"]
    assert found.beside[1].metric == mean
    assert found.unchecked == ("comparison with site alone (it says the same of all these patients)",)
    row = page_of(data).partition("tumour type alone")[2].partition("</tr>")[0]
    assert "+0.20" in row and " to " not in row
