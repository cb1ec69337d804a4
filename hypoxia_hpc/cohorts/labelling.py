"""What is known of the patients of a cohort: from a user's own table, or from the manifest of the slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.errors import some_names
from hypoxia_hpc.outcomes.binary import WORDS
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Patient

# Words for the two classes of the default [outcome].
DEFAULT_WORDS = {**WORDS, **{name: number for number, name in enumerate(BINARY.table.classes)}}


def plain_labels(column: pd.Series[str]) -> pd.Series[str]:
    """The labels as 0 and 1 where every one of them is a word for that; else as they are."""
    words = column.str.strip()
    known = words.str.casefold().isin([*DEFAULT_WORDS, ""])
    return words.map(lambda word: str(DEFAULT_WORDS.get(word.casefold(), ""))) if known.all() else words


def renamed(table: pd.DataFrame, columns: Mapping[str, str | None]) -> pd.DataFrame:
    """The table with a user's columns under our names. ``columns``: the user's column by our name, None where that has
    our name. A column of the user's that has our name, and means something else, gets ``other_`` in front of it."""
    theirs = {column: name for name, column in columns.items() if column is not None and column != name}
    others = {name: f"other_{name}" for name in theirs.values() if name not in theirs}
    return table.rename(columns={**others, **theirs})


def said_of(outcome: Outcome) -> tuple[str, ...]:
    """What a manifest of slides can say of patients: an outcome of one column, and the tumour type."""
    return ("label", "tumour_type") if len(outcome.table.columns) == 1 else ("tumour_type",)


def patients_said(said: pd.DataFrame, outcome: Outcome = BINARY, *, of_images: bool = False) -> pd.DataFrame | None:
    """patient_id, the outcome's column and, where any is known, tumour_type of each patient, by what a manifest says of
    its slides; None where it says neither. ``said``: patient_id, slide_id, label, tumour_type of each slide, or, with
    ``of_images``, of each image in a folder, by its table or path.

    Raises InputError with every patient whose slides or images have different labels or tumour types.
    """
    columns = outcome.table.columns
    names = [name for name in said_of(outcome) if said[name].str.strip().any()]
    if not names:
        return None
    labels = plain_labels(said["label"]) if outcome == BINARY else said["label"].str.strip()
    rows = said.assign(label=labels, tumour_type=said["tumour_type"].str.strip())
    found = {name: {str(each): _values(mine) for each, mine in rows.groupby("patient_id")[name]} for name in names}
    what, where = ("images", "the table or the paths of images") if of_images else ("slides", "the manifest")
    refuse(
        f"patients whose {what} have different values in {where}",
        [
            f"patient {patient_id}: {name} {some_names(values)}"
            for name, by_patient in found.items()
            for patient_id, values in by_patient.items()
            if len(values) > 1
        ],
        f"give all {what} of a patient one value, or leave it empty",
    )
    patient_ids = sorted(set(rows["patient_id"]))
    theirs = {name: [_only(by_patient[each]) for each in patient_ids] for name, by_patient in found.items()}
    label = theirs.pop("label", "")
    return pd.DataFrame({"patient_id": patient_ids, **dict.fromkeys(columns, label), **theirs})


def patients_in(table: pd.DataFrame, outcome: Outcome) -> tuple[Patient, ...]:
    """The patients of a table of text with patient_id and the outcome's columns. Raises InputError with every label
    that the outcome refuses."""
    columns = list(outcome.table.columns)
    types = table["tumour_type"] if "tumour_type" in table else [""] * len(table)
    found, offending = [], []
    for patient_id, kind, *cells in zip(table["patient_id"], types, *(table[name] for name in columns), strict=True):
        try:
            found.append(Patient(patient_id, outcome.parse(cells), kind))
        except ValueError as broken:
            said = ", ".join(f"{name} {cell!r}" for name, cell in zip(columns, cells, strict=True))
            offending.append(f"patient {patient_id}: {said} {broken}")
    refuse(
        "patients with a label that is none", offending, "mend it, or leave the cell empty; see [outcome] of run.toml"
    )
    return tuple(found)


def balance(patients: Sequence[Patient], outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    """What the outcome says of the labels of each tumour type, beside how many patients and how many without a label
    there are, as a header and rows; the last row is all of them."""
    kinds = sorted({each.tumour_type for each in patients})
    groups = [(kind or "not known", [each for each in patients if each.tumour_type == kind]) for kind in kinds]
    header = ["tumour type", "patients", *outcome.balance_columns, "no label"]
    return header, [
        _counted(name, mine, outcome) for name, mine in (*(groups if len(groups) > 1 else []), ("all", patients))
    ]


def _counted(name: str, patients: Sequence[Patient], outcome: Outcome) -> list[str]:
    labels = [each.label for each in patients if each.label is not None]
    return [name, f"{len(patients):,}", *outcome.balance(labels), f"{len(patients) - len(labels):,}"]


def _values(column: pd.Series[str]) -> list[str]:
    return sorted(set(column) - {""})


def _only(values: Sequence[str]) -> str:
    return values[0] if values else ""
