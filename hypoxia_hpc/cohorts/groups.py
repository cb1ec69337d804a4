"""Which patients belong together, by a column of a run's tables: those of one hospital, one scanner, one family."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import parse_barcode
from hypoxia_hpc.cohorts.csvfiles import read_table
from hypoxia_hpc.cohorts.textfiles import refuse, unguard
from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.errors import InputError

SITE = "site"


def read_groups(tables: Sequence[Path], column: str, patient_ids: Collection[str]) -> dict[str, str]:
    """The group of each patient, by a column of these tables (those that are there). Raises as `groups_in`."""
    return groups_in(_frames(tables), column, patient_ids)


def groups_in(tables: Mapping[str, pd.DataFrame], column: str, patient_ids: Collection[str]) -> dict[str, str]:
    """The group of each patient, by a column of these tables of text, by their names; all have ``patient_id``.

    For ``site``, a patient without a value takes the tissue source site of its TCGA barcode. Raises InputError where no
    table has the column, with those that they have; and with every patient that has no value.
    """
    values = _values_in(tables, column, patient_ids)
    refuse(
        f"patients without a value of {column}, so nothing says whom they belong to ([train] keep_together)",
        sorted(set(patient_ids) - set(values)),
        f"fill in the column {column} of {' or '.join(tables)} for them, or empty their labels",
    )
    return joined(values)


def said_groups(tables: Sequence[Path], column: str, patient_ids: Iterable[str]) -> dict[str, list[str]]:
    """The values of each patient that has some, as `read_groups` takes them. Raises InputError where no table has the
    column, but for ``site``."""
    return _values_in(_frames(tables), column, patient_ids)


def _frames(tables: Sequence[Path]) -> dict[str, pd.DataFrame]:
    return {path.name: _read(path) for path in tables if path.exists()}


def _values_in(tables: Mapping[str, pd.DataFrame], column: str, patient_ids: Iterable[str]) -> dict[str, list[str]]:
    having = [frame for frame in tables.values() if column in frame]
    if not having and column != SITE:
        known = sorted({name for frame in tables.values() for name in frame.columns} - {"patient_id"})
        raise InputError(
            f"[train] keep_together = {column!r} is no column of {' or '.join(tables)}",
            remedy=f"add the column, or choose one of: {', '.join(known)}",
        )
    said = [_said(frame, column) for frame in having]
    values = {patient_id: _values(patient_id, column, said) for patient_id in sorted(set(patient_ids))}
    return {patient_id: found for patient_id, found in values.items() if found}


def joined(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The group of each patient. Values that a patient has both of, as of slides from two hospitals, are one group:
    their names with a plus sign between them."""
    leader = {value: value for found in values.values() for value in found}

    def first(value: str) -> str:
        while leader[value] != value:
            value = leader[value]
        return value

    for found in values.values():
        for value in found[1:]:
            low, high = sorted((first(found[0]), first(value)))
            leader[high] = low
    names: dict[str, list[str]] = {}
    for value in sorted(leader):
        names.setdefault(first(value), []).append(value)
    return {patient_id: "+".join(names[first(found[0])]) for patient_id, found in values.items()}


def _read(path: Path) -> pd.DataFrame:
    table = read_table(path, ("patient_id",)).map(unguard).rename(columns=unguard)
    return table.map(str.strip).map(composed)


def _said(frame: pd.DataFrame, column: str) -> dict[str, list[str]]:
    """The values of each patient, sorted; case does not count."""
    found: dict[str, set[str]] = {}
    for patient_id, value in zip(frame["patient_id"], frame[column], strict=True):
        if value:
            found.setdefault(patient_id, set()).add(value.casefold())
    return {patient_id: sorted(values) for patient_id, values in found.items()}


def _values(patient_id: str, column: str, said: Sequence[Mapping[str, list[str]]]) -> list[str]:
    """What the first table says that says something."""
    found = next((one[patient_id] for one in said if patient_id in one), [])
    barcode = parse_barcode(patient_id) if column == SITE and not found else None
    return found if barcode is None else [barcode.site.casefold()]
