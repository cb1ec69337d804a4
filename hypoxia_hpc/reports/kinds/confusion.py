"""The confusion matrix: which class patients of each class were called."""

from __future__ import annotations

from collections.abc import Sequence

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.reports.data import PatientPrediction
from hypoxia_hpc.reports.figures import Figure, stem
from hypoxia_hpc.reports.plots import Frame, matrix_plot


def confusion_figure(model: str, rows: Sequence[PatientPrediction], outcome: Outcome) -> Figure:
    """Of one model on test patients."""
    classes = outcome.table.classes
    pairs = [(outcome.shown(row.label), row.call) for row in rows if row.label is not None]
    matrix = tuple(tuple(pairs.count((true, called)) for called in classes) for true in classes)
    right = sum(true == called for true, called in pairs)
    name = f"confusion-{stem(model)}"
    drawn = matrix_plot(name, Frame("called", "truth", None, None), classes, matrix)
    cells = tuple(
        (true, called, matrix[row][column]) for row, true in enumerate(classes) for column, called in enumerate(classes)
    )
    alt = f"Confusion matrix of {model} on {len(pairs)} test patients: {right} are called what they are."
    columns = ("truth", "called", "patients")
    return Figure(name, "Calls", drawn, alt, columns, cells, group=model, matrix=matrix, names=tuple(classes))
