"""The model that the page speaks of is never chosen by its result on the test set."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.lead import baselines_of, lead_model, model_order, models_of


def auc(value: float | None) -> dict[str, Any]:
    return {"patient": {"roc_auc": {"value": value, "low": None, "high": None, "n": 24}}}


def with_metrics(data: ReportData, **metrics: Any) -> ReportData:
    return dataclasses.replace(data, metrics={"schema": 2, **metrics})


def test_it_is_chosen_on_the_validation_patients(empty_report: ReportData) -> None:
    models = {
        "logistic": {"valid": auc(0.9), "test": auc(0.75)},
        "tanh": {"valid": auc(0.8), "test": auc(0.99)},
    }
    data = with_metrics(empty_report, models=models)
    assert lead_model(data, "roc_auc") == (
        "logistic",
        "logistic was chosen among 2 models by validation patients.",
    )
    folded = with_metrics(empty_report, models=models, folds={"tanh": {"0": {}, "1": {}}})
    assert lead_model(folded, "roc_auc")[1].endswith("by validation patients, who are test patients of other folds.")


def test_ties_are_said(empty_report: ReportData) -> None:
    models = {name: {"valid": auc(1.0)} for name in ("funnel", "tanh", "logistic")}
    lead, how = lead_model(with_metrics(empty_report, models=models), "roc_auc")
    assert lead == "tanh"
    assert how.endswith("; funnel, logistic did equally well there, and tanh comes first in the list.")


def test_metrics_json_has_the_last_word(empty_report: ReportData) -> None:
    models = {"logistic": {"valid": auc(0.9)}, "tanh": {"valid": auc(0.8)}}
    chosen = {"model": "tanh", "metric": "roc_auc", "by": "validation patients", "ties": ["tanh"]}
    assert lead_model(with_metrics(empty_report, models=models, lead=chosen), "roc_auc")[0] == "tanh"


def test_without_validation_it_is_the_first_and_not_the_best(empty_report: ReportData) -> None:
    data = with_metrics(empty_report, models={"logistic": {"test": auc(0.99)}, "tanh": {"test": auc(0.6)}})
    lead, how = lead_model(data, "roc_auc")
    assert lead == "tanh"
    assert "tanh is the first of 2" in how


def test_baselines_are_never_it(empty_report: ReportData) -> None:
    models = {"tumour-type": {"valid": auc(1.0)}, "site": {"valid": auc(1.0)}, "funnel": {"test": auc(0.9)}}
    data = with_metrics(empty_report, models=models)
    assert lead_model(data, "roc_auc") == ("funnel", "")
    assert (models_of(data), baselines_of(data)) == (["funnel"], ["tumour-type", "site"])
    assert lead_model(empty_report, "roc_auc") == ("", "")


def test_models_stand_in_the_order_of_the_configuration() -> None:
    names = ["tumour-type", "logistic", "other", "colour", "funnel", "tanh", "tanh"]
    assert model_order(names) == ["tanh", "funnel", "logistic", "other", "tumour-type", "colour"]
