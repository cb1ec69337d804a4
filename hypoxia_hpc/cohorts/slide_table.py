"""``slides.csv`` as the slides of a run, every wrong cell named; without pandas, as `textfiles` is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hypoxia_hpc.cohorts.barcodes import plain_patient_id
from hypoxia_hpc.cohorts.sniffing import plain_number
from hypoxia_hpc.cohorts.textfiles import TextTable, read_rows, refuse, unguard
from hypoxia_hpc.config import NAME_PATTERN
from hypoxia_hpc.config.text_paths import composed, may_be_path, path_of_text
from hypoxia_hpc.config.tile import COARSEST_MPP, FINEST_MPP
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.records import MOST_COST_MS, Slide
from hypoxia_hpc.tiling.plan import sane_mpp

COLUMNS = ("slide_id", "path", "patient_id", "cost", "mpp", "name")
MPP_RULE = f"a resolution of a slide, {FINEST_MPP:g} to {COARSEST_MPP:g} µm per pixel"
_SLIDE_ID, _MD5 = re.compile(NAME_PATTERN, re.ASCII), re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_COUNT = re.compile(r"\d{1,18}", re.ASCII)
# Python takes 0_5, blanks and digits of other scripts, too.
_NUMBER = re.compile(r"[0-9.,eE+-]+")


def read_slides(path: Path) -> tuple[Slide, ...]:
    """The slides of a run in the table's order; a relative path is relative to the table. Raises InputError with every
    slide id that is malformed or occurs twice (ignoring case), every empty path or patient, every bad number."""
    table = read_rows(path, COLUMNS[:4], (*COLUMNS[4:], "md5"))
    cells = _cells(table)
    offending = [
        f"line {line}: {column} {cell!r} {rule}"
        for column, (is_right, rule) in RULES.items()
        for line, cell in zip(table.lines, cells[column], strict=True)
        if not is_right(cell)
    ]
    offending += _repeated(table.lines, cells["slide_id"])
    refuse(f"{path} has {some(len(offending), 'wrong cell')}", offending, "mend these rows")
    folder = path.absolute().parent
    return tuple(
        Slide(slide_id, folder / path_of_text(file), patient_id, int(cost), _mpp(mpp), name)
        for slide_id, file, patient_id, cost, mpp, name in zip(*(cells[column] for column in COLUMNS), strict=True)
    )


def _cells(table: TextTable) -> dict[str, list[str]]:
    """Of each column that is read here, without blanks around values; empty ones of a column that the table lacks."""
    cells = {name: [""] * len(table.rows) for name in (*COLUMNS, "md5")}
    cells |= {name: [unguard(cell) for cell in table.cells(name)] for name in cells if name in table.columns}
    for name in cells.keys() - {"path", "name"}:
        cells[name] = [composed(cell.strip()) for cell in cells[name]]
    return cells | {"patient_id": [plain_patient_id(cell) for cell in cells["patient_id"]]}


def _repeated(lines: Sequence[int], slide_ids: Sequence[str]) -> list[str]:
    by_id: dict[str, list[str]] = {}
    for line, slide_id in zip(lines, slide_ids, strict=True):
        by_id.setdefault(slide_id.lower(), []).append(str(line))
    repeated = sorted(slide_id for slide_id, found in by_id.items() if len(found) > 1 and slide_id)
    return [f"slide id {slide_id!r} occurs on lines {some_names(by_id[slide_id])}" for slide_id in repeated]


def _is_id(cell: str) -> bool:
    return cell != "" and cell.isprintable()


def _is_cost(cell: str) -> bool:
    return bool(_COUNT.fullmatch(cell)) and int(cell) <= MOST_COST_MS


def _mpp(cell: str) -> float | None:
    return float(plain_number(cell)) if cell else None


def _are_md5(cell: str) -> bool:
    return all(map(is_md5, cell.split()))


def is_md5(text: str) -> bool:
    """Whether the text is an MD5 in hexadecimal digits."""
    return _MD5.fullmatch(text) is not None


def is_slide_id(text: str) -> bool:
    """Whether the text may be a slide id: it becomes a file name, so no other text is accepted."""
    return _SLIDE_ID.fullmatch(text) is not None


def is_mpp(text: str) -> bool:
    """Whether the text is a resolution in µm per pixel that a scanner of slides may have (see `sane_mpp`)."""
    try:
        return _NUMBER.fullmatch(text) is not None and sane_mpp(float(plain_number(text))) is not None
    except ValueError:
        return False


RULES: dict[str, tuple[Callable[[str], bool], str]] = {
    "slide_id": (is_slide_id, f"does not match {NAME_PATTERN}"),
    "patient_id": (_is_id, "is empty or not printable"),
    "path": (may_be_path, "is no path"),
    "cost": (_is_cost, f"is not a whole number from 0 to {MOST_COST_MS:,}"),
    "mpp": (lambda cell: cell == "" or is_mpp(cell), f"is not {MPP_RULE}"),
    "md5": (_are_md5, "is not 32 digits 0-9 and a-f (of several files: of each, separated by blanks)"),
}
