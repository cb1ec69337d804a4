"""A DICOM series is one slide: rows of a manifest that name several of its files, and copies of it in other folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.textfiles import refuse

SERIES_ELSEWHERE = "copy of a DICOM series that is taken from another folder"
# What rows of one series may not contradict each other in. An md5 and a size are those of one file of it.
_SAID = ("slide_id", "patient_id", "mpp", "site", "label", "tumour_type", "sample", "preparation")


def merged_rows(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, those of one series and the same ``path`` as one, at the place of the first of them, with what
    any row says of it. Raises InputError with every value in which rows of one series contradict each other."""
    rows: dict[tuple[str, Path, int], list[Candidate]] = defaultdict(list)
    for place, each in enumerate(candidates):
        rows[each.series, each.path, 0 if each.series else place].append(each)
    refuse(
        "rows of the manifest name files of one DICOM series, which is one slide, and contradict each other",
        [line for group in rows.values() for line in _contradictions(group)],
        "give all rows of a series the same values, or keep one row for each series",
    )
    return [group[0] if len(group) == 1 else _merged(group) for group in rows.values()]


def _contradictions(rows: Sequence[Candidate]) -> Iterable[str]:
    for name in _SAID:
        files: dict[object, str] = {}
        for row in rows:
            if value := getattr(row, name):
                files.setdefault(value, (row.named_by or row.path).name)
        if len(files) > 1:
            values = " and ".join(f"{value} ({file})" for value, file in files.items())
            yield f"{rows[0].path.parent}, series {rows[0].series}: {name} {values}"


def _merged(rows: Sequence[Candidate]) -> Candidate:
    """Named by its folder where a row names it, else by its first file, whatever the order of the rows."""
    first = rows[0]
    said: dict[str, Any] = {
        name: next((getattr(row, name) for row in rows if getattr(row, name)), getattr(first, name)) for name in _SAID
    }
    of_other_size = (row.nbytes_named for row in rows if row.nbytes_named not in (None, row.nbytes))
    folder = first.path.parent
    return replace(
        first,
        **said,
        md5=" ".join(sorted({row.md5 for row in rows if row.md5})),
        nbytes_named=next(of_other_size, first.nbytes_named),
        named_by=folder if any(row.named_by == folder for row in rows) else first.path,
        rows=len(rows),
    )


def each_series_once(candidates: Sequence[Candidate]) -> list[Candidate]:
    """A series that lies in several folders is one slide: that with the most bytes is taken, the first of equals, and
    the others are left out. Raises InputError where they are of two patients."""
    by_series: dict[str, list[Candidate]] = defaultdict(list)
    for each in candidates:
        if each.series:
            by_series[each.series].append(each)
    refuse(
        "a DICOM series is one slide, and these are copies of one under several patients",
        [
            " and ".join(sorted(f"{path} ({patient})" for patient, path in paths.items()))
            for copies in by_series.values()
            if len(paths := {each.patient_id: each.path for each in copies if each.patient_id}) > 1
        ],
        "leave all but one out (--exclude, or the rows of the manifest)",
    )
    taken = {name: min(copies, key=lambda each: (-(each.nbytes or 0), each.path)) for name, copies in by_series.items()}
    return [
        replace(each, left_out=SERIES_ELSEWHERE) if each.series and each.path != taken[each.series].path else each
        for each in candidates
    ]
