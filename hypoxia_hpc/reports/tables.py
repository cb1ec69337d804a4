"""Tables that a reader sorts and filters: plain cells, with the value to sort by where the text does not say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.reports.text import MISSING, clean, fixed, thousands


@dataclass(frozen=True, slots=True)
class Column:
    """``hint`` explains the title in a sentence."""

    title: str
    is_number: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """``value``: the number that is sorted by and written to the CSV, None where there is none; ``look``: a class of
    the style sheet."""

    text: str
    value: float | None = None
    look: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """``tags``: the filters that keep it."""

    cells: tuple[Cell, ...]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DataTable:
    """``name`` is its id and the stem of its CSV; ``filters`` are pairs of tag and title."""

    name: str
    label: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    filters: tuple[tuple[str, str], ...] = ()

    def csv(self) -> str:
        """The rows as a CSV table: numbers as numbers, empty where there is none."""
        return csv_of(
            [column.title for column in self.columns], [[_plain(cell) for cell in r.cells] for r in self.rows]
        )

    def tagged(self, tag: str) -> int:
        """How many rows a filter keeps."""
        return sum(tag in row.tags for row in self.rows)


def csv_of(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """CSV text of plain values."""
    cleaned = [[clean(value) if isinstance(value, str) else value for value in row] for row in rows]
    return csv_text(pd.DataFrame(cleaned, columns=[clean(name) for name in columns], dtype=object))


def number(value: float | None, digits: int = 3) -> Cell:
    """A number with this many decimals; a dash for None and NaN."""
    text = fixed(value, digits)
    return Cell(text, None if text == MISSING else value)


def count(value: int) -> Cell:
    """A whole number."""
    return Cell(thousands(value), value)


def _plain(cell: Cell) -> str | float:
    if cell.value is not None:
        return cell.value
    return "" if cell.text == MISSING else cell.text
