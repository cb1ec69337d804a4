"""A run's tables with slides and patients that have come since; rows that are there stay as they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config.text_paths import is_there, path_of_text


@dataclass(frozen=True, eq=False)
class Grown:
    """``table``: the rows that were there and the ``added`` ones. Of those that were there: ``filled`` got a value in
    an empty cell, ``kept`` have a value although the new table has another, ``unnamed`` are not named any more,
    ``excluded`` are those of them that patterns leave out, and ``moved`` are where they are found now, since they are
    not where they were."""

    table: pd.DataFrame
    added: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def grown_slides(there: pd.DataFrame, found: pd.DataFrame, in_place: Collection[str]) -> Grown:
    """slides.csv with the slides of ``found`` that it lacks. Both have slide_id, path and patient_id as text, and other
    columns; a slide is the same by its id (see `with_known_ids`). ``in_place``: ids whose file is where ``there`` says.

    Raises InputError for slides that are neither named nor there any more, for a slide that is found under another
    patient, and for an id that is another slide's but for case.
    """
    ids, found_ids = set(there["slide_id"]), set(found["slide_id"])
    unnamed = sorted(ids - found_ids)
    refuse(
        "slides of slides.csv that are neither found nor there any more",
        [name for name in unnamed if name not in in_place],
        "bring their files back, name them in the manifest, or delete their rows",
    )
    new = found[~found["slide_id"].isin(ids)]
    taken = {name.lower() for name in ids}
    clash = [name for name in new["slide_id"] if name.lower() in taken]
    refuse("new slides with an id that slides.csv has", clash, "give them ids of their own: a manifest with slide_id")
    _refuse_other_patients(there, found)
    paths = zip(found["slide_id"], found["path"], strict=True)
    lost = ids - set(in_place)
    moved = {name: path for name, path in paths if name in lost and is_there(path_of_text(path))}
    kept = there.assign(
        path=[moved.get(name, path) for name, path in zip(there["slide_id"], there["path"], strict=True)]
    )
    added = tuple(sorted(new["slide_id"]))
    return Grown(_joined(kept, new), added, unnamed=tuple(unnamed), moved=tuple(sorted(moved)))


def _refuse_other_patients(there: pd.DataFrame, found: pd.DataFrame) -> None:
    patients = dict(zip(there["slide_id"], there["patient_id"], strict=True))
    others = [
        f"{name}: {patients[name]} in slides.csv, {patient_id} now"
        for name, patient_id in zip(found["slide_id"], found["patient_id"], strict=True)
        if name in patients and patients[name] != patient_id
    ]
    refuse(
        "slides that are found under another patient", others, "mend slides.csv, or the table or names of the slides"
    )


def grown_patients(there: pd.DataFrame, found: pd.DataFrame) -> Grown:
    """patients.csv with the patients of ``found`` that it lacks; empty cells of those it has are filled. Both have
    patient_id and other columns as text."""
    known = found.set_index("patient_id")
    table = there.copy()
    for name in [name for name in known.columns if name not in table]:
        table[name] = ""
    filled, kept = set(), set()
    for name in known.columns:
        new = table["patient_id"].map(known[name]).fillna("")
        old = table[name]
        filled |= set(table.loc[(old == "") & (new != ""), "patient_id"])
        kept |= set(table.loc[(old != "") & (new != "") & (old != new), "patient_id"])
        table[name] = old.where(old != "", new)
    added = found[~found["patient_id"].isin(there["patient_id"])]
    names = tuple(sorted(added["patient_id"]))
    return Grown(_joined(table, added), names, tuple(sorted(filled)), tuple(sorted(kept)))


def _joined(there: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    columns = [*there.columns, *(name for name in new.columns if name not in there)]
    return pd.concat([there, new], ignore_index=True).reindex(columns=columns).astype(object).fillna("")
