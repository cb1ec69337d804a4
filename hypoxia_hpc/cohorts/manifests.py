"""Manifests of slides: the user's own (CSV or TSV) or one of GDC, row by row into `Candidate` values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import read_table, refuse
from hypoxia_hpc.cohorts.sniffing import plain_number
from hypoxia_hpc.config import NAME_PATTERN
from hypoxia_hpc.config.text_paths import may_be_path, path_of_text
from hypoxia_hpc.errors import InputError

SizeOf = Callable[[Path], int | None]

_SLIDE_ID = re.compile(NAME_PATTERN, re.ASCII)
_OWN_COLUMNS = ("path", "slide_id", "patient_id", "mpp", "site")
_GDC_COLUMNS = ("id", "filename", "size")
_GDC_UNUSED = ("md5", "state")  # of every GDC manifest: nothing that a user could miss


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may become a row of slides.csv. ``nbytes`` None: the file does not exist. ``mpp`` in µm per level 0
    pixel. ``nbytes_named`` is what a GDC manifest says that the file has, ``series`` the DICOM series that it is,
    ``left_out`` why it becomes none. What is not known is empty or None."""

    path: Path
    nbytes: int | None
    slide_id: str = ""
    patient_id: str = ""
    mpp: float | None = None
    site: str = ""
    nbytes_named: int | None = None
    series: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a manifest, and the names of the columns that say nothing to `init`."""

    candidates: tuple[Candidate, ...]
    unused: tuple[str, ...] = ()


def read_manifest(path: Path, size_of: SizeOf, patient_column: str | None = None) -> Manifest:
    """The rows of a manifest. ``size_of`` gives a file's bytes, None if it is missing.

    Columns: ``path`` (relative to the manifest) and, where known, ``slide_id``, ``patient_id`` (or the one that
    ``patient_column`` names), ``mpp``, ``site``. A GDC manifest (``id filename md5 size state``) is
    taken as the GDC client lays its files out, ``<id>/<filename>`` beside the manifest; a file that is missing there
    but lies directly beside the manifest is taken from there. Raises InputError with every wrong row."""
    wanted = () if patient_column is None else (patient_column,)
    table = read_table(path, wanted, [*_OWN_COLUMNS, *_GDC_COLUMNS, *_GDC_UNUSED])
    paths = _manifest_paths(path, table, size_of)
    cells = {
        "slide_id": _column(table, "slide_id"),
        "patient_id": _column(table, patient_column or "patient_id"),
        "mpp": _column(table, "mpp"),
        "site": _column(table, "site"),
    }
    refuse(f"{path} has wrong cells", _wrong_cells(table, cells), "mend these rows, or leave the cell empty")
    named = _sizes(path, table)
    candidates = tuple(
        Candidate(file, size_of(file), slide_id, patient_id, float(plain_number(mpp)) if mpp else None, site, nbytes)
        for file, slide_id, patient_id, mpp, site, nbytes in zip(paths, *cells.values(), named, strict=True)
    )
    used = {*_GDC_COLUMNS, *_GDC_UNUSED} if "path" not in table else {"path"}
    used |= {"slide_id", patient_column or "patient_id", "mpp", "site"}
    return Manifest(candidates, tuple(name for name in table.columns if name not in used))


def _manifest_paths(path: Path, table: pd.DataFrame, size_of: SizeOf) -> list[Path]:
    folder = path.absolute().parent
    if "path" in table:
        wrong = [f"line {line}: path {cell!r}" for line, cell in table["path"].items() if not may_be_path(cell)]
        refuse(f"{path} has rows without a path", wrong, "give each row the path of its slide")
        return [_as_named(folder, cell, size_of) for cell in table["path"]]
    if not set(_GDC_COLUMNS) <= set(table.columns):
        raise InputError(
            f"{path} has the columns {list(table.columns)}",
            remedy=f"a manifest needs a column path, or is a GDC manifest with {list(_GDC_COLUMNS)}",
        )
    files = list(zip(_column(table, "id"), _column(table, "filename"), strict=True))
    odd = [(line, name) for line, file in zip(table.index, files, strict=True) for name in file if not _is_plain(name)]
    offending = [f"line {line}: {name!r}" for line, name in odd]
    refuse(f"{path} has ids or file names that are no plain names", offending, "download the manifest from GDC again")
    return [_gdc_path(folder, file_id, filename, size_of) for file_id, filename in files]


def _as_named(folder: Path, cell: str, size_of: SizeOf) -> Path:
    """Blanks around a path belong to it where there is such a file."""
    exact = folder / path_of_text(cell)
    return exact if cell == cell.strip() or size_of(exact) is not None else folder / path_of_text(cell.strip())


def _sizes(path: Path, table: pd.DataFrame) -> list[int | None]:
    """The bytes that a GDC manifest gives for each file; None for each where it is another one."""
    if "path" in table:
        return [None] * len(table)
    cells = _column(table, "size")
    wrong = [
        f"line {line}: size {cell!r}" for line, cell in zip(table.index, cells, strict=True) if not _is_count(cell)
    ]
    refuse(f"{path} has sizes that are no number of bytes", wrong, "download the manifest from GDC again")
    return [int(cell) if cell else None for cell in cells]


def _is_count(cell: str) -> bool:
    return re.fullmatch(r"\d{0,18}", cell, re.ASCII) is not None


def _gdc_path(folder: Path, file_id: str, filename: str, size_of: SizeOf) -> Path:
    name = path_of_text(filename)
    as_downloaded, flat = folder / file_id / name, folder / name
    return flat if size_of(as_downloaded) is None and size_of(flat) is not None else as_downloaded


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\\" not in name and name.isprintable()


def _column(table: pd.DataFrame, name: str) -> list[str]:
    return [cell.strip() for cell in table[name]] if name in table else [""] * len(table)


def _wrong_cells(table: pd.DataFrame, cells: dict[str, list[str]]) -> list[str]:
    rules = {"slide_id": (is_slide_id, NAME_PATTERN), "patient_id": (str.isprintable, "printable characters")}
    rules |= {"mpp": (is_mpp, "a number above 0 and at most 100"), "site": (str.isprintable, "printable characters")}
    return [
        f"line {line}: {column} {cell!r} is not {rule}"
        for column, (is_right, rule) in rules.items()
        for line, cell in zip(table.index, cells[column], strict=True)
        if cell and not is_right(cell)
    ]


def is_slide_id(text: str) -> bool:
    """Whether the text may be a slide id: it becomes a file name, so no other text is accepted."""
    return _SLIDE_ID.fullmatch(text) is not None


def is_mpp(text: str) -> bool:
    """Whether the text is a resolution in µm per pixel, above 0 and at most 100."""
    try:
        return 0 < float(plain_number(text)) <= 100
    except ValueError:
        return False
