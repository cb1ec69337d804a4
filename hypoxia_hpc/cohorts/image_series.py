"""Which series of each patient are taken, and which of their slices. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from hypoxia_hpc.cohorts.images import ImageRow
from hypoxia_hpc.config.source import SourceTable
from hypoxia_hpc.errors import InputError


@dataclass(frozen=True, slots=True)
class ChosenSeries:
    """``rows`` that are taken, by patient and series in their order. ``missing``: patients without a series that is
    asked for, or else that at least half of all patients have, by its name; ``without``: patients without any
    of them."""

    rows: tuple[ImageRow, ...]
    missing: Mapping[str, tuple[str, ...]]
    without: tuple[str, ...]


def chosen_series(rows: Sequence[ImageRow], source: SourceTable) -> ChosenSeries:
    """``rows``: sorted by patient and series, the slices of a series in their order. Raises InputError where a series
    that is asked for is there for no patient."""
    names = source.image_mode
    _require_known(rows, names)
    taken = [row for row in rows if not names or row.series in names]
    if names:
        taken.sort(key=lambda row: (row.patient_id, names.index(row.series)))
    if source.patient_mode == "middle":
        groups = groupby(taken, key=lambda row: (row.patient_id, row.series))
        taken = [row for _, group in groups for row in middle_slices(list(group), source.middle)]
    patients = sorted({row.patient_id for row in rows})
    there = {(row.patient_id, row.series) for row in taken}
    with_some = {row.patient_id for row in taken}
    usual = names or _usual(there, len(patients))
    missing = {name: tuple(one for one in patients if one in with_some and (one, name) not in there) for name in usual}
    return ChosenSeries(
        tuple(taken),
        {name: those for name, those in missing.items() if those},
        tuple(one for one in patients if one not in with_some),
    )


def _usual(there: Collection[tuple[str, str]], n_patients: int) -> list[str]:
    """The series that at least half of the patients have; those that have a name."""
    counts = Counter(series for _, series in there)
    return sorted(name for name, n in counts.items() if name and 2 * n >= n_patients)


def _require_known(rows: Sequence[ImageRow], names: Sequence[str]) -> None:
    known = {row.series for row in rows}
    unknown = [name for name in names if name not in known]
    if unknown:
        there = sorted(known - {""})
        raise InputError(
            "[source] image_mode has series that no patient has",
            offending=unknown,
            remedy=f"there are: {', '.join(there)}"
            if there
            else "say where the series stands: {series} in --images-pattern, or a column of --images-table",
        )


def middle_slices(rows: Sequence[ImageRow], n: int) -> list[ImageRow]:
    """The ``n`` slices in the middle of a series, or all where it has fewer; of an odd rest the earlier ones."""
    sizes = [1 if row.slices is None else row.slices[1] - row.slices[0] for row in rows]
    first = max(0, (sum(sizes) - n) // 2)
    taken, before = [], 0
    for row, size in zip(rows, sizes, strict=True):
        start, stop = max(first - before, 0), min(first + n - before, size)
        before += size
        if start < stop:
            of_file = None if row.slices is None else (row.slices[0] + start, row.slices[0] + stop)
            taken.append(replace(row, slices=of_file))
    return taken
