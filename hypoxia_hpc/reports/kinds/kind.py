"""What the page asks of a kind of outcome: its question, its metrics, its figures, its columns of tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.reports.data import PatientPrediction, ReportData
from hypoxia_hpc.reports.figures import Figure
from hypoxia_hpc.reports.tables import Cell, Column, count


class Kind(ABC):
    """One kind of outcome."""

    headline: ClassVar[str]  # of metrics.json
    headline_name: ClassVar[str]
    chance: ClassVar[float] = 0.5
    scale: ClassVar[tuple[float, float]] = (0.0, 1.0)
    truth_is_number: ClassVar[bool] = False
    has_spread: ClassVar[bool] = True  # whether the predictions of several heads are on one scale

    @abstractmethod
    def question(self, outcome: Outcome) -> str:
        """What is asked of a patient, in a sentence."""

    @abstractmethod
    def metric_groups(self, data: ReportData) -> Mapping[str, Mapping[str, str]]:
        """The metrics of the tables and their titles, by what a table is headed with; that of the headline first."""

    @abstractmethod
    def figures(self, data: ReportData, lead: str) -> list[Figure]:
        """Of test patients."""

    @abstractmethod
    def columns(self, outcome: Outcome) -> tuple[Column, ...]:
        """What a model says of a patient."""

    @abstractmethod
    def cells(self, row: PatientPrediction, outcome: Outcome) -> tuple[Cell, ...]:
        """One for each of ``columns``."""

    def call_rule(self, data: ReportData, model: str) -> str:
        """What a call goes by, in a sentence; empty where there is nothing to say."""
        return ""

    def truth(self, row: PatientPrediction, outcome: Outcome) -> Cell:
        """What is known of a patient."""
        return Cell("–" if row.label is None else outcome.shown(row.label))  # noqa: RUF001

    def tags(self, row: PatientPrediction, outcome: Outcome) -> tuple[str, ...]:
        """``wrong`` where the call is not the truth."""
        is_wrong = bool(row.call) and row.label is not None and row.call != outcome.shown(row.label)
        return ("wrong",) if is_wrong else ()

    def spread(self, rows: Sequence[PatientPrediction]) -> float:
        """How far the heads are apart on one patient, where ``has_spread``."""
        said = [row.said for row in rows]
        return float(np.ptp(np.array(said), axis=0).max())

    def group_columns(self, outcome: Outcome) -> tuple[Column, ...]:
        """What the table of tumour types and of sites says of test patients."""
        return (*(Column(name, is_number=True) for name in outcome.table.classes), Column("right", is_number=True))

    def group_cells(self, rows: Sequence[PatientPrediction], outcome: Outcome) -> tuple[Cell, ...]:
        """One for each of ``group_columns``."""
        names = [outcome.shown(row.label) for row in rows if row.label is not None]
        right = sum(not self.tags(row, outcome) for row in rows)
        return (*(count(names.count(name)) for name in outcome.table.classes), count(right))
