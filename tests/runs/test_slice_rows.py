"""Rows of images.csv from what headers of slices say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from slices_in_files import volume, write_dicom, write_nifti, write_series

from hypoxia_hpc.cohorts.images import ImageRow
from hypoxia_hpc.config import SourceTable
from hypoxia_hpc.runs.slice_rows import slice_rows

SOURCE = SourceTable(kind="folders", orientation="coronal")


def rows(folder: Path, series: str = "") -> list[ImageRow]:
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [ImageRow(path.split("/")[0], path, series) for path in paths]


def test_slices_come_by_where_they_lie(tmp_path: Path) -> None:
    write_series(tmp_path / "A", volume(), "axial", SeriesDescription="T1w")
    found = slice_rows(rows(tmp_path), tmp_path, SOURCE)
    assert [row.path for row in found] == ["A/0003.dcm", "A/0002.dcm", "A/0001.dcm"]
    assert {(row.series, row.plane, row.slices) for row in found} == {("T1w", "axial", None)}


def test_series_of_dicom_have_their_descriptions_and_where_two_have_one_name_numbers(tmp_path: Path) -> None:
    for series, name in (("1.2", "T1w"), ("1.1", "T1w"), ("1.3", ""), ("1.4", "FLAIR")):
        write_dicom(tmp_path / "A" / f"{series}.dcm", np.ones((2, 2), np.uint8), series=series, SeriesDescription=name)
    write_dicom(tmp_path / "B" / "1.dcm", np.ones((2, 2), np.uint8), series="1.2", SeriesDescription="T1w")
    found = {row.path: row.series for row in slice_rows(rows(tmp_path), tmp_path, SOURCE)}
    assert found == {
        "A/1.1.dcm": "T1w #1",
        "A/1.2.dcm": "T1w #2",
        "A/1.3.dcm": "no description",
        "A/1.4.dcm": "FLAIR",
        "B/1.dcm": "T1w",
    }
    named = {row.path: row.series for row in slice_rows(rows(tmp_path, "folder"), tmp_path, SOURCE)}
    assert (named["A/1.4.dcm"], named["B/1.dcm"]) == ("folder #4", "folder")


def test_a_plane_is_that_of_the_file_else_the_declared_one(tmp_path: Path) -> None:
    write_nifti(tmp_path / "A" / "v.nii", volume())
    write_dicom(tmp_path / "B" / "frames.dcm", np.ones((4, 2, 2), np.uint8))
    (tmp_path / "C").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "C" / "1.png")
    (tmp_path / "C" / "damaged.nii").write_text("no volume")
    found = [(row.path, row.plane, row.slices) for row in slice_rows(rows(tmp_path), tmp_path, SOURCE)]
    assert found == [
        ("A/v.nii", "axial", (0, 3)),
        ("B/frames.dcm", "coronal", (0, 4)),
        ("C/1.png", "coronal", None),
        ("C/damaged.nii", "coronal", None),
    ]
