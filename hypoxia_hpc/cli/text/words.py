"""Numbers, lists and long tables in few words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from hypoxia_hpc.errors import some, some_names

if TYPE_CHECKING:
    from hypoxia_hpc.runs.rates import Figure

# Longer tables end in "and N more": --json has them whole.
MOST_ROWS = 20
# Of names in the first column, in places of the terminal: ids of slides may have any length.
WIDEST = 60
# Python's text of a byte of a file's name that is not UTF-8 (PEP 383).
FIRST_SURROGATE = 0xDC00
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


def cut_table(header: Sequence[str], rows: Sequence[Sequence[str]], all_of_them: str = "--json has all") -> str:
    """The first `MOST_ROWS` rows, how many more there are, and where ``all_of_them`` are."""
    more = f"\n… and {len(rows) - MOST_ROWS} more ({all_of_them})" if len(rows) > MOST_ROWS else ""
    return table(header, rows[:MOST_ROWS]) + more


def grouped(
    header: Sequence[str],
    rows: Iterable[tuple[str, str, Sequence[str]]],
    *,
    told: Collection[str] = (),
    all_of_them: str = "--json has all",
) -> Iterator[str]:
    """Slides under what they share, each title once with its remedy below. ``rows``: title, remedy and the cells of a
    slide, of which the first is its id; of slides that are ``told`` already the id alone is shown, beside the title.
    """
    groups: dict[tuple[str, str], list[Sequence[str]]] = {}
    for title, remedy, cells in rows:
        groups.setdefault((title, remedy), []).append(cells)
    for (title, remedy), all_cells in groups.items():
        known = some_names([cells[0] for cells in all_cells if cells[0] in told])
        yield f"\n{title}: {some(len(all_cells), 'slide')}" + (f" ({known})" if known else "")
        if unknown := [cells for cells in all_cells if cells[0] not in told]:
            yield cut_table(header, unknown, all_of_them)
        if remedy:
            yield f"remedy: {remedy}"


def harmless(text: str) -> str:
    """The text with escapes for what a terminal would obey rather than show: file names may hold anything. Bytes of a
    name that are not UTF-8 are shown as ``\\xe9``."""
    return "".join(char if char.isprintable() or char in "\n\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    byte = ord(char) - FIRST_SURROGATE
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else char.encode("unicode_escape").decode()


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the last one is not padded. A name in the first column that is wider than
    `WIDEST` widens no other row: its own goes on below it. Control characters are shown as escapes, and a character may
    take two places or none."""
    lines = [[_one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(cell_len(row[column]) for row in lines) for column in range(len(header))]
    widths[0] = max(width for row in lines if (width := cell_len(row[0])) <= WIDEST)
    padded = [_padded(row, widths) for row in lines]
    rule = "-" * min(max(cell_len(line) for row in padded for line in row.split("\n")), 100)
    return "\n".join([padded[0], rule, *padded[1:]])


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    """The cells of a row in their columns; behind a name that is too wide for its own, on a line below it."""
    cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
    if cell_len(row[0]) > widths[0]:
        cells[0] += "\n" + " " * widths[0]
    return "  ".join(cells).rstrip()


def _one_line(cell: str) -> str:
    return harmless(cell).replace("\n", "\\n").replace("\t", "\\t")


def spaced(text: str) -> str:
    """With an empty line before and after."""
    return f"\n{text}\n"
