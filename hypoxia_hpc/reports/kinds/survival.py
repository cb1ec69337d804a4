"""How long until an event: the curves of those with the higher and of those with the lower half of the risks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hypoxia_hpc.analysis.kaplan_meier import kaplan_meier
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.survival import followed_of
from hypoxia_hpc.records import Followed
from hypoxia_hpc.reports.data import PatientPrediction, ReportData
from hypoxia_hpc.reports.figures import Figure, legend_of, points, stem
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.lead import measured_set, metric, test_rows
from hypoxia_hpc.reports.plots import Frame, Line, line_plot
from hypoxia_hpc.reports.tables import Cell, Column, count, number
from hypoxia_hpc.reports.text import count_of, fixed


class SurvivalPage(Kind):
    """kind = "survival"."""

    headline = "harrell"
    headline_name = "Concordance (Harrell)"
    has_spread = False

    def question(self, outcome: Outcome) -> str:
        return f"Which patients have the event (column {outcome.table.event}) sooner?"

    def metric_groups(self, data: ReportData) -> Mapping[str, Mapping[str, str]]:
        return {"Risks": {"harrell": "Concordance, Harrell", "uno": "Concordance, Uno"}}

    def figures(self, data: ReportData, lead: str) -> list[Figure]:
        return [_curves(model, rows, data) for model, rows in test_rows(data).items() if len(rows) > 1]

    def columns(self, outcome: Outcome) -> tuple[Column, ...]:
        return (Column("risk", is_number=True, hint="logarithm of a hazard, up to a constant"),)

    def cells(self, row: PatientPrediction, outcome: Outcome) -> tuple[Cell, ...]:
        return (number(row.said[0]),)

    def group_columns(self, outcome: Outcome) -> tuple[Column, ...]:
        return (Column("events", is_number=True), Column("median risk", is_number=True))

    def group_cells(self, rows: Sequence[PatientPrediction], outcome: Outcome) -> tuple[Cell, ...]:
        events = sum(followed_of(row.label).event for row in rows if row.label is not None)
        return (count(events), number(float(np.median([row.said[0] for row in rows]))))


def _curves(model: str, rows: Sequence[PatientPrediction], data: ReportData) -> Figure:
    followed = [row.label for row in rows if isinstance(row.label, Followed)]
    time, event = np.array([one.time for one in followed]), np.array([one.event for one in followed])
    risk = np.array([row.said[0] for row in rows])
    is_high = risk > np.median(risk)
    halves = {"lower risk": ~is_high, "higher risk": is_high}
    arrays = {name: kaplan_meier(time[half], event[half]) for name, half in halves.items() if half.any()}
    lines = [Line(name, *pair, number_ + 1, is_steps=True) for number_, (name, pair) in enumerate(arrays.items())]
    frame = Frame(data.outcome.table.time, "share without the event", xlim=None, ylim=(-0.02, 1.02), size=(4.4, 3.4))
    name = f"kaplan-meier-{stem(model)}"
    found = metric(data.metrics, model, measured_set(data, model), "patient", "harrell").get("value")
    sizes = ", ".join(
        f"{name}: {count_of(int(half.sum()), 'patient')}, {count_of(int(event[half].sum()), 'event')}"
        for name, half in halves.items()
    )
    alt = f"Kaplan-Meier curves of test patients, parted at the median risk of {model}; {sizes}."
    note = f"Solid: lower risk, dashed: higher ({sizes}). Concordance {fixed(found, 2)}."
    columns = ("half", "time", "share_without_event")
    drawn = line_plot(name, frame, lines)
    return Figure(name, f"Kaplan-Meier: {model}", drawn, alt, columns, points(*arrays.items()), note, legend_of(lines))
