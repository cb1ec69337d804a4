"""Files of slices of each kind, behind one function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slices_in_files import seen, volume, write_dicom, write_nifti, write_series

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import ImagePart
from hypoxia_hpc.slides.slice_files import is_volume, read_slices, slice_header


def test_nifti_and_dicom_of_one_volume_are_the_same_slices(tmp_path: Path) -> None:
    expected = seen(volume(), "axial")
    whole = write_nifti(tmp_path / "v.nii.gz", volume(), order=(1, 2, 0), flips=(True, True, False))
    files = write_series(tmp_path / "dicom", volume())[::-1]
    assert np.array_equal(read_slices(whole, ImagePart("T1w", "axial")).slices, expected)
    files.sort(key=lambda path: int(path.stem), reverse=True)
    assert np.array_equal([read_slices(path, ImagePart()).slices[0] for path in files], expected)
    middle = read_slices(whole, ImagePart("T1w", "axial", (1, 2)))
    assert (middle.first, len(middle.slices)) == (1, 1)
    assert np.array_equal(middle.slices[0], expected[1])
    with pytest.raises(SlideError, match="slices 1 to 3 of it, and it has 3 slices"):
        read_slices(whole, ImagePart("T1w", "axial", (1, 4)))


def test_of_a_volume_only_the_slices_with_pixels_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    of = volume().astype(np.float32)
    of[1, 2, 1] = np.nan
    first, second, third = read_slices(write_nifti(tmp_path / "v.nii.gz", of), ImagePart("T1w", "axial")).slices
    assert isinstance(second, SlideError)
    assert second.reason == "not-finite"
    assert f"{tmp_path / 'v.nii.gz'}: 1 of 20 pixels is NaN, infinite" in second.problem
    assert np.array_equal([first, third], seen(of, "axial")[::2])
    infinite = write_dicom(tmp_path / "1.dcm", np.ones((2, 2), np.uint8), RescaleSlope="1e38", RescaleIntercept="1e39")
    found = read_slices(infinite, ImagePart())
    assert found.first is None
    assert isinstance(found.slices[0], SlideError)
    assert "4 of 4 pixels are NaN" in found.slices[0].problem


def test_a_header_says_the_sides_of_any_file(tmp_path: Path) -> None:
    Image.new("L", (7, 9)).save(tmp_path / "1.png")
    paths = [
        write_nifti(tmp_path / "v.nii", volume()),
        write_dicom(tmp_path / "1.dcm", np.ones((9, 7), dtype=np.uint8)),
        tmp_path / "1.png",
    ]
    found = [slice_header(path, "unknown") for path in paths]
    assert [(one.format, one.width, one.height) for one in found] == [("NIfTI", 4, 5), ("DICOM", 7, 9), ("PNG", 7, 9)]
    assert [is_volume(path) for path in paths] == [True, True, False]
    assert all(one.nbytes == path.stat().st_size for one, path in zip(found, paths, strict=True))
