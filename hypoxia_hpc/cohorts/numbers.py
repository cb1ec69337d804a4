"""Numbers of a table's column: whether a point, a comma or another mark in them is before decimals or between
thousands. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What separates thousands beside the other one of point and comma: apostrophe and blanks, narrow ones too.
_THOUSANDS = "'\u2019 \u00a0\u2009\u202f"

_MINUS = "\u2212"


def _numbers(decimal: str, other: str) -> re.Pattern[str]:
    groups = rf"[1-9]\d{{0,2}}(?P<mark>[{other}{_THOUSANDS}])\d{{3}}((?P=mark)\d{{3}})*([{decimal}]\d+)?"
    plain = rf"(\d+([{decimal}]\d*)?|[{decimal}]\d+)([eE][+-]?\d{{1,3}})?"
    return re.compile(rf"[+{_MINUS}-]?({groups}|{plain})", re.ASCII)


_NUMBERS = {".": _numbers(".", ","), ",": _numbers(",", ".")}


def readings(cell: str) -> dict[str, str]:
    """The number in a cell as Python writes it, by the decimal mark (point, comma) with which it is one: of ``2.000``
    they are ``2.000`` and ``2000``. None for what is no number."""
    found = {}
    for decimal, pattern in _NUMBERS.items():
        if match := pattern.fullmatch(cell):
            text = cell.replace(match["mark"], "") if match["mark"] else cell
            found[decimal] = text.replace(decimal, ".").replace(_MINUS, "-")
    return found


def plain_numbers(cells: Sequence[str], delimiter: str) -> list[str | None]:
    """The cells of a column as Python writes numbers, None for each that may be two numbers; what is no number stays.

    What can be read in one way only says how the others are read. Where nothing does, a point in a table that is
    separated by commas is before decimals.
    """
    read = [readings(cell) for cell in cells]
    marks = {mark for each in read if len(each) == 1 for mark in each}
    open_cells = [cell for cell, each in zip(cells, read, strict=True) if len(set(each.values())) > 1]
    if not marks and delimiter == "," and not any("," in cell for cell in open_cells):
        marks = {"."}
    return [_chosen(cell, each, marks) for cell, each in zip(cells, read, strict=True)]


def _chosen(cell: str, read: dict[str, str], marks: set[str]) -> str | None:
    values = set(read.values()) or {cell}
    if len(values) == 1:
        return values.pop()
    return read[min(marks)] if len(marks) == 1 else None
