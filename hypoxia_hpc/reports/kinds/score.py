"""A number: predicted against true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.data import PatientPrediction, ReportData
from hypoxia_hpc.reports.figures import Figure, stem
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import measured_set, metric, test_rows
from hypoxia_hpc.reports.plots import Frame, Reference, scatter_plot
from hypoxia_hpc.reports.tables import Cell, Column, number
from hypoxia_hpc.reports.text import count_of, fixed


class ScorePage(Kind):
    """kind = "score"."""

    headline = "spearman"
    headline_name = "Spearman correlation"
    chance = 0.0
    scale = (-1.0, 1.0)
    truth_is_number = True

    def question(self, outcome: Outcome) -> str:
        return f"What is the {outcome.table.column} of a patient?"

    def metric_groups(self, data: ReportData) -> Mapping[str, Mapping[str, str]]:
        return {"Predictions": {"spearman": "Spearman", "r2": "R²", "mae": "Mean absolute error"}}

    def figures(self, data: ReportData, lead: str) -> list[Figure]:
        return [_scatter(model, rows, data) for model, rows in test_rows(data).items()]

    def columns(self, outcome: Outcome) -> tuple[Column, ...]:
        return (Column("predicted", is_number=True), Column("off by", is_number=True, hint="predicted less true"))

    def cells(self, row: PatientPrediction, outcome: Outcome) -> tuple[Cell, ...]:
        off = row.said[0] - row.label if isinstance(row.label, (int, float)) else None
        return (number(row.said[0]), number(off))

    def truth(self, row: PatientPrediction, outcome: Outcome) -> Cell:
        return number(row.label) if isinstance(row.label, (int, float)) else super().truth(row, outcome)

    def group_columns(self, outcome: Outcome) -> tuple[Column, ...]:
        return (Column("mean of the truth", is_number=True), Column("mean absolute error", is_number=True))

    def group_cells(self, rows: Sequence[PatientPrediction], outcome: Outcome) -> tuple[Cell, ...]:
        true, predicted = _arrays(rows)
        return (number(float(true.mean())), number(float(np.abs(predicted - true).mean())))


def _arrays(rows: Sequence[PatientPrediction]) -> tuple[Float64Array, Float64Array]:
    return np.array([row.label for row in rows], dtype=np.float64), np.array([row.said[0] for row in rows])


def _scatter(model: str, rows: Sequence[PatientPrediction], data: ReportData) -> Figure:
    true, predicted = _arrays(rows)
    name, column = f"scatter-{stem(model)}", data.outcome.table.column
    ends = (float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max())))
    frame = Frame(f"true {column}", "predicted", None, None, (4.4, 4.1), references=(Reference(ends, ends),))
    found = {
        key: metric(data.metrics, model, measured_set(data, model), "patient", key).get("value")
        for key in ("spearman", "r2", "mae")
    }
    worth = (
        f"Spearman {fixed(found['spearman'], 2)}, R² {fixed(found['r2'], 2)}, mean absolute error "
        f"{fixed(found['mae'])}."
    )
    alt = f"Predicted against true {column} of {count_of(len(rows), 'test patient')}, model {model}: {worth}"
    cells = tuple(zip((row.patient_id for row in rows), true.tolist(), predicted.tolist(), strict=True))
    drawn = scatter_plot(name, frame, true, predicted)
    columns, note = ("patient", "truth", "predicted"), f"{worth} The dotted line: predicted as it is."
    return Figure(name, f"Predicted and true: {model}", drawn, alt, columns, cells, note)
