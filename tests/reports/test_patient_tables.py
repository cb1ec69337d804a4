"""Every test patient can be found, the wrong ones first."""

from __future__ import annotations

import dataclasses

from report_data import make_report_of

from hypoxia_hpc.reports.data import CohortPatient, PatientPrediction, ReportData
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.patient_tables import group_tables, patient_table, unlabelled_table
from hypoxia_hpc.reports.tables import DataTable, Row
from hypoxia_hpc.reports.text import MISSING

BINARY = KINDS["binary"]


def data_of(empty: ReportData) -> ReportData:
    """Four test patients, two heads; tanh calls b and c wrong, funnel c alone."""
    labels = {"a": 0, "b": 0, "c": 1, "d": 1}
    said = {
        "tanh": {"a": 0.1, "b": 0.7, "c": 0.2, "d": 0.9},
        "funnel": {"a": 0.2, "b": 0.3, "c": 0.4, "d": 0.8},
    }
    rows = tuple(
        PatientPrediction(head, "test", name, labels[name], (value,), 5, "hypoxic" if value > 0.5 else "normoxic")
        for head, values in said.items()
        for name, value in values.items()
    )
    patients = tuple(CohortPatient(name, label, "KIRC", "test", "aa") for name, label in labels.items())
    return dataclasses.replace(empty, predictions=rows, patients=patients)


def texts(row: Row) -> list[str]:
    return [cell.text for cell in row.cells]


def table_of(data: ReportData) -> DataTable:
    table = patient_table(data, BINARY, "tanh")
    assert table is not None
    return table


def test_truth_probability_call_and_the_other_heads(empty_report: ReportData) -> None:
    table = table_of(data_of(empty_report))
    assert [column.title for column in table.columns] == [
        "patient", "tumour type", "site", "truth", "probability", "call", "other heads differ", "spread of heads",
        "tiles",
    ]  # fmt: skip
    assert [texts(row) for row in table.rows] == [
        ["b", "KIRC", "aa", "normoxic", "0.700", "hypoxic", "1 of 1", "0.400", "5"],
        ["c", "KIRC", "aa", "hypoxic", "0.200", "normoxic", "0 of 1", "0.200", "5"],
        ["a", "KIRC", "aa", "normoxic", "0.100", "normoxic", "0 of 1", "0.100", "5"],
        ["d", "KIRC", "aa", "hypoxic", "0.900", "hypoxic", "0 of 1", "0.100", "5"],
    ]
    assert [row.tags for row in table.rows] == [("wrong", "overcalled", "split"), ("wrong", "missed"), (), ()]
    assert dict(table.filters) == {
        "wrong": "wrong",
        "missed": "hypoxic, called normoxic",
        "overcalled": "normoxic, called hypoxic",
        "split": "heads differ",
    }
    assert table.tagged("wrong") == 2


def test_what_no_patient_has_is_no_column(empty_report: ReportData) -> None:
    data = data_of(empty_report)
    patients = tuple(dataclasses.replace(one, tumour_type="", site="") for one in data.patients)
    one_head = tuple(row for row in data.predictions if row.model == "tanh")
    table = table_of(dataclasses.replace(data, patients=patients, predictions=one_head))
    assert [column.title for column in table.columns] == ["patient", "truth", "probability", "call", "tiles"]
    assert group_tables(dataclasses.replace(data, patients=patients), BINARY, "tanh") == []
    assert patient_table(empty_report, BINARY, "tanh") is None


def test_groups_have_their_own_measure_where_both_classes_are(empty_report: ReportData) -> None:
    data = data_of(empty_report)
    sites = ("aa", "aa", "aa", "bb")
    patients = tuple(dataclasses.replace(one, site=site) for one, site in zip(data.patients, sites, strict=True))
    by_type, by_site = group_tables(dataclasses.replace(data, patients=patients), BINARY, "tanh")
    titles = [column.title for column in by_site.columns]
    assert titles == ["site", "patients", "normoxic", "hypoxic", "right", "ROC AUC"]
    rows = [texts(row) for row in by_site.rows]
    assert rows == [["aa", "3", "2", "1", "1", "0.500"], ["bb", "1", "0", "1", "1", MISSING]]
    assert texts(by_type.rows[0]) == ["KIRC", "4", "2", "2", "2", "0.750"]


def test_who_is_unlike_the_patients_of_training_can_be_found(empty_report: ReportData) -> None:
    data = data_of(empty_report)
    far = {"b": 3.5}
    rows = tuple(
        dataclasses.replace(row, distance=far.get(row.patient_id, 1.0), is_unlike=row.patient_id in far)
        for row in data.predictions
    )
    table = table_of(dataclasses.replace(data, predictions=rows))
    assert [column.title for column in table.columns][-3:] == ["distance from training", "training patients", "tiles"]
    assert texts(table.rows[0])[-3:] == ["3.50", "unlike training", "5"]
    assert texts(table.rows[1])[-3:] == ["1.00", "alike", "5"]
    assert (table.tagged("unlike"), dict(table.filters)["unlike"]) == (1, "unlike training")
    outside = tuple(dataclasses.replace(row, set_name="unlabelled", label=None) for row in rows)
    unlabelled = unlabelled_table(dataclasses.replace(data, predictions=outside), BINARY, "tanh")
    assert unlabelled is not None and dict(unlabelled.filters) == {"unlike": "unlike training"}


def test_patients_without_a_label_by_the_lead_model(full_report: ReportData) -> None:
    table = unlabelled_table(full_report, BINARY, "tanh")
    assert table is not None
    assert [row.cells[0].text for row in table.rows] == ["CMU-1"]
    assert [column.title for column in table.columns][:4] == ["patient", "tiles", "tanh: probability", "tanh: call"]
    assert unlabelled_table(make_report_of("score"), KINDS["score"], "linear") is None
