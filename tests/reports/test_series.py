"""The table of series: each alone, both fusions, and how a patient is predicted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from report_data import page_of

from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.series import AS_USED, FUSED_LATE, series_table

BINARY = KINDS["binary"]


def figure(value: float, n: int = 24) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": n}


@pytest.fixture
def of_series(empty_report: ReportData) -> ReportData:
    """Two series and both fusions of two models; a patient lacks T2w."""
    values = {("relu", "T2w"): 0.6, ("relu", "FLAIR"): 0.5, ("relu", ""): 0.7, ("attention", "FLAIR"): 0.4}
    series = [
        {"model": model, "series": name, **figure(value, 23 if name == "T2w" else 24)}
        for (model, name), value in values.items()
    ]
    models = {
        "relu": {"test": {"patient": {"roc_auc": figure(0.7)}}},
        "attention": {"test": {"patient": {"roc_auc": figure(0.8)}}},
        "n-tiles": {"test": {"patient": {"roc_auc": figure(0.5)}}},
    }
    metrics = {"schema": 2, "models": models, "series": series}
    return dataclasses.replace(empty_report, metrics=metrics, settings={"evaluate": {"fusion": "late"}})


def test_a_row_for_each_series_and_each_way_to_take_all_of_them(of_series: ReportData) -> None:
    table = series_table(of_series, BINARY)
    assert table is not None
    assert table.models == ("relu", "attention"), "baselines have no series"
    assert [(row.name, row.n, row.is_fused) for row in table.rows] == [
        ("FLAIR", 24, False),
        ("T2w", 23, False),
        (FUSED_LATE, 24, True),
        (AS_USED, 24, True),
    ]
    values = [[one.get("value") for one in row.figures] for row in table.rows]
    assert values == [[0.5, 0.4], [0.6, None], [0.7, None], [0.7, 0.8]]
    assert table.hint == "attention weighs the images of all series together; patients of relu are fused late."


def test_the_page_has_it_where_there_are_series(of_series: ReportData, empty_report: ReportData) -> None:
    page = page_of(of_series)
    assert 'id="series"' in page and "all, late: the mean of the logits" in page and "0.30–0.50" in page  # noqa: RUF001
    assert series_table(empty_report, BINARY) is None
    assert 'id="series"' not in page_of(empty_report)
