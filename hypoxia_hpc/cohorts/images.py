"""Tables of images: a user's key table or a pattern of paths -> which image is of which patient; and ``images.csv``.

Without pandas where ``images.csv`` is read: every worker of ``tile`` starts with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hypoxia_hpc.cohorts.barcodes import alike, plain_patient_id
from hypoxia_hpc.cohorts.textfiles import TextTable, read_rows, refuse, unguard
from hypoxia_hpc.config.image_paths import below, parsed_path
from hypoxia_hpc.config.source import SourceTable
from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.errors import InputError, some, some_names
from hypoxia_hpc.records import ImagePart, Slide

COLUMNS = ("slide_id", "path", "series")
# Only a run that goes by series has them.
SERIES_COLUMNS = ("plane", "slices")
PLANES = ("", "unknown", "axial", "coronal", "sagittal")
_SLICES = re.compile(r"(\d{1,6})-(\d{1,6})", re.ASCII)
# What a column of sets and fastai's column of validation say, by the names of our sets.
SETS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid"}
SETS |= {"test": "test", "testing": "test"}
VALID = {"true": "valid", "1": "valid", "1.0": "valid", "false": "train", "0": "train", "0.0": "train"}


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image: the patient, its path below the folder of images (with ``/``), and as far as it is known its series,
    what [outcome] asks of the patient, and the patient's set (train, valid, test); ``line`` of the table, 0 without.
    ``plane`` and ``slices`` as in `ImagePart`."""

    patient_id: str
    path: str
    series: str = ""
    label: str = ""
    set: str = ""
    line: int = 0
    plane: str = ""
    slices: tuple[int, int] | None = None


def read_key_table(path: Path, folder: Path, names: SourceTable, *, has_sets: bool = True) -> list[ImageRow]:
    """The rows of a user's table of images; ``names`` says what its columns are called, of which those of labels and
    sets may be missing. ``has_sets`` off: what it says of sets is not read.

    Raises InputError: for what `read_rows` refuses, empty patients, paths that leave ``folder``, words that are no
    set, an image in several rows, and what `refuse_contradictions` refuses.
    """
    table = read_rows(
        path,
        (names.patient_column, names.path_column),
        (names.label_column, names.set_column, names.valid_column, names.series_column),
    )
    patients = [plain_patient_id(cell) for cell in _cells(table, names.patient_column)]
    paths = [below(cell, folder) for cell in _cells(table, names.path_column)]
    sets, strange = _sets(table, names) if has_sets else ([""] * len(table.rows), [])
    cells = list(zip(table.lines, patients, _cells(table, names.path_column), paths, strict=True))
    offending = list(_wrong_cells(cells, names))
    of_paths = "; paths are relative to the folder that --images names, and stay below it" if offending else ""
    remedy = f"mend these rows{of_paths}"
    refuse(f"{path} has {some(len(offending) + len(strange), 'wrong cell')}", [*offending, *strange], remedy)
    labels, series = _cells(table, names.label_column), _cells(table, names.series_column)
    refuse(
        f"{path}: {names.series_column} that is not printable",
        [f"line {line}" for line, cell in zip(table.lines, series, strict=True) if not cell.isprintable()],
        "mend these rows",
    )
    rows = [
        ImageRow(name, found, of_series, label, of_set, line)
        for (line, name, _, found), label, of_set, of_series in zip(cells, labels, sets, series, strict=True)
        if found is not None
    ]
    refuse_contradictions(rows, str(path))
    return rows


def _wrong_cells(cells: Iterable[tuple[int, str, str, str | None]], names: SourceTable) -> Iterator[str]:
    """``cells``: line, patient, path as it is written and as it is below the folder, None where it is none."""
    for line, name, cell, found in cells:
        if not (name and name.isprintable()):
            yield f"line {line}: {names.patient_column} is empty or not printable"
        if found is None:
            yield f"line {line}: {names.path_column} {cell!r} is no path below the folder of images"


def _cells(table: TextTable, column: str) -> list[str]:
    """Without blanks around them; empty ones of a column that the table lacks."""
    if column not in table.columns:
        return [""] * len(table.rows)
    return [composed(unguard(cell).strip()) for cell in table.cells(column)]


def _sets(table: TextTable, names: SourceTable) -> tuple[list[str], list[str]]:
    """The set of each row, empty where it says none; and what is no set."""
    column = names.set_column if names.set_column in table.columns else names.valid_column
    known = SETS if column == names.set_column else VALID
    cells = _cells(table, column)
    strange = [
        f"line {line}: {column} {cell!r} is none of {', '.join(sorted(known))}"
        for line, cell in zip(table.lines, cells, strict=True)
        if cell and cell.casefold() not in known
    ]
    return [known.get(cell.casefold(), "") for cell in cells], strange


