"""Images that are files of DICOM or NIfTI as rows of images.csv: their series, their planes, the order of slices."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from hypoxia_hpc.cohorts.images import ImageRow
from hypoxia_hpc.config.source import SourceTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.slice_files import is_volume, volume_header
from hypoxia_hpc.slides.volumes import VolumeHeader

READERS = 32
Read = tuple[ImageRow, VolumeHeader | None]


def slice_rows(rows: Sequence[ImageRow], folder: Path, source: SourceTable) -> list[ImageRow]:
    """The rows, sorted by patient, series and place, as their files' headers say it: the series of DICOM files where
    nothing else does, the plane, the slices of a file that has several. What says nothing of its plane, or cannot be
    read, has that of [source] orientation; ``rows`` are sorted by patient and series, and stay so."""

    def look(row: ImageRow) -> Read:
        try:
            found = volume_header(folder / row.path, source.plane) if is_volume(folder / row.path) else None
        except SlideError:  # said where all headers are looked at
            found = None
        return row, found

    with ThreadPoolExecutor(READERS) as readers:
        read = list(readers.map(look, rows))
    named = [each for _, group in groupby(read, key=lambda one: one[0].patient_id) for each in _named(list(group))]
    ordered = sorted(named, key=lambda one: (one[0].patient_id, one[0].series, one[1].order if one[1] else ()))
    return [_described(row, header, source) for row, header in ordered]


def _named(read: Sequence[Read]) -> list[Read]:
    """A patient's rows with the series of DICOM: its description where the path says none; of several series by one
    name each gets a number, in the order of their UIDs."""
    named = [
        (replace(row, series=header.name or "no description"), header)
        if header is not None and header.series and not row.series
        else (row, header)
        for row, header in read
    ]
    uids: dict[str, list[str]] = {}
    for row, header in named:
        if header is not None and header.series and header.series not in uids.setdefault(row.series, []):
            uids[row.series].append(header.series)
    several = {name: sorted(those) for name, those in uids.items() if len(those) > 1}
    return [
        (replace(row, series=f"{row.series} #{several[row.series].index(header.series) + 1}"), header)
        if header is not None and header.series and row.series in several
        else (row, header)
        for row, header in named
    ]


def _described(row: ImageRow, header: VolumeHeader | None, source: SourceTable) -> ImageRow:
    if header is None:
        return replace(row, plane=source.orientation)
    slices = (0, header.n) if header.multiple else None
    return replace(row, plane=header.plane or source.orientation, slices=slices)
