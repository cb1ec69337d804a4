"""The figures of the page, each with a sentence that describes it to readers who cannot see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config.heads.registry import loss_over
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.data import Curves, ReportData
from hypoxia_hpc.reports.plots import Drawn, Frame, Line, line_plot
from hypoxia_hpc.reports.tables import csv_of
from hypoxia_hpc.reports.text import count_of, fixed


@dataclass(frozen=True, slots=True)
class Figure:
    """``drawn`` is markup made here; everything else is text and must be escaped. ``name`` is the stem of its files,
    ``columns`` and ``rows`` their CSV, ``legend`` the lines' labels and series. Figures of one ``group`` stand in one
    card. A confusion matrix has ``matrix`` (true class, called class) and the ``names`` of its classes, and is shown as
    a table."""

    name: str
    title: str
    drawn: Drawn
    alt: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    note: str = ""
    legend: tuple[tuple[str, int], ...] = ()
    group: str = ""
    matrix: tuple[tuple[int, ...], ...] = ()
    names: tuple[str, ...] = ()

    def csv(self) -> str:
        """What is drawn, as a CSV table."""
        return csv_of(self.columns, self.rows)


@dataclass(frozen=True, slots=True)
class TrainingFigure:
    """``unit``: what accuracy and loss are the mean over."""

    head: str
    unit: str
    figures: tuple[Figure, ...]
    has_valid: bool


def stem(name: str) -> str:
    """A name as a part of a file's name and of an id."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def points(*named: tuple[str, Sequence[Float64Array]]) -> tuple[tuple[object, ...], ...]:
    """Rows of a CSV: the name, then a value of each array; all arrays of a name are (n,)."""
    return tuple(
        (name, *values) for name, arrays in named for values in zip(*(a.tolist() for a in arrays), strict=True)
    )


def legend_of(lines: Sequence[Line]) -> tuple[tuple[str, int], ...]:
    """Label and series of each line."""
    return tuple((line.label, line.series) for line in lines)


def training_figures(data: ReportData) -> list[TrainingFigure]:
    """Loss and, where there is one, accuracy by epoch for every model that was trained in epochs."""
    return [_training_figure(history) for history in data.histories if history.loss]


def _training_figure(history: Curves) -> TrainingFigure:
    drawn = [_training_plot("loss", history.head, history.loss, history.valid_loss)]
    if history.accuracy:
        drawn.append(_training_plot("accuracy", history.head, history.accuracy, history.valid_accuracy))
    has_valid = bool(history.valid_loss or history.valid_accuracy)
    return TrainingFigure(history.head, loss_over(history.head.partition(".")[0]), tuple(drawn), has_valid)


def _training_plot(what: str, head: str, train: Sequence[float], valid: Sequence[float]) -> Figure:
    """One value per epoch on the training set (solid) and on the validation set (dashed; may be empty)."""
    sets = [(name, values) for name, values in (("training", train), ("validation", valid)) if values]
    arrays = [(name, (np.arange(1.0, len(values) + 1), np.array(values))) for name, values in sets]
    lines = [Line(name, *pair, series=number + 1) for number, (name, pair) in enumerate(arrays)]
    ylim = (-0.02, 1.02) if what == "accuracy" else None
    frame = Frame("epoch", what, xlim=None, ylim=ylim, size=(4.2, 2.8), has_whole_x=True)
    name = f"{what}-{stem(head)}"
    alt = f"{what.capitalize()} of {head} over {count_of(len(train), 'epoch')}: " + ", ".join(
        f"{of} from {fixed(values[0])} to {fixed(values[-1])}" for of, values in sets
    )
    columns, rows = ("set", "epoch", what), points(*arrays)
    return Figure(name, what, line_plot(name, frame, lines), f"{alt}.", columns, rows, legend=legend_of(lines))