def rows_by_pattern(paths: Iterable[str], pattern: str) -> tuple[list[ImageRow], list[str]]:
    """What a pattern says of paths below the folder, and the paths that do not fit it. Raises InputError where none
    fits, and as `refuse_contradictions`."""
    rows, others = [], []
    for path in paths:
        found = parsed_path(pattern, PurePosixPath(path))
        if found is None:
            others.append(path)
            continue
        patient = plain_patient_id(found["patient"])
        rows.append(ImageRow(patient, path, found.get("series", ""), composed(found.get("label", ""))))
    if not rows:
        raise InputError(
            f"no image fits the pattern {pattern!r}",
            offending=others,
            remedy="give --images-pattern as the paths below the folder are made, without suffix",
        )
    refuse_contradictions(rows, f"the pattern {pattern!r}")
    return rows, others


def refuse_contradictions(rows: Sequence[ImageRow], source: str) -> None:
    """Raises InputError for images in several rows, for patients in several sets or with ids that differ only in case,
    separators or leading zeros."""
    lines: dict[str, list[ImageRow]] = {}
    for row in rows:
        lines.setdefault(row.path, []).append(row)
    refuse(
        f"{source}: images that stand in several rows",
        [
            f"{path!r}: lines {some_names([str(row.line) for row in same])}, patients "
            f"{some_names(sorted({row.patient_id for row in same}))}"
            for path, same in lines.items()
            if len(same) > 1
        ],
        "list each image once, under one patient",
    )
    refuse(
        f"{source}: patients whose images are in several sets",
        [f"patient {name}: {said}" for name, said in _several(rows, lambda row: row.set)],
        "put all images of a patient in one set: otherwise a model is tested on patients that it was trained on",
    )
    refuse(
        f"{source}: patients whose ids differ only in case, separators or leading zeros, so that one may count as "
        "several",
        [", ".join(map(repr, same)) for same in alike({row.patient_id for row in rows})],
        "write each patient's id in one way",
    )


def _several(rows: Sequence[ImageRow], said: Callable[[ImageRow], str]) -> list[tuple[str, str]]:
    """Patients whose images have several values, with each value and its first line."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if said(row):
            found.setdefault(row.patient_id, {}).setdefault(said(row), row.line)
    return [
        (name, ", ".join(f"{value} (line {line})" if line else value for value, line in values.items()))
        for name, values in sorted(found.items())
        if len(values) > 1
    ]


def sets_of(rows: Sequence[ImageRow]) -> dict[str, str]:
    """The set of each patient that has one, by id."""
    return {row.patient_id: row.set for row in rows if row.set}


def read_images(path: Path) -> Mapping[str, tuple[tuple[str, ImagePart], ...]]:
    """images.csv: paths below the folder of images, and what is said of each, by slide id, in the order of the table.
    Raises InputError for a path that leaves the folder, a plane or slices that are none, and as `read_rows`."""
    table = read_rows(path, COLUMNS[:2], (*COLUMNS[2:], *SERIES_COLUMNS))
    found: dict[str, list[tuple[str, ImagePart]]] = {}
    offending = []
    columns = [_cells(table, name) for name in ("slide_id", "series", *SERIES_COLUMNS)]
    for line, cell, slide_id, series, plane, slices in zip(
        table.lines, map(unguard, table.cells("path")), *columns, strict=True
    ):
        image = below(cell, Path("/")) if not cell.startswith("/") else None
        is_part = plane in PLANES and (not slices or _slices(slices) is not None)
        if image is None:
            offending.append(f"line {line}: path {cell!r} is no path below a folder")
        elif not is_part:
            offending.append(f"line {line}: plane {plane!r}, slices {slices!r}: give {_RULE}")
        else:
            found.setdefault(slide_id, []).append((image, ImagePart(series, plane, _slices(slices))))
    refuse(f"{path} has {some(len(offending), 'wrong cell')}", offending, "mend these rows, or make the run again")
    return {slide_id: tuple(images) for slide_id, images in found.items()}


_RULE = f"{', '.join(PLANES[1:])}, and the first and last slice as 0-154"


def _slices(cell: str) -> tuple[int, int] | None:
    """``0-154`` as [0, 155); None for what is no such text."""
    found = _SLICES.fullmatch(cell)
    if found is None or int(found[1]) > int(found[2]):
        return None
    return int(found[1]), int(found[2]) + 1


def slices_cell(slices: tuple[int, int] | None) -> str:
    """Slices as images.csv has them: the first and the last, empty for a file of one."""
    return "" if slices is None else f"{slices[0]}-{slices[1] - 1}"


def with_images(slides: Sequence[Slide], path: Path) -> tuple[Slide, ...]:
    """The slides with their images by images.csv. Raises InputError for a slide without any, and as `read_images`."""
    images = read_images(path)
    refuse(
        f"{path} has no image of slides that slides.csv has",
        [slide.slide_id for slide in slides if slide.slide_id not in images],
        "delete their rows in slides.csv, or make the run again",
    )
    return tuple(_with(slide, images[slide.slide_id]) for slide in slides)


def _with(slide: Slide, images: Sequence[tuple[str, ImagePart]]) -> Slide:
    paths, parts = zip(*images, strict=True)
    return replace(slide, images=paths, parts=parts)
