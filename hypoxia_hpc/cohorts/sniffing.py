"""What a table from outside is written in: its encoding and its delimiter. Pure; reading itself is `csvfiles`."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hypoxia_hpc.config.text_paths import composed

DELIMITERS = {"\t": "tab", ";": "semicolon", ",": "comma"}
# The mark at the start of a file, and what it is the mark of. Excel writes "Unicode text" as UTF-16; the mark of UTF-32
# begins as that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
AS_CSV = "save its sheet as CSV (Excel: File, Save as, CSV UTF-8), and give that file"
AS_SLIDE = "give the folder that holds it, or a table with a column path that names it"
AS_TEXT = "give a table as text: CSV, or separated by semicolons or tabs"
# How files begin that are given in place of a table, what they are, and what to do.
NO_TABLES = {
    b"PK\x03\x04": ("an Excel or LibreOffice workbook, or another ZIP archive", AS_CSV),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Excel workbook", AS_CSV),
    b"II*\0": ("a TIFF image", AS_SLIDE),
    b"MM\0*": ("a TIFF image", AS_SLIDE),
    b"II+\0": ("a TIFF image", AS_SLIDE),
    b"MM\0+": ("a TIFF image", AS_SLIDE),
    b"%PDF": ("a PDF document", AS_TEXT),
    b"\x1f\x8b": ("a gzip archive", "unpack it"),
    b"PAR1": ("a Parquet file", AS_TEXT),
}
# How text begins that is no table.
NO_TABLE_TEXTS = {
    r"<(!doctype html|html|head|meta|table|style|script|body)\b": (
        "an HTML page, as some programs write for spreadsheets under the name .xls or .xlsx, and as websites send in "
        "place of a file",
        "open it in a spreadsheet and save its sheet as CSV (Excel: File, Save as, CSV UTF-8); or download it again",
    ),
    r"<\?xml\b": ("XML", f"if a spreadsheet opens it, {AS_CSV}"),
    r"\{\\rtf": ("a text document (RTF)", AS_TEXT),
    r'(\[\s*)?\{\s*"': ("JSON", f"{AS_TEXT}; the metadata of a GDC cart needs a name that ends in .json"),
    r"mime-version:": ("a web page (MHTML)", f"if a spreadsheet opens it, {AS_CSV}"),
}
HEAD_BYTES = 4096
# Excel's first line that says what separates cells.
_SEPARATOR = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?[,;\t ]*(\r\n|\r|\n)', re.IGNORECASE)
# What Python's csv says of a quote that is not closed.
_UNCLOSED = "unexpected end of data"
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
    """The text of a file in UTF-8 or UTF-16, with or without a mark, or in UTF-32 with one. Raises
    UnicodeDecodeError."""
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "")
    return data.decode(encoding or _unmarked(data[:HEAD_BYTES]))


def _unmarked(head: bytes) -> str:
    """UTF-16 has a zero in every second byte of letters, digits and commas, and hardly one between; UTF-8 has none."""
    even, odd = (head[first::2].count(0) for first in (0, 1))
    if 4 * max(even, odd) < len(head) or 10 * min(even, odd) > max(even, odd):
        return "utf-8"
    return "utf-16-be" if even > odd else "utf-16-le"


def no_table(head: bytes) -> tuple[str, str]:
    """What a file is that is no text, by its first bytes, and what to do; twice nothing where it may be text."""
    known = next((known for begin, known in NO_TABLES.items() if head.startswith(begin)), _no_table_text(head))
    is_marked = any(head.startswith(mark) for mark, _ in MARKS)
    if known[0] or is_marked or 4 * head.count(0) <= len(head) or _unmarked(head) != "utf-8":
        return known
    return "no text: it has many zero bytes", AS_TEXT


def _no_table_text(head: bytes) -> tuple[str, str]:
    try:
        text = decoded(head)
    except UnicodeDecodeError:  # a page in another encoding, or a character that ends behind the head
        text = head.decode("latin-1")
    text = text.lstrip("\ufeff \t\r\n")
    return next((known for form, known in NO_TABLE_TEXTS.items() if re.match(form, text, re.IGNORECASE)), ("", ""))


def sniffed(text: str, known: Sequence[str]) -> Rows:
    """The cells by the delimiter that fits best. ``known``: the columns that the reader understands, as `plain_name`
    has them.

    The delimiter under which the header has most of the known columns; of several the one under which most rows are as
    long as the header, then the one that makes most columns, then the one that a first line ``sep=;`` says. Raises
    csv.Error where no delimiter gives whole quotes.
    """
    found: list[Rows] = []
    problem: csv.Error | None = None
    said = _SEPARATOR.match(text)
    for delimiter in dict.fromkeys([*(said["delimiter"] if said else ""), *DELIMITERS]):
        try:
            rows = _parsed(text[said.end() :] if said else text, delimiter, 1 if said else 0)
            found.append(_without_empty_ends(Rows(delimiter, rows)))
        except csv.Error as error:
            problem = error
    # A quote that is not closed is plain text by a delimiter that the table does not have: one unknown column.
    if problem is not None and all(len(rows.header) == 1 and not _fitness(rows, known)[0] for rows in found):
        raise problem
    return max(found, key=lambda rows: _fitness(rows, known))


def plain_name(name: str) -> str:
    """A column's name as two are compared: without blanks around it, case and forms of accents."""
    return composed(name.strip()).lower()


def plain_number(cell: str) -> str:
    """The cell with a decimal point where it is a number with a decimal comma. For numbers below 1000, which have no
    mark between thousands; others depend on their column (`plain_numbers`)."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _fitness(rows: Rows, known: Sequence[str]) -> tuple[int, int, int]:
    names = {plain_name(name) for name in rows.header}
    # One cell a row is what any text looks like by a delimiter that it does not have.
    even = len(rows.rows) - 1 - len(rows.ragged) if len(rows.header) > 1 else 0
    return len(names.intersection(known)), even, len(rows.header)


def _parsed(text: str, delimiter: str, before: int) -> list[tuple[int, list[str]]]:
    """``before``: lines of the file that come before ``text``."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    begin = before + 1
    try:
        for cells in reader:
            rows.extend([(before + reader.line_num, cells)] if any(cell.strip() for cell in cells) else [])
            begin = before + reader.line_num + 1
    except csv.Error as error:
        end = before + reader.line_num
        if str(error) == _UNCLOSED:
            said = f"line {begin}: a quote in the row that begins here is not closed before the end of the file"
            raise csv.Error(said) from None
        raise csv.Error(f"line {end}: {error}{'' if begin == end else f' (the row begins on line {begin})'}") from None
    return rows


def _without_empty_ends(rows: Rows) -> Rows:
    """Without the columns at the right that have no name and hold nothing, as spreadsheets leave them; a row that ends
    before them is as long as the others."""
    width = _last_filled(rows.header)
    return Rows(rows.delimiter, [(line, _cut(cells, width)) for line, cells in rows.rows])


def _cut(cells: list[str], width: int) -> list[str]:
    return cells[: max(width, _last_filled(cells))]


def _last_filled(cells: Sequence[str]) -> int:
    return next((n for n in range(len(cells), 0, -1) if cells[n - 1].strip()), 0)
