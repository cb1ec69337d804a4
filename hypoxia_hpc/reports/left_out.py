"""The table of images that are no tiles: a file beside the page, for there may be thousands."""

from __future__ import annotations

from dataclasses import astuple

from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.tables import Cell, Column, DataTable, Row

COLUMNS = ("patient_id", "path", "slice", "reason", "problem")


def left_out_table(data: ReportData) -> DataTable | None:
    """A row for each; None where there is none."""
    if not data.left_out:
        return None
    rows = tuple(Row(tuple(Cell(text) for text in astuple(one))) for one in data.left_out)
    return DataTable("left_out_images", "images left out", tuple(Column(title) for title in COLUMNS), rows)
