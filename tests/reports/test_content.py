"""Tables and counts of the page."""

from __future__ import annotations

import dataclasses

from report_data import make_report_of

from hypoxia_hpc.records import ThreadSeconds
from hypoxia_hpc.reports import content
from hypoxia_hpc.reports.data import CohortPatient, ReportData, StageTime


def test_patients_are_counted_by_set_and_type(empty_report: ReportData) -> None:
    patients = (
        CohortPatient("a", 1, "KIRC", "train"),
        CohortPatient("b", 0, "KIRC", "test"),
        CohortPatient("c", None, "", "unlabelled"),
        CohortPatient("d", 1, "LUAD", ""),
        CohortPatient("e", 1, "KIRC", "train"),
    )
    data = dataclasses.replace(empty_report, patients=patients)
    sets = [(row.name, row.counts, row.unlabelled) for row in content.set_counts(data)]
    assert sets == [("train", (0, 2), 0), ("test", (1, 0), 0), ("unlabelled", (0, 0), 1), ("in no set", (0, 1), 0)]
    assert [(row.name, row.total) for row in content.type_counts(data)] == [("KIRC", 3), ("LUAD", 1), ("not given", 1)]
    assert content.unlabelled_names(data) == ["c"]


def test_an_outcome_without_classes_counts_those_with_a_label() -> None:
    [row] = content.set_counts(make_report_of("survival"))
    assert (row.name, row.counts, row.unlabelled) == ("test", (40,), 0)
    [row] = content.set_counts(make_report_of("classes"))
    assert len(row.counts) == 3 and sum(row.counts) == 40


def test_a_thousand_slides_are_told_of_stages_that_say_it() -> None:
    times = (
        StageTime("tile", 40, core_hours=12.345),
        StageTime("extract", 9, core_hours=1.5, gpu_hours=0.25),
        StageTime("evaluate", 2),
    )
    assert content.thousand_slides(times) == "tile 12.3 core-hours; extract 1.5 core-hours and 0.25 GPU-hours"
    assert content.thousand_slides(times[2:]) == ""


def test_shares_of_what_threads_did_are_told_of_stages_that_say_it() -> None:
    times = (
        StageTime("tile", 40, threads=ThreadSeconds(read=0.01, decode=6, kernel=3, write=1)),
        StageTime("extract", 9, threads=ThreadSeconds(read=2)),
        StageTime("evaluate", 2),
    )
    assert content.thread_work(times) == "tile: decode 60%, kernel 30%, write 10%; extract: read 100%"
    assert content.thread_work(times[2:]) == ""


def test_metrics_are_grouped_and_what_no_model_has_is_left_out() -> None:
    metrics = {"roc_auc": {"value": 0.5, "n": 3}}
    table = content.MetricTable("patient", (content.MetricRow("tanh", metrics, 3), content.MetricRow("other", {}, 3)))
    groups = {"curves": {"roc_auc": "ROC AUC", "mcc": "MCC"}, "calls": {"accuracy": "Accuracy"}}
    assert content.shown_groups(table, groups) == {"curves": ({"roc_auc": "ROC AUC"}, [table.rows[0]])}


def test_what_the_probe_of_the_site_found_is_said() -> None:
    found = {"accuracy": 0.75, "majority": 0.25, "p": 0.0001, "n": 40, "groups": 4, "left_out": 2, "readable": True}
    assert content.probe_sentence({"probe": {"site": found}}) == (
        "From the features alone the site of a training patient can be read: right for 75% of 40 patients of 4 sites, "
        "the commonest site is right for 25% (p < 0.001)."
    )
    assert "cannot be read" in content.probe_sentence({"probe": {"site": {**found, "readable": False}}})
    assert content.probe_sentence({"probe": {"site": {"accuracy": None}}}) == content.probe_sentence({}) == ""


def test_the_flow_is_read_as_it_was_written(full_report: ReportData) -> None:
    first, second, _ = content.flow_steps(full_report.flow)
    assert (first.name, first.slides, first.patients, first.left_out) == ("found", 65, 63, ())
    names = ("TCGA-XX-0001-11A", "TCGA-XX-0002-11A")
    assert second.left_out == (("slide", "not a tumour", 2, names),)
    assert content.flow_steps({}) == []
