"""One of several classes: a curve for each class against the rest, and the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.reports.data import PatientPrediction, ReportData
from hypoxia_hpc.reports.figures import Figure, legend_of, points
from hypoxia_hpc.reports.kinds.confusion import confusion_figure
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import measured_set, metric, test_rows
from hypoxia_hpc.reports.plots import SERIES, Frame, Line, Reference, line_plot, series_of
from hypoxia_hpc.reports.tables import Cell, Column, number
from hypoxia_hpc.reports.text import fixed, interval


class ClassesPage(Kind):
    """kind = "classes"."""

    headline = "roc_auc_macro"
    headline_name = "Mean ROC AUC of a class against the rest"

    def question(self, outcome: Outcome) -> str:
        *others, last = outcome.table.classes
        return f"Is the tumour of a patient {', '.join(others)} or {last}?"

    def metric_groups(self, data: ReportData) -> Mapping[str, Mapping[str, str]]:
        each = {f"roc_auc_{number}": f"ROC AUC {name}" for number, name in enumerate(data.outcome.table.classes)}
        calls = {f"f1_{number}": f"F1 {name}" for number, name in enumerate(data.outcome.table.classes)}
        return {
            "Probabilities": {"roc_auc_macro": "ROC AUC, mean", **each},
            "Calls of the likeliest class": {
                "top1": "Top-1 accuracy",
                "balanced_accuracy": "Balanced accuracy",
                **calls,
                "f1_macro": "F1 macro",
            },
        }

    def figures(self, data: ReportData, lead: str) -> list[Figure]:
        rows = test_rows(data)
        curves = _curves(rows[lead], data.outcome.table.classes) if lead in rows else {}
        drawn = [_roc(data, curves, lead)] if curves else []
        return [*drawn, *(confusion_figure(model, found, data.outcome) for model, found in rows.items())]

    def columns(self, outcome: Outcome) -> tuple[Column, ...]:
        hint = "probability of the class that is called"
        return (Column("probability", is_number=True, hint=hint), Column("call"))

    def cells(self, row: PatientPrediction, outcome: Outcome) -> tuple[Cell, ...]:
        return (number(max(row.said)), Cell(row.call, look="call"))


def _curves(rows: Sequence[PatientPrediction], classes: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """False and true positive rates of each class that some test patients have and some have not."""
    from sklearn.metrics import roc_curve

    labels, said = np.array([row.label for row in rows]), np.array([row.said for row in rows])
    found = {}
    for number_, name in enumerate(classes):
        own = labels == number_
        if own.any() and not own.all():
            found[name] = roc_curve(own, said[:, number_], drop_intermediate=False)[:2]
    return found


def _roc(data: ReportData, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], lead: str) -> Figure:
    frame = Frame(
        "false positive rate", "true positive rate", size=(4.4, 4.1), is_square=True,
        references=(Reference((0, 1), (0, 1), "chance", (0.62, 0.585), 45),),
    )  # fmt: skip
    lines = [
        Line(name, *rates, series_of(index % (len(SERIES) - 1))) for index, (name, rates) in enumerate(curves.items())
    ]
    areas = _areas(data, lead)
    alt = f"ROC curves of {lead}, each class against the rest: {', '.join(f'{name} {areas[name]}' for name in curves)}."
    columns = ("class", "false_positive_rate", "true_positive_rate")
    drawn = line_plot("roc", frame, lines)
    note = f"Model {lead}, each class against all others; with the area and its interval."
    legend = tuple((f"{name} {areas[name]}", series) for name, series in legend_of(lines))
    return Figure("roc", "ROC curves by class", drawn, alt, columns, points(*curves.items()), note, legend)


def _areas(data: ReportData, lead: str) -> dict[str, str]:
    """The area of each class against the rest with its interval, as text."""
    found = {}
    for number_, name in enumerate(data.outcome.table.classes):
        area = metric(data.metrics, lead, measured_set(data, lead), "patient", f"roc_auc_{number_}")
        span = interval(area.get("low"), area.get("high"))
        found[name] = f"{fixed(area.get('value'))}{f' ({span})' if span else ''}"
    return found
