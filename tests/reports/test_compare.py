"""Runs side by side."""

from __future__ import annotations

import dataclasses

from report_data import make_report_of, page_of

from hypoxia_hpc.reports.compare import side_by_side
from hypoxia_hpc.reports.data import ReportData


def test_results_cohorts_and_only_the_settings_that_differ(full_report: ReportData) -> None:
    train = {**full_report.settings["train"], "seed": 7}
    tile = {**full_report.settings["tile"], "stain": {**full_report.settings["tile"]["stain"], "method": "macenko"}}
    settings = {
        **full_report.settings,
        "train": train,
        "tile": tile,
        "site": {**full_report.settings["site"], "workers": 9},
    }
    other = dataclasses.replace(full_report, title="other", settings=settings, patients=full_report.patients[:30])
    found = side_by_side((full_report, other))
    assert found.runs == ("demo", "other")
    assert found.settings == (("tile.stain.method", ("none", "macenko")), ("train.seed", ("0", "7")))
    results = dict(found.results)
    assert results["model"] == ("tanh", "tanh")
    assert results["ROC AUC"] == ("0.93 (0.84–1.00)", "0.93 (0.84–1.00)")  # noqa: RUF001
    assert dict(found.cohorts)["patients"] == ("61", "30")
    assert dict(found.cohorts)["patients, test"] == ("24", "–")  # noqa: RUF001


def test_runs_of_different_questions_keep_their_own_metrics(full_report: ReportData) -> None:
    results = dict(side_by_side((full_report, make_report_of("survival"))).results)
    assert results["Concordance, Harrell"] == ("–", "0.70 (0.60–0.80)")  # noqa: RUF001
    assert results["ROC AUC"][1] == "–"  # noqa: RUF001


def test_the_page_shows_them_first_and_only_when_asked(full_report: ReportData) -> None:
    small = dataclasses.replace(full_report, slides=(), histories=())
    html = page_of(dataclasses.replace(small, others=(make_report_of("score"),)))
    assert html.index('<section id="compared">') < html.index('<section id="metrics">')
    assert '<section id="compared">' not in page_of(small)
