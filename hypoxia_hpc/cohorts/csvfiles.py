"""Delimited text tables, strictly: every cell a string, every ragged row named, nothing guessed, nothing dropped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hypoxia_hpc.errors import InputError, MachineError

# A spreadsheet executes a cell that begins like this as a formula (CWE-1236); a plain number is no formula.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def read_table(path: Path, required: Sequence[str], *, delimiter: str | None = None) -> pd.DataFrame:
    """A UTF-8 table with a header as strings; the index is each row's line number in the file.

    ``delimiter`` None: a tab if the header line has one, else a comma. Raises InputError: no file, not UTF-8, a missing
    or repeated column, rows of another length than the header (all of them named), no rows.
    """
    text = _read_text(path)
    first_line = text.split("\n", maxsplit=1)[0]
    rows = _parse(path, text, delimiter or ("\t" if "\t" in first_line else ","))
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    _check_header(path, header, required)
    refuse(
        f"{path}: rows with another number of cells than the header's {len(header)}",
        [f"line {line}: {len(cells)} cells" for line, cells in rows[1:] if len(cells) != len(header)],
        "mend these rows (a cell that holds the delimiter goes in double quotes)",
    )
    if len(rows) == 1:
        raise InputError(f"{path} has a header and no rows", remedy="give at least one row")
    lines = pd.Index([line for line, _ in rows[1:]], name="line")
    return pd.DataFrame([cells for _, cells in rows[1:]], columns=header, index=lines, dtype=object)


def refuse(problem: str, offending: Sequence[str], remedy: str) -> None:
    """Raise one InputError with all offending items, if there are any."""
    if offending:
        raise InputError(problem, offending=offending, remedy=remedy)


def csv_text(frame: pd.DataFrame) -> str:
    """The frame without its index as CSV: comma, LF, None and NaN empty, floats in their shortest exact form.

    Text that a spreadsheet would execute as a formula gets an apostrophe in front (`unguard` takes it off); numbers do
    not."""
    rows = [list(frame.columns), *frame.itertuples(index=False, name=None)]
    return "".join(",".join(_cell(value) for value in row) + "\n" for row in rows)


def unguard(text: str) -> str:
    """Undo the apostrophe of `csv_text`: the two are exact inverses for every text."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _cell(value: str | float | None) -> str:
    text = "" if pd.isna(value) else str(value)
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        text = "'" + text
    # csv.writer of Python 3.11 leaves a lone carriage return unquoted, and its own reader then breaks the row there.
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path} is not a file", remedy="check the path") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}", remedy="save the table as UTF-8") from None
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error}", remedy="check the file's permissions and disk") from None


def _parse(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}", remedy="mend the quotes; a quote inside a cell is doubled"
        ) from None


def _check_header(path: Path, header: list[str], required: Sequence[str]) -> None:
    offending = [f"missing column: {name}" for name in required if name not in header]
    offending += [f"repeated column: {name}" for name in sorted({n for n in header if header.count(n) > 1})]
    refuse(f"{path} has the columns {header}", offending, f"the table needs each of {list(required)} once")
