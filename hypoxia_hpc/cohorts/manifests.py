"""Manifests of slides: the user's own (CSV or TSV) or one of GDC, row by row into `Candidate` values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import plain_patient_id
from hypoxia_hpc.cohorts.csvfiles import read_table
from hypoxia_hpc.cohorts.gdc import (
    MANIFEST_COLUMNS,
    MANIFEST_OTHERS,
    SHEET_COLUMNS,
    SHEET_OTHERS,
    GdcFile,
    files_of_json,
    files_of_table,
)
from hypoxia_hpc.cohorts.placeholders import is_shortened, placeholders
from hypoxia_hpc.cohorts.slide_table import MPP_RULE, is_md5, is_mpp, is_slide_id
from hypoxia_hpc.cohorts.sniffing import plain_number
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config import NAME_PATTERN
from hypoxia_hpc.config.text_paths import composed, may_be_path, path_of_text, spellings
from hypoxia_hpc.errors import InputError, some

SizeOf = Callable[[Path], int | None]

_OWN_COLUMNS = ("path", "slide_id", "patient_id", "mpp", "site", "md5", "tumour_type")
_GDC_COLUMNS = (*MANIFEST_COLUMNS, *MANIFEST_OTHERS, *SHEET_COLUMNS, *SHEET_OTHERS)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may become a row of slides.csv. ``nbytes`` None: the file does not exist. ``mpp`` in µm per level 0
    pixel. ``nbytes_named`` and ``md5`` are what a manifest says of the file (of a DICOM series the MD5 of each file
    that it names, separated by blanks), ``sample`` (tumour, normal, control) and ``preparation`` (diagnostic, frozen)
    what a sample sheet says, ``label`` and ``tumour_type`` what it says of the patient, ``series`` the DICOM series
    that it is, ``named_by`` the file or folder whose name is the series' name, ``rows`` how many rows of a manifest
    name it, ``known_patient`` the one that a run has for it already, ``placeholder`` what its
    header has in place of a patient, ``left_out`` why it becomes none. What is not
    known is empty or None."""

    path: Path
    nbytes: int | None
    slide_id: str = ""
    patient_id: str = ""
    mpp: float | None = None
    site: str = ""
    nbytes_named: int | None = None
    series: str = ""
    left_out: str = ""
    md5: str = ""
    sample: str = ""
    preparation: str = ""
    label: str = ""
    tumour_type: str = ""
    named_by: Path | None = None
    rows: int = 1
    known_patient: str = ""
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a manifest, and the names of the columns that say nothing to `init`."""

    candidates: tuple[Candidate, ...]
    unused: tuple[str, ...] = ()


def read_manifest(
    path: Path,
    size_of: SizeOf,
    patient_column: str | None = None,
    label_column: str | None = None,
    *,
    label_is_number: bool = False,
) -> Manifest:
    """The rows of a manifest. ``size_of`` gives a file's bytes, None if it is missing.

    Columns: ``path`` (relative to the manifest) and, where known, ``slide_id``, ``patient_id`` (or the one that
    ``patient_column`` names), ``mpp``, ``site``, ``md5``, ``label`` (or ``label_column``), ``tumour_type``. A manifest,
    sample sheet or metadata JSON of GDC is taken as the GDC client lays its files out, ``<id>/<filename>`` beside it; a
    file that is missing there but lies directly beside it is taken from there. Raises InputError with every wrong row,
    also where a patient is a word for none.
    """
    if path.suffix.lower() == ".json" and path.is_file():
        return Manifest(tuple(_of_gdc(path, each, size_of) for each in files_of_json(path)))
    wanted = [name for name in (patient_column, label_column) if name is not None]
    patient_column, label_column = patient_column or "patient_id", label_column or "label"
    numbers = [label_column] if label_is_number else []
    table = read_table(path, wanted, [*_OWN_COLUMNS, "label", *_GDC_COLUMNS], numbers)
    cells = {name: _column(table, name) for name in ("slide_id", "mpp", "site", "md5", "tumour_type")}
    cells |= {"patient_id": _column(table, patient_column), "label": _column(table, label_column)}
    columns: tuple[str, ...] = _OWN_COLUMNS if "path" in table else _GDC_COLUMNS
    if "path" in table:
        found = _own(path, table, cells, size_of)
    else:
        found = _gdc(path, table, size_of)
        if patient_column not in table:
            cells["patient_id"] = [each.patient_id for each in found]
    _refuse_no_ids(path, table, cells["patient_id"])
    candidates = tuple(
        replace(each, patient_id=plain_patient_id(patient), label=label)
        for each, patient, label in zip(found, cells["patient_id"], cells["label"], strict=True)
    )
    used = {*columns, label_column, patient_column} - ({"patient_id"} if patient_column != "patient_id" else set())
    return Manifest(candidates, tuple(name for name in table.columns if name not in used))


def _own(path: Path, table: pd.DataFrame, cells: dict[str, list[str]], size_of: SizeOf) -> list[Candidate]:
    folder = path.absolute().parent
    wrong = [f"line {line}: path {cell!r}" for line, cell in table["path"].items() if not may_be_path(cell)]
    refuse(f"{path} has rows without a path", wrong, "give each row the path of its slide")
    wrong = _wrong_cells(table, cells)
    refuse(f"{path} has {some(len(wrong), 'wrong cell')}", wrong, "mend these rows, or leave the cell empty")
    files = [_as_named(folder, cell, size_of) for cell in table["path"]]
    columns = (cells[name] for name in ("slide_id", "mpp", "site", "md5", "tumour_type"))
    return [
        Candidate(
            path=file,
            nbytes=size_of(file),
            slide_id=slide_id,
            mpp=float(plain_number(mpp)) if mpp else None,
            site=site,
            md5=md5.lower(),
            tumour_type=tumour_type,
        )
        for file, slide_id, mpp, site, md5, tumour_type in zip(files, *columns, strict=True)
    ]


def _gdc(path: Path, table: pd.DataFrame, size_of: SizeOf) -> list[Candidate]:
    files = files_of_table(path, table)
    if files is None:
        raise InputError(
            f"{path} has the columns {list(table.columns)}",
            remedy=f"a manifest needs a column path, or is a GDC manifest with {list(MANIFEST_COLUMNS)} or a GDC "
            f"sample sheet with {list(SHEET_COLUMNS)}",
        )
    return [_of_gdc(path, each, size_of) for each in files]


def _of_gdc(path: Path, each: GdcFile, size_of: SizeOf) -> Candidate:
    file = _gdc_path(path.absolute().parent, each.file_id, each.filename, size_of)
    return Candidate(
        path=file,
        nbytes=size_of(file),
        patient_id=each.patient_id,
        nbytes_named=each.nbytes,
        md5=each.md5,
        sample=each.sample,
        preparation=each.preparation,
        tumour_type=each.tumour_type,
    )


def _as_named(folder: Path, cell: str, size_of: SizeOf) -> Path:
    """Blanks around a path and backslashes belong to it where there is such a file; so do the forms of its accents."""
    texts = dict.fromkeys((cell, cell.strip(), cell.strip().replace("\\", "/")))
    found = (_as_spelt(folder, text, size_of) for text in texts)
    return next((each for each in found if size_of(each) is not None), folder / path_of_text(cell.strip()))


def _as_spelt(folder: Path, text: str, size_of: SizeOf) -> Path:
    """The file that the text names, else one that looks alike: each folder of it may be in another form of Unicode."""
    path = folder / path_of_text(text)
    if text.isascii() or size_of(path) is not None:
        return path
    found = folder
    for part in Path(text).parts:
        paths = [found / path_of_text(spelt) for spelt in spellings(part)]
        found = next((each for each in paths if size_of(each) is not None), paths[0])
    return found


def _gdc_path(folder: Path, file_id: str, filename: str, size_of: SizeOf) -> Path:
    name = path_of_text(filename)
    as_downloaded, flat = folder / file_id / name, folder / name
    return flat if size_of(as_downloaded) is None and size_of(flat) is not None else as_downloaded


def _refuse_no_ids(path: Path, table: pd.DataFrame, patients: list[str]) -> None:
    found = placeholders(patients)
    refuse(
        f"{path} has patients whose id is a word for none, so that slides of several patients would be of one",
        [f"line {line}: patient {cell!r}" for line, cell in zip(table.index, patients, strict=True) if cell in found],
        "give the ids; where they are not known leave the cells empty, and each slide counts as a patient of its own",
    )
    refuse(
        f"{path} has patients whose id is a number that a spreadsheet has shortened",
        [
            f"line {line}: patient {cell!r}"
            for line, cell in zip(table.index, patients, strict=True)
            if is_shortened(cell)
        ],
        "take the ids from where the spreadsheet has them from, with their column as text",
    )


def _column(table: pd.DataFrame, name: str) -> list[str]:
    return [composed(cell.strip()) for cell in table[name]] if name in table else [""] * len(table)


def _wrong_cells(table: pd.DataFrame, cells: dict[str, list[str]]) -> list[str]:
    printable = (str.isprintable, "printable characters")
    rules = {"slide_id": (is_slide_id, NAME_PATTERN), "patient_id": printable}
    rules |= {"mpp": (is_mpp, MPP_RULE), "site": printable, "tumour_type": printable}
    rules |= {"md5": (is_md5, "32 digits 0-9 and a-f"), "label": printable}
    return [
        f"line {line}: {column} {cell!r} is not {rule}"
        for column, (is_right, rule) in rules.items()
        for line, cell in zip(table.index, cells[column], strict=True)
        if cell and not is_right(cell)
    ]
