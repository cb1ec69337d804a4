"""What a table from outside is written in: its encoding and its delimiter. Pure; reading itself is `csvfiles`."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = {"\t": "tab", ";": "semicolon", ",": "comma"}
# The mark at the start of a file, and what it is the mark of. Excel writes "Unicode text" as UTF-16.
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's cells. ``rows``: the line number in the file and the cells, header first."""

    delimiter: str
    rows: list[tuple[int, list[str]]]

    @property
    def header(self) -> list[str]:
        return self.rows[0][1] if self.rows else []

    @property
    def ragged(self) -> list[tuple[int, list[str]]]:
        """Rows with another number of cells than the header."""
        return [(line, cells) for line, cells in self.rows[1:] if len(cells) != len(self.header)]


def decoded(data: bytes) -> str:
    """The text of a file in UTF-8, with or without a mark, or in UTF-16 with one. Raises UnicodeDecodeError."""
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding)


def sniffed(text: str, known: Sequence[str]) -> Rows:
    """The cells by the delimiter that fits best. ``known``: the columns that the reader understands, in lower case.

    The delimiter under which the header has most of the known columns; of several the one under which most rows are as
    long as the header, then the one that makes most columns. Raises csv.Error where no delimiter gives whole quotes.
    """
    found: list[Rows] = []
    problem: csv.Error | None = None
    for delimiter in DELIMITERS:
        try:
            found.append(_without_empty_ends(Rows(delimiter, _parsed(text, delimiter))))
        except csv.Error as error:
            problem = error
    if problem is not None and not found:
        raise problem
    return max(found, key=lambda rows: _fitness(rows, known))


def plain_number(cell: str) -> str:
    """The cell with a decimal point where it is a number with a decimal comma."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _fitness(rows: Rows, known: Sequence[str]) -> tuple[int, int, int]:
    names = {name.strip().lower() for name in rows.header}
    # One cell a row is what any text looks like by a delimiter that it does not have.
    even = len(rows.rows) - 1 - len(rows.ragged) if len(rows.header) > 1 else 0
    return len(names.intersection(known)), even, len(rows.header)


def _parsed(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: {error}") from None


def _without_empty_ends(rows: Rows) -> Rows:
    """Without the columns at the right that have no name and hold nothing, as spreadsheets leave them; a row that ends
    before them is as long as the others."""
    width = _last_filled(rows.header)
    return Rows(rows.delimiter, [(line, _cut(cells, width)) for line, cells in rows.rows])


def _cut(cells: list[str], width: int) -> list[str]:
    return cells[: max(width, _last_filled(cells))]


def _last_filled(cells: Sequence[str]) -> int:
    return next((n for n in range(len(cells), 0, -1) if cells[n - 1].strip()), 0)
