"""A number. A label is the number, a prediction too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from hypoxia_hpc.errors import some
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Label

# A split spreads fifths of the scores evenly.
N_BINS = 5
LARGEST = 1e12
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True)
class Score(Outcome):
    """kind = "score"."""

    kind = "score"
    link = "identity"
    label_types = MappingProxyType({"label": "Float64"})

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("predicted",)

    @property
    def numbers(self) -> tuple[str, ...]:
        return (self.table.column,)

    def parse(self, cells: Sequence[str]) -> Label | None:
        (cell,) = cells
        if cell == "":
            return None
        return number_in(cell, -LARGEST, LARGEST, f"is not a number from {-LARGEST:g} to {LARGEST:g}, nor empty")

    def shown(self, label: Label) -> str:
        return f"{label:.6g}"

    @property
    def balance_columns(self) -> tuple[str, ...]:
        return ("with a score", "median", "range")

    def balance(self, labels: Sequence[Label]) -> list[str]:
        scores = [score_of(label) for label in labels]
        if not scores:
            return ["0", "", ""]
        return [f"{len(scores):,}", f"{np.median(scores):.4g}", f"{min(scores):.4g} to {max(scores):.4g}"]

    def untrainable(self, labels: Sequence[Label]) -> str:
        n = len(set(labels))
        return f"have {some(n, 'different score')}; two or more are needed" if n < 2 else ""

    def strata(self, labels: Sequence[Label]) -> list[str]:
        return [str(number) for number in fifths([score_of(label) for label in labels])]


def score_of(label: Label) -> float:
    """The score. Raises TypeError for a label of another kind of outcome."""
    if not isinstance(label, (int, float)):
        raise TypeError(f"{label!r} is no score")
    return float(label)


def number_in(cell: str, low: float, high: float, rule: str) -> float:
    """The number in a cell, with a decimal point or a decimal comma. Raises ValueError with the rule where it is none,
    or outside low to high."""
    if not _NUMBER.fullmatch(cell):
        raise ValueError(rule)
    value = float(cell.replace(",", "."))
    if not low <= value <= high:
        raise ValueError(rule)
    return value


def fifths(values: Sequence[float]) -> list[int]:
    """To which fifth of all each value belongs, 0 to 4; equal values to the same."""
    ranked = np.sort(np.asarray(values, dtype=np.float64))
    below = np.searchsorted(ranked, values, side="left")
    return [int(number * N_BINS // len(ranked)) for number in below]
