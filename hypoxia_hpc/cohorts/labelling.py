"""What is known of the patients of a cohort: from a user's own table, or from the manifest of the slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import refuse
from hypoxia_hpc.errors import some_names
from hypoxia_hpc.outcomes.binary import WORDS


def plain_labels(column: pd.Series[str]) -> pd.Series[str]:
    """The labels as 0 and 1 where every one of them is a word for that; else as they are."""
    words = column.str.strip()
    known = words.str.casefold().isin([*WORDS, ""])
    return words.map(lambda word: str(WORDS.get(word.casefold(), ""))) if known.all() else words


def renamed(table: pd.DataFrame, columns: Mapping[str, str | None]) -> pd.DataFrame:
    """The table with a user's columns under our names. ``columns``: the user's column by our name, None where that has
    our name. A column of the user's that has our name, and means something else, gets ``other_`` in front of it."""
    theirs = {column: name for name, column in columns.items() if column is not None and column != name}
    others = {name: f"other_{name}" for name in theirs.values() if name not in theirs}
    return table.rename(columns={**others, **theirs})


def patients_said(said: pd.DataFrame) -> pd.DataFrame | None:
    """patient_id, label and, where any is known, tumour_type of each patient, by what a manifest says of its slides;
    None where it says neither. ``said``: patient_id, slide_id, label, tumour_type of each slide.

    Raises InputError with every patient whose slides have different labels or tumour types.
    """
    names = [name for name in ("label", "tumour_type") if said[name].str.strip().any()]
    if not names:
        return None
    rows = said.assign(label=plain_labels(said["label"]), tumour_type=said["tumour_type"].str.strip())
    found = {name: {str(each): _values(mine) for each, mine in rows.groupby("patient_id")[name]} for name in names}
    refuse(
        "patients whose slides have different values in the manifest",
        [
            f"patient {patient_id}: {name} {some_names(values)}"
            for name, by_patient in found.items()
            for patient_id, values in by_patient.items()
            if len(values) > 1
        ],
        "give all slides of a patient one value, or leave the cell empty",
    )
    patient_ids = sorted(set(rows["patient_id"]))
    columns = {name: [_only(by_patient[each]) for each in patient_ids] for name, by_patient in found.items()}
    return pd.DataFrame({"patient_id": patient_ids, "label": "", **columns})


def balance(patients: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """How many patients of each tumour type have which label, as a header and rows; the last row is all of them."""
    labels = patients["label"].astype(str)
    values = [value for value in sorted(set(labels)) if value]
    types = patients["tumour_type"].astype(str) if "tumour_type" in patients else pd.Series("", patients.index)
    names = sorted(set(types))
    groups = [(name or "not known", labels[types == name]) for name in names] if len(names) > 1 else []
    header = ["tumour type", "patients", *(f"label {value}" for value in values), "no label"]
    return header, [_counted(name, mine, values) for name, mine in (*groups, ("all", labels))]


def _counted(name: str, labels: pd.Series[str], values: Sequence[str]) -> list[str]:
    return [name, str(len(labels)), *(str(int((labels == value).sum())) for value in (*values, ""))]


def _values(column: pd.Series[str]) -> list[str]:
    return sorted(set(column) - {""})


def _only(values: Sequence[str]) -> str:
    return values[0] if values else ""
