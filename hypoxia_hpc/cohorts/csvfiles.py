"""Tables as frames: every cell a string, numbers in their plain form; and the text of a frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.numbers import plain_numbers, readings
from hypoxia_hpc.cohorts.textfiles import FORMULA, read_rows, refuse

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), numbers: Sequence[str] = ()
) -> pd.DataFrame:
    """A table as `read_rows` reads it; the index is each row's line number in the file.

    Numbers of the columns ``numbers`` get a decimal point and no mark between thousands. Raises InputError as
    `read_rows` does, and for numbers that may be two.
    """
    table = read_rows(path, required, optional)
    lines = pd.Index(table.lines, name="line")
    frame = pd.DataFrame(table.rows, columns=list(table.columns), index=lines, dtype=object)
    return _with_plain_numbers(path, frame, numbers, table.delimiter)


def _with_plain_numbers(path: Path, frame: pd.DataFrame, names: Sequence[str], delimiter: str) -> pd.DataFrame:
    offending = []
    for name in frame.columns.intersection(list(names)):
        cells = frame[name].str.strip().tolist()
        plain = plain_numbers(cells, delimiter)
        rows = list(zip(frame.index, cells, plain, strict=True))
        offending += [
            f"line {line}: {name} {cell!r} is {' or '.join(sorted(set(readings(cell).values())))}"
            for line, cell, number in rows
            if number is None
        ]
        frame[name] = plain
    refuse(
        f"{path} has numbers whose mark may be before decimals or between thousands, and no other number of the column "
        "says which",
        offending,
        "write thousands without a mark (2000), and decimals with more or fewer digits than three (2.0)",
    )
    return frame


def csv_text(frame: pd.DataFrame) -> str:
    """The frame without its index as CSV: comma, LF, None and NaN empty, floats in their shortest exact form.

    Text that a spreadsheet would execute as a formula gets an apostrophe in front (`unguard` takes it off); numbers do
    not."""
    rows = [list(frame.columns), *frame.itertuples(index=False, name=None)]
    return "".join(",".join(_cell(value) for value in row) + "\n" for row in rows)


def _cell(value: str | float | None) -> str:
    text = "" if pd.isna(value) else str(value)
    if FORMULA.match(text) and not _NUMBER.fullmatch(text):
        text = "'" + text
    # csv.writer of Python 3.11 leaves a lone carriage return unquoted, and its own reader then breaks the row there.
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text
