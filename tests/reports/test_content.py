"""The headline says what the numbers allow, and no more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hypoxia_hpc.reports import content
from hypoxia_hpc.reports.page import CohortPatient, PatientPrediction, ReportData


def auc(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"patient": {"roc_auc": {"value": value, "low": low, "high": high, "n": 24}}}


def with_models(data: ReportData, models: dict[str, Any], **changes: Any) -> ReportData:
    return dataclasses.replace(data, metrics={"schema": 1, "models": models}, **changes)


def test_the_model_is_chosen_on_the_validation_patients(empty_report: ReportData) -> None:
    models = {
        "logistic": {"valid": auc(0.9, 0.7, 1.0), "test": auc(0.75, 0.55, 0.9)},
        "tanh": {"valid": auc(0.8, 0.6, 1.0), "test": auc(0.99, 0.9, 1.0)},
    }
    headline = content.headline(with_models(empty_report, models))
    assert headline.answer == "Patient ROC AUC 0.75 (0.55–0.90) on 24 test patients, model logistic."  # noqa: RUF001
    assert "logistic was chosen among 2 models by its ROC AUC on the validation patients." in headline.notes


def test_without_validation_it_is_the_first_and_not_the_best(empty_report: ReportData) -> None:
    models = {"logistic": {"test": auc(0.99, 0.9, 1.0)}, "tanh": {"test": auc(0.6, 0.4, 0.8)}}
    headline = content.headline(with_models(empty_report, models))
    assert headline.answer.endswith("model tanh.")
    assert "tanh is the first of 2" in headline.notes[-1]


def test_the_baseline_is_beside_it_and_never_the_headline(empty_report: ReportData) -> None:
    models = {
        "tumour-type": {"valid": auc(1.0, 1.0, 1.0), "test": auc(0.97, 0.9, 1.0)},
        "funnel": {"test": auc(0.9, 0.8, 1.0)},
    }
    headline = content.headline(with_models(empty_report, models))
    assert headline.answer.endswith("model funnel.")
    assert "The tumour type alone reaches 0.97 (0.90–1.00)." in headline.notes  # noqa: RUF001


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.51, 0.9, "The 95 % interval (bootstrap over 24 patients) lies above 0.5, chance."),
        (0.5, 0.9, "The 95 % interval contains 0.5: not told apart from chance."),
        (0.1, 0.4, "The 95 % interval lies below 0.5: worse than chance. Look for swapped labels."),
        (None, None, "The interval could not be computed, so nothing can be said against chance."),
    ],
)
def test_against_chance(empty_report: ReportData, low: float | None, high: float | None, expected: str) -> None:
    data = with_models(empty_report, {"tanh": {"test": auc(0.7, low, high)}})
    assert content.headline(data).notes[0] == expected


def test_unlabelled_patients_alone_are_an_answer_too(empty_report: ReportData) -> None:
    rows = tuple(PatientPrediction("tanh", "unlabelled", f"P{i}", None, i / 4, 7) for i in range(5))
    data = dataclasses.replace(empty_report, predictions=rows)
    headline = content.headline(data)
    assert headline.answer == "2 of 5 unlabelled patients called hypoxic, model tanh."
    assert headline.notes == (
        "Called hypoxic: a probability above 0.5.",
        "There is no ROC AUC: this run has no labelled test patients.",
    )
    models, calls = content.calls(data)
    assert models == ["tanh"]
    assert [call.patient_id for call in calls] == ["P4", "P3", "P2", "P1", "P0"]


def test_patients_are_counted_by_set_and_type(empty_report: ReportData) -> None:
    patients = (
        CohortPatient("a", 1, "KIRC", "train"),
        CohortPatient("b", 0, "KIRC", "test"),
        CohortPatient("c", None, "", "unlabelled"),
        CohortPatient("d", 1, "LUAD", ""),
        CohortPatient("e", 1, "KIRC", "train"),
    )
    data = dataclasses.replace(empty_report, patients=patients)
    sets = [(row.name, row.negative, row.positive, row.unlabelled) for row in content.set_counts(data)]
    assert sets == [("train", 0, 2, 0), ("test", 1, 0, 0), ("unlabelled", 0, 0, 1), ("in no set", 0, 1, 0)]
    assert [(row.name, row.total) for row in content.type_counts(data)] == [("KIRC", 3), ("LUAD", 1), ("not given", 1)]
    assert content.unlabelled_names(data) == ["c"]


def test_models_stand_in_the_order_of_the_configuration() -> None:
    names = ["tumour-type", "logistic", "other", "funnel", "tanh", "tanh"]
    assert content.model_order(names) == ["tanh", "funnel", "logistic", "other", "tumour-type"]


def test_a_cross_validation_says_what_it_is(empty_report: ReportData) -> None:
    models = {name: {"valid": auc(0.8), "test": auc(0.75, 0.6, 0.9)} for name in ("attention", "tanh")}
    folds = {"tanh": {str(fold): {"test": auc(area)} for fold, area in enumerate((0.6, None, 0.9))}}
    data = dataclasses.replace(empty_report, metrics={"schema": 1, "models": models, "folds": folds})
    notes = content.headline(data).notes
    assert notes[0] == (
        "Cross-validated in 3 folds, each patient predicted by the model that did not see it; fold by fold it is "
        "0.60 to 0.90."
    )
    assert notes[-1].endswith("on the validation patients, who are test patients of other folds.")
    assert "folds" not in " ".join(content.headline(with_models(empty_report, models)).notes)
