"""Numbers, lists and long tables in few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.terminal import table

if TYPE_CHECKING:
    from hypoxia_hpc.runs.rates import Figure

# Longer tables end in "and N more": --json has them whole.
MOST_ROWS = 20
PREFIXES = ("", "k", "M", "G", "T", "P")


def within(figure: Figure, unit: str = "") -> str:
    """``6.9 TB (2.1 TB - 12 TB)``; no range where there is none."""
    value, low, high = (amount(number, unit) for number in (figure.value, figure.low, figure.high))
    return value if low == high else f"{value} ({low} - {high})"


def amount(number: float, unit: str = "") -> str:
    """Three digits that count, and k, M, G, T or P: ``6.93 TB``, ``412``, ``3.2 M``."""
    power = 0
    while abs(number) >= 999.5 and power < len(PREFIXES) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.3g} {PREFIXES[power]}{unit}".rstrip()


def ranges(numbers: Sequence[int]) -> str:
    """``0-4,7``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def first_line(text: str) -> str:
    """What stands before the first line break."""
    return text.partition("\n")[0]


def cut_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first `MOST_ROWS` rows, and how many more there are."""
    more = f"\n… and {len(rows) - MOST_ROWS} more (--json has all)" if len(rows) > MOST_ROWS else ""
    return table(header, rows[:MOST_ROWS]) + more


def some(n: int, noun: str) -> str:
    """``1 slide``, ``1,300 slides``."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"
