"""NIfTI volumes are cut into the same slices however their voxels lie; what is no sound volume is refused."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from slices_in_files import SHAPE, seen, volume, write_nifti

from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.slides import nifti
from hypoxia_hpc.slides.nifti import nifti_header, read_nifti


def test_each_of_the_48_ways_gives_the_same_slices(tmp_path: Path) -> None:
    of, expected = volume(), seen(volume(), "axial")
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            path = write_nifti(tmp_path / "v.nii", of, order=order, flips=flips)
            slices = read_nifti(path, "axial").slices
            assert all(np.array_equal(*pair) for pair in zip(slices, expected, strict=True)), (order, flips)
            header = nifti_header(path, "axial")
            assert (header.width, header.height, header.n, header.plane) == (*SHAPE, "axial")


@pytest.mark.parametrize(
    ("spacing", "declared", "plane"),
    [
        ((4.0, 1.0, 1.0), "axial", "sagittal"),
        ((1.0, 4.0, 1.0), "axial", "coronal"),
        ((1.0, 1.0, 1.0), "coronal", "coronal"),
        ((1.0, 1.0, 1.0), "sagittal", "sagittal"),
    ],
)
def test_slices_are_those_of_the_plane(
    tmp_path: Path, spacing: tuple[float, float, float], declared: str, plane: str
) -> None:
    path = write_nifti(tmp_path / "v.nii.gz", volume(), order=(2, 0, 1), flips=(True, False, True), spacing=spacing)
    header, slices = nifti_header(path, declared), read_nifti(path, declared).slices
    assert header.plane == plane
    assert (header.height, header.width) == slices[0].shape
    assert all(np.array_equal(*pair) for pair in zip(slices, seen(volume(), plane), strict=True))


def test_a_volume_that_does_not_say_how_it_lies_is_cut_as_it_is(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(volume(), None)
    nibabel.save(image, tmp_path / "v.nii")
    assert nifti_header(tmp_path / "v.nii", "coronal").plane == ""
    assert np.array_equal(np.stack(read_nifti(tmp_path / "v.nii", "coronal").slices, axis=2), volume())


def test_values_are_those_that_the_file_means(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "v.nii", volume(), kind=nibabel.Nifti2Image)
    assert np.array_equal(read_nifti(path, "axial").slices, seen(volume(), "axial"))
    scaled = nibabel.Nifti1Image(volume(), np.diag([-1.0, -1.0, 3.0, 1.0]))
    scaled.header.set_slope_inter(0.5, -3)
    scaled.to_filename(tmp_path / "scaled.nii")
    raw = nibabel.load(tmp_path / "scaled.nii")
    found = read_nifti(tmp_path / "scaled.nii", "axial").slices
    assert found[0].dtype == np.float32
    assert np.array_equal(found, seen(np.asarray(raw.dataobj).astype(np.float32), "axial"))


def changed(name: str, *values: float) -> Callable[[bytes], bytes]:
    """The header with another value, from its first item on."""

    def change(data: bytes) -> bytes:
        header = np.frombuffer(bytearray(data[:348]), dtype=nibabel.Nifti1Header.template_dtype).copy()
        header[name].reshape(-1)[: len(values)] = values
        return header.tobytes() + data[348:]

    return change


REFUSED = {
    "cut off": (lambda data: data[:-10], "unreadable"),
    "cut off in the compressed stream": (lambda data: gzip.compress(data)[:-30], "unreadable"),
    "no header": (lambda data: data[:100], "not-an-image"),
    "text": (lambda data: b"no image " * 100, "not-an-image"),
    "of two files": (lambda data: data[:344] + b"ni1\0" + data[348:], "not-an-image"),
    "too large": (changed("dim", 3, 30_000, 30_000, 30_000), "image-too-large"),
    "a size of nothing": (changed("dim", 3, 4, 0, 3), "inconsistent-header"),
    "many axes": (changed("dim", 9), "not-an-image"),
    "several volumes": (changed("dim", 4, 4, 5, 1, 3), "several-images"),
    "colours": (changed("datatype", 128), "not-supported"),
    "complex numbers": (changed("datatype", 32), "not-supported"),
    "voxels in the header": (changed("vox_offset", 16), "not-an-image"),
    "voxels far away": (changed("vox_offset", 2**40), "inconsistent-header"),
    "no directions": (changed("srow_x", 0, 0, 0, 0), "inconsistent-header"),
    "a direction of 3e38 mm": (changed("srow_x", 3e38, 3e38, 3e38), "inconsistent-header"),
    "a turn that is none": (
        lambda data: changed("qform_code", 1)(changed("sform_code", 0)(changed("quatern_b", 2)(data))),
        "inconsistent-header",
    ),
    "NaN as a direction": (changed("srow_x", np.nan), "inconsistent-header"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sound_volume_is_refused(tmp_path: Path, name: str) -> None:
    change, reason = REFUSED[name]
    path = write_nifti(tmp_path / "v.nii", volume())
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(SlideError) as caught:
        read_nifti(path, "axial")
    assert caught.value.reason == reason, caught.value.problem
    assert str(path) in caught.value.problem
    assert caught.value.remedy


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is compressed as much is read as the header says, and that is limited."""
    path = write_nifti(tmp_path / "v.nii", volume())
    data = changed("dim", 3, 2_000, 2_000, 2_000)(path.read_bytes()) + b"\0" * 10_000_000
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(data))
    monkeypatch.setattr(nifti, "_voxels", lambda *_: pytest.fail("its voxels were read"))
    with pytest.raises(SlideError, match="at most"):
        read_nifti(tmp_path / "v.nii.gz", "axial")


def test_without_nibabel_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / "v.nii", volume())
    monkeypatch.setattr(nifti, "find_spec", lambda name: None if name == "nibabel" else importlib.util.find_spec(name))
    with pytest.raises(InputError, match="nibabel") as caught:
        nifti_header(path, "axial")
    assert "hypoxia-hpc[nifti]" in caught.value.remedy
