"""Delimited text tables as rows of strings: every ragged row named, and nothing dropped but what is empty.

Without pandas, which takes longer to import than the worker process of a slide takes to start.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from hypoxia_hpc.cohorts.sniffing import AS_TEXT, DELIMITERS, HEAD_BYTES, Rows, decoded, no_table, plain_name, sniffed
from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.errors import InputError, MachineError, some, some_names
from hypoxia_hpc.reading import MOST_SHOWN, MOST_SLIDE_BYTES, MOST_TABLE_BYTES, UnfitFileError, open_plain, read_plain

# A spreadsheet executes a cell that begins like this as a formula (CWE-1236); a plain number is no formula.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
MOST_COLUMNS = 10_000


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with a header: the names of its columns, and of each row its line in the file and its cells."""

    columns: tuple[str, ...]
    lines: tuple[int, ...]
    rows: tuple[Sequence[str], ...]
    delimiter: str

    def cells(self, column: str) -> list[str]:
        """The cells of one of ``columns``."""
        place = self.columns.index(column)
        return [cells[place] for cells in self.rows]


def read_rows(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> TextTable:
    """A table with a header as strings.

    Comma, semicolon, tab, or what a first line ``sep=|`` says; UTF-8 or UTF-16, with or without a byte-order mark. A
    column whose name is one of ``required`` or ``optional`` but for blanks, case and Unicode form gets that name. Rows
    without any content are left out, and so are columns without a name and content. Raises InputError: no file, no
    text, a missing or repeated column, a column with content and no name, rows of another length than the header, no
    rows.
    """
    table = _sniffed(path, [*required, *optional])
    if not table.rows:
        raise InputError(f"{path} is empty", remedy="give a table with a header and at least one row")
    header = _named(table.header, [*required, *optional])
    _check_header(path, header, required, table)
    _check_rows(path, table)
    if len(table.rows) == 1:
        raise InputError(f"{path} has a header and no rows", remedy="give at least one row")
    lines, rows = zip(*table.rows[1:], strict=True)
    return _without_nameless(path, TextTable(tuple(header), lines, rows, table.delimiter))


def _sniffed(path: Path, known: Sequence[str]) -> Rows:
    try:
        return sniffed(_read_text(path), [plain_name(name) for name in known])
    except csv.Error as error:
        raise InputError(f"{path}, {error}", remedy="mend the quotes; a quote inside a cell is doubled") from None


def _named(header: Sequence[str], known: Sequence[str]) -> list[str]:
    """The header's names, those that are known but for blanks and case as they are known."""
    by_plain = {plain_name(name): name for name in known}
    return [by_plain.get(plain_name(name), composed(name.strip())) for name in header]


def _check_header(path: Path, header: list[str], required: Sequence[str], table: Rows) -> None:
    if len(header) > MOST_COLUMNS:
        problem = f"{path} has {len(header):,} columns, {MOST_COLUMNS:,} is the most"
        raise InputError(problem, remedy="leave out the columns that say nothing of slides or patients")
    missing = [f"missing column: {name}" for name in required if name not in header]
    repeated = [f"repeated column: {name}" for name, n in sorted(Counter(header).items()) if name and n > 1]
    remedies = [f"the table needs each of {list(required)} once"] if missing else []
    remedies += ["give each column a name of its own, whatever the case"] if repeated else []
    cause = "" if len(header) != 1 else ", if cells are separated by commas, semicolons or tabs"
    told = some_names([repr(name)[:MOST_SHOWN] for name in table.header])
    refuse(f"{path} has the columns [{told}]{cause}", missing + repeated, "; ".join(remedies))


def _check_rows(path: Path, table: Rows) -> None:
    """Raises InputError for rows that are longer or shorter than the header."""
    width, ragged, n_rows = len(table.header), table.ragged, len(table.rows) - 1
    delimiter = DELIMITERS.get(table.delimiter, table.delimiter)
    lengths = {len(cells) for _, cells in ragged}
    if len(ragged) > 1 and len(ragged) == n_rows and len(lengths) == 1:
        raise InputError(
            f"{path}: the header has {some(width, 'cell')} and every row {lengths.pop()}, separated by the {delimiter}",
            remedy="mend the header; or, where numbers have a decimal comma, separate cells by semicolons or tabs",
        )
    refuse(
        f"{path}: rows with another number of cells than the header's {width}, separated by the {delimiter}",
        [f"line {line}: {some(len(cells), 'cell')}" for line, cells in ragged],
        "mend these rows (a cell that holds the delimiter goes in double quotes)",
    )


def _without_nameless(path: Path, table: TextTable) -> TextTable:
    """Without the columns that have neither a name nor content. Raises InputError for one that has content."""
    named = [bool(name) for name in table.columns]
    if all(named):
        return table
    nameless = [not one for one in named]
    filled = [
        line
        for line, cells in zip(table.lines, table.rows, strict=True)
        if any(map(str.strip, compress(cells, nameless)))
    ]
    refuse(
        f"{path} has content in a column without a name",
        [f"line {line}" for line in filled],
        "name the column in the header, or empty it",
    )
    rows = tuple(tuple(compress(cells, named)) for cells in table.rows)
    return replace(table, columns=tuple(compress(table.columns, named)), rows=rows)


def refuse(problem: str, offending: Sequence[str], remedy: str) -> None:
    """Raise one InputError with all offending items, if there are any."""
    if offending:
        raise InputError(problem, offending=offending, remedy=remedy)


def unguard(text: str) -> str:
    """Undo the apostrophe of `csvfiles.csv_text`: the two are exact inverses for every text."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def _read_text(path: Path) -> str:
    try:
        with open_plain(path, MOST_SLIDE_BYTES) as file:
            what, remedy = no_table(file.read(HEAD_BYTES))
        if what:
            raise InputError(f"{path} is no table, but {what}", remedy=remedy)
        return decoded(read_plain(path, MOST_TABLE_BYTES))
    except UnfitFileError as error:
        raise InputError(error.problem, remedy="check the path; a table is a plain file of text") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path} is not a file", remedy="check the path") from None
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise InputError(
            f"{path} is not {error.encoding.upper()} text: byte 0x{byte:02x} on line {line}",
            remedy=AS_TEXT if b"\0" in error.object else "save the table as UTF-8 (Excel: CSV UTF-8)",
        ) from None
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error}", remedy="check the file's permissions and disk") from None
