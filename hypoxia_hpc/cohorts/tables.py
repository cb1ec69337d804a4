"""``patients.csv`` and ``split.csv``: reading with every wrong cell named, and the text to write; the text of
``slides.csv``, which `slide_table` reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import plain_patient_id
from hypoxia_hpc.cohorts.csvfiles import csv_text, read_table
from hypoxia_hpc.cohorts.joining import COLUMNS as SLIDE_COLUMNS
from hypoxia_hpc.cohorts.labelling import plain_labels, renamed
from hypoxia_hpc.cohorts.placeholders import is_shortened
from hypoxia_hpc.cohorts.splits import SETS, UNLABELLED
from hypoxia_hpc.cohorts.textfiles import refuse, unguard
from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Label, Patient

SHORTENED = "is a number that a spreadsheet has shortened: keep ids as text"
_FOLD = re.compile(r"\d{1,4}", re.ASCII)


def read_md5(path: Path) -> dict[str, frozenset[str]]:
    """What slides.csv says of the MD5 of a slide's files, by slide id; only of slides of which it says any."""
    table = _read(path, ("slide_id",), ("md5", "patient_id"))
    cells = zip(table["slide_id"], table["md5"], strict=True)
    return {slide_id: frozenset(cell.lower().split()) for slide_id, cell in cells if cell}


def read_patient_table(
    path: Path, patient_column: str | None = None, label_column: str | None = None, *, outcome: Outcome = BINARY
) -> pd.DataFrame:
    """patients.csv, or a table of the user's with these columns for ``patient_id`` and the column of the outcome, with
    all its columns as text, validated as `read_patients` says; words for two classes become 0 and 1."""
    return _patient_table(path, outcome, patient_column, label_column)[0]


def read_patients(path: Path, outcome: Outcome = BINARY) -> tuple[Patient, ...]:
    """The patients in the table's order; the label is what ``outcome`` reads in its columns. Raises InputError with
    every label that it refuses, every empty id, every patient that occurs twice (with its labels)."""
    table, labels = _patient_table(path, outcome)
    return tuple(
        Patient(patient_id, label, tumour_type)
        for patient_id, label, tumour_type in zip(table["patient_id"], labels, table["tumour_type"], strict=True)
    )


def _patient_table(
    path: Path, outcome: Outcome, patient_column: str | None = None, label_column: str | None = None
) -> tuple[pd.DataFrame, list[Label | None]]:
    columns = outcome.table.columns
    theirs = {"patient_id": patient_column, **({} if label_column is None else {columns[0]: label_column})}
    required = [patient_column or "patient_id", *(columns if label_column is None else [label_column])]
    numbers = [theirs.get(name) or name for name in outcome.numbers]
    table = _read(path, required, ("tumour_type",), theirs, numbers)
    if outcome == BINARY:
        table["label"] = plain_labels(table["label"])
    offending = _wrong(table, "patient_id", ~_is_id(table["patient_id"]), "is empty or not printable")
    offending += _wrong(table, "patient_id", table["patient_id"].map(is_shortened), SHORTENED)
    labels: list[Label | None] = []
    for line, cells in zip(table.index, table[list(columns)].itertuples(index=False, name=None), strict=True):
        try:
            labels.append(outcome.parse(cells))
        except ValueError as broken:
            offending.append(f"line {line}: {', '.join(map(_named, columns, cells))} {broken}")
    offending += _repeated(table, table["patient_id"], "patient", columns)
    refuse(
        f"{path} has {some(len(offending), 'wrong entry')}",
        offending,
        f"give each patient one row with {' and '.join(columns)}, or nothing where it is not known; what they mean is "
        f"in [outcome] of run.toml{outcome.hint}",
    )
    return table.reset_index(drop=True), labels


def _named(column: str, cell: str) -> str:
    return f"{column} {cell!r}"


def read_split(path: Path) -> pd.DataFrame:
    """split.csv: patient_id (text), fold (int64, from 0), set (train, valid, test or unlabelled). Raises InputError
    with every wrong cell and every patient that occurs twice in one fold."""
    table = _read(path, ("patient_id", "fold", "set"))[["patient_id", "fold", "set"]]
    sets = (*SETS, UNLABELLED)
    offending = _wrong(table, "patient_id", ~_is_id(table["patient_id"]), "is empty or not printable")
    offending += _wrong(table, "fold", ~table["fold"].str.fullmatch(_FOLD), "is not a whole number from 0 to 9999")
    offending += _wrong(table, "set", ~table["set"].isin(sets), f"is none of {', '.join(sets)}")
    offending += _repeated(table, table["fold"] + " " + table["patient_id"], "fold and patient", ("set",))
    refuse(f"{path} has {some(len(offending), 'wrong entry')}", offending, "delete the table and train again")
    return table.astype({"fold": "int64"}).reset_index(drop=True)


def slides_csv(slides: pd.DataFrame) -> str:
    """The text of slides.csv from the slides of a `SlideTable`, with its other columns behind, sorted by slide_id."""
    others = [name for name in slides.columns if name not in SLIDE_COLUMNS]
    return _sorted_csv(slides, [*SLIDE_COLUMNS, *others], "slide_id")


def patients_csv(patients: pd.DataFrame) -> str:
    """The text of patients.csv: patient_id, label, then the other columns as they come; sorted by patient_id."""
    columns = [name for name in ("patient_id", "label") if name in patients]
    return _sorted_csv(patients, [*columns, *(name for name in patients.columns if name not in columns)], "patient_id")


def split_csv(split: pd.DataFrame) -> str:
    """The text of split.csv, sorted by patient_id."""
    return _sorted_csv(split, ("patient_id", "fold", "set"), "patient_id")


def _sorted_csv(frame: pd.DataFrame, columns: Sequence[str], key: str) -> str:
    return csv_text(frame[list(columns)].astype(object).sort_values(key, kind="stable"))


def read_columns(path: Path) -> pd.DataFrame:
    """slides.csv or patients.csv as it is, all its columns as text, for rows that stay as they are."""
    return _read(path, ("patient_id",))


def _read(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    theirs: Mapping[str, str | None] | None = None,
    numbers: Sequence[str] = (),
) -> pd.DataFrame:
    """The table without blanks around values, patients by their TCGA-XX-XXXX where they have one; an optional column
    that it lacks is empty. ``theirs``: a user's columns by our names."""
    table = read_table(path, required, optional, numbers).map(unguard).rename(columns=unguard)
    table = renamed(table, theirs or {})
    for column in table.columns.difference(["path", "name"]):
        table[column] = table[column].str.strip().map(composed)
    table["patient_id"] = table["patient_id"].map(plain_patient_id)
    return table.assign(**{name: "" for name in optional if name not in table})


def _is_id(column: pd.Series[str]) -> pd.Series[bool]:
    return column.map(lambda text: text != "" and text.isprintable())


def _wrong(table: pd.DataFrame, column: str, is_wrong: pd.Series[bool], rule: str) -> list[str]:
    return [f"line {line}: {column} {cell!r} {rule}" for line, cell in table.loc[is_wrong, column].items()]


def _repeated(table: pd.DataFrame, key: pd.Series[str], noun: str, values: Sequence[str] = ()) -> list[str]:
    offending = []
    for name, rows in table[key.duplicated(keep=False) & (key != "")].groupby(key):
        item = f"{noun} {name!r} occurs on lines {some_names([str(line) for line in rows.index])}"
        said = " and ".join(f"{value} {some_names([repr(cell) for cell in rows[value]])}" for value in values)
        offending.append(f"{item} with {said}" if said else item)
    return offending
