"""What the GDC portal lets a user download beside slides: manifests, sample sheets, metadata in JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import parse_barcode, plain_patient_id
from hypoxia_hpc.cohorts.sniffing import decoded
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.reading import MOST_LIST_BYTES, UnfitFileError, parsed_json, read_plain

MANIFEST_COLUMNS = ("id", "filename")
MANIFEST_OTHERS = ("size", "md5", "state")
SHEET_COLUMNS = ("File ID", "File Name")
SHEET_OTHERS = (
    *("Data Category", "Data Type", "Project ID", "Case ID", "Sample ID", "Sample Type"),
    *("Tissue Type", "Tumor Descriptor", "Specimen Type", "Preservation Method"),
)
AGAIN = "download it from GDC again"
_COUNT, _MD5 = re.compile(r"\d{0,18}", re.ASCII), re.compile(r"([0-9a-f]{32})?", re.ASCII)
_FROZEN = ("frozen", "oct")


@dataclass(frozen=True, slots=True)
class GdcFile:
    """A file as GDC lists it; what a list does not say is empty or None. ``sample``: tumour, normal or control;
    ``preparation``: diagnostic or frozen; ``tumour_type``: the project without its programme, as COAD."""

    file_id: str
    filename: str
    nbytes: int | None = None
    md5: str = ""
    patient_id: str = ""
    sample: str = ""
    preparation: str = ""
    tumour_type: str = ""


def files_of_table(path: Path, table: pd.DataFrame) -> list[GdcFile] | None:
    """The rows of a manifest or sample sheet; None where the table is neither. Raises InputError with every wrong
    cell."""
    if set(MANIFEST_COLUMNS) <= set(table.columns):
        return _of_manifest(path, table)
    return _of_sheet(path, table) if set(SHEET_COLUMNS) <= set(table.columns) else None


def files_of_json(path: Path) -> list[GdcFile]:
    """The files of a metadata JSON (``metadata.cart.*.json``). Raises InputError: no such file, no such JSON, every
    wrong entry."""
    try:
        entries = parsed_json(path, decoded(read_plain(path, MOST_LIST_BYTES)))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", remedy="check the path") from None
    except UnfitFileError as error:
        raise InputError(error.problem, remedy=AGAIN) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no JSON: {error}", remedy=AGAIN) from None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InputError(f"{path} is no list of files", remedy="give the metadata that the GDC portal's cart offers")
    lines = [f"entry {number}" for number in range(1, len(entries) + 1)]
    files = [_of_entry(each) for each in entries]
    _check(path, lines, files)
    return files


def _of_manifest(path: Path, table: pd.DataFrame) -> list[GdcFile]:
    sizes, md5s = _column(table, "size"), [cell.lower() for cell in _column(table, "md5")]
    lines = [f"line {line}" for line in table.index]
    rules = (("size", sizes, _COUNT, "a number of bytes"), ("md5", md5s, _MD5, "32 digits 0-9 and a-f"))
    refuse(
        f"{path} has wrong cells",
        [
            f"{line}: {name} {cell!r} is not {what}"
            for name, cells, pattern, what in rules
            for line, cell in zip(lines, cells, strict=True)
            if not pattern.fullmatch(cell)
        ],
        AGAIN,
    )
    names = zip(_column(table, "id"), _column(table, "filename"), sizes, md5s, strict=True)
    files = [GdcFile(file_id, name, int(size) if size else None, md5) for file_id, name, size, md5 in names]
    _check(path, lines, files)
    return files


def _of_sheet(path: Path, table: pd.DataFrame) -> list[GdcFile]:
    columns = (
        *SHEET_COLUMNS,
        "Case ID",
        "Sample ID",
        "Tissue Type",
        "Sample Type",
        "Preservation Method",
        "Project ID",
    )
    rows = zip(*(_column(table, name) for name in columns), strict=True)
    lines = [f"line {line}" for line in table.index]
    files, offending = [], []
    for line, (file_id, name, case, sample_id, tissue, sample_type, method, project) in zip(lines, rows, strict=True):
        patients = sorted({plain_patient_id(one) for one in case.split(",") if one.strip()})
        if len(patients) > 1:
            offending.append(f"{line}: {name} is of {', '.join(patients)}")
        kind = _sample(sample_id, tissue or sample_type)
        patient = patients[0] if patients else ""
        files.append(GdcFile(file_id, name, None, "", patient, kind, _prepared(method), _type(project)))
    refuse(f"{path} has files of several patients", offending, "leave these rows out")
    _check(path, lines, files)
    return files


def _of_entry(entry: dict[str, Any]) -> GdcFile:
    """Where an entry has no text or number, it says nothing."""
    entity, case = _first(entry.get("associated_entities")), _first(entry.get("cases"))
    sample, barcode = _first(case.get("samples")), _text(entity.get("entity_submitter_id"))
    known = parse_barcode(barcode)
    patient = known.patient_id if known else _text(case.get("submitter_id")) or _text(entity.get("case_id"))
    project = case.get("project")
    size = entry.get("file_size")
    return GdcFile(
        _text(entry.get("file_id")),
        _text(entry.get("file_name")),
        size if isinstance(size, int) else None,
        _text(entry.get("md5sum")).lower(),
        plain_patient_id(patient),
        _sample(barcode, _text(sample.get("tissue_type")) or _text(sample.get("sample_type"))),
        _prepared(_text(sample.get("preservation_method"))),
        _type(_text(project.get("project_id"))) if isinstance(project, dict) else "",
    )


def _check(path: Path, lines: Sequence[str], files: Sequence[GdcFile]) -> None:
    """Names become paths: nothing but plain ones."""
    odd = [f"{line}: {name!r}" for line, each in zip(lines, files, strict=True) for name in _names(each)]
    refuse(f"{path} has ids or file names that are no plain names", odd, AGAIN)
    wrong = [f"{line}: {each.md5!r}" for line, each in zip(lines, files, strict=True) if not _MD5.fullmatch(each.md5)]
    refuse(f"{path} has md5 that are none", wrong, AGAIN)


def _names(each: GdcFile) -> list[str]:
    return [name for name in (each.file_id, each.filename) if not _is_plain(name)]


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\\" not in name and name.isprintable()


def _sample(barcode: str, words: str) -> str:
    """By the barcode of the sample; else by GDC's words: "Primary Tumor", "Solid Tissue Normal", "Tumor", ..."""
    known = parse_barcode(barcode.partition(",")[0].strip())
    if known is not None and known.sample:
        return known.sample
    text = words.lower()
    if "control" in text:
        return "control"
    tumour = ("tumor", "tumour", "metastatic", "recurrent", "primary", "cancer")
    return "normal" if "normal" in text else "tumour" if any(word in text for word in tumour) else ""


def _prepared(method: str) -> str:
    text = method.lower()
    return "diagnostic" if "ffpe" in text else "frozen" if any(word in text for word in _FROZEN) else ""


def _type(project: str) -> str:
    return project.partition("-")[2] if project.startswith("TCGA-") else ""


def _first(entries: object) -> dict[str, Any]:
    first = entries[0] if isinstance(entries, list) and entries else None
    return first if isinstance(first, dict) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _column(table: pd.DataFrame, name: str) -> list[str]:
    return [cell.strip() for cell in table[name]] if name in table else [""] * len(table)
