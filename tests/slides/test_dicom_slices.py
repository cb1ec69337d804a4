"""Gray slices of DICOM: values, order and views; what is none is refused in clear words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, RLELossless
from slices_in_files import PATIENT, groups, seen, turned, volume, write_dicom, write_series

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.dicom_slices import dicom_header, is_dicom, read_dicom
from hypoxia_hpc.tiling.gray_series import Scale, scaled

AXIAL = {"ImageOrientationPatient": list(PATIENT["axial"]), "ImagePositionPatient": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize("plane", PATIENT)
def test_slices_say_how_they_lie_and_in_which_order(tmp_path: Path, plane: str) -> None:
    expected = seen(volume(), plane)
    found = sorted(((dicom_header(path), path) for path in write_series(tmp_path, volume(), plane)), key=order)
    assert [header.plane for header, _ in found] == [plane] * len(expected)
    for (header, path), pixels in zip(found, expected, strict=True):
        assert np.array_equal(read_dicom(path).slices, [pixels])
        assert (header.height, header.width, header.n, header.multiple) == (*pixels.shape, 1, False)


def order(one: tuple[Any, Path]) -> tuple[float, ...]:
    header: tuple[float, ...] = one[0].order
    return header


def test_a_slice_that_lies_otherwise_is_turned(tmp_path: Path) -> None:
    """Stored with its rows to the head and its columns to the right: seen as any other of its plane."""
    pixels = seen(volume(), "coronal")[0]
    geometry = {"ImageOrientationPatient": [0, 0, 1, -1, 0, 0], "ImagePositionPatient": [0, 0, 0]}
    path = write_dicom(tmp_path / "1.dcm", pixels[::-1, ::-1].T, **geometry)
    header = dicom_header(path)
    assert (header.plane, header.width, header.height) == ("coronal", pixels.shape[1], pixels.shape[0])
    assert np.array_equal(read_dicom(path).slices[0], pixels)


def test_values_are_those_that_the_file_means(tmp_path: Path) -> None:
    pixels = np.array([[0, 1], [2, 4_095]], dtype=np.uint16)
    rescaled = write_dicom(tmp_path / "1.dcm", pixels, RescaleSlope=0.5, RescaleIntercept=-10)
    assert read_dicom(rescaled).slices[0].tolist() == [[-10.0, -9.5], [-9.0, 2037.5]]
    inverted = write_dicom(
        tmp_path / "2.dcm", pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    assert read_dicom(inverted).slices[0].tolist() == [[4_095, 4_094], [4_093, 0]]
    signed = write_dicom(tmp_path / "3.dcm", pixels.astype(np.int16) - 5, PhotometricInterpretation="MONOCHROME1")
    assert read_dicom(signed).slices[0].tolist() == [[4, 3], [2, -4_091]]


def test_a_window_is_that_of_the_file(tmp_path: Path) -> None:
    """DICOM's linear function: of a window of 5 around 10 the values from 7.5 to 11.5."""
    pixels = np.array([[0, 7, 8, 9, 10, 11, 12]], dtype=np.uint16)
    found = read_dicom(write_dicom(tmp_path / "1.dcm", pixels, WindowCenter=[10, 40], WindowWidth=[5, 80]))
    assert found.window == Scale(7.5, 11.5)
    assert scaled(found.slices[0], found.window).tolist() == [[0, 0, 32, 96, 159, 223, 255]]
    assert read_dicom(write_dicom(tmp_path / "2.dcm", pixels)).window is None


def test_frames_of_a_file_are_slices_in_their_order(tmp_path: Path) -> None:
    expected = seen(volume(), "axial")
    frames = [
        groups(
            PlanePositionSequence={"ImagePositionPatient": [0, 0, 3.0 * z]},
            PixelValueTransformationSequence={"RescaleSlope": 1 + z, "RescaleIntercept": 0},
        )
        for z in (2, 0, 1)
    ]
    shared = groups(PlaneOrientationSequence={"ImageOrientationPatient": list(PATIENT["axial"])})
    path = write_dicom(
        tmp_path / "1.dcm",
        np.stack([expected[z] for z in (2, 0, 1)]),
        PerFrameFunctionalGroupsSequence=frames,
        SharedFunctionalGroupsSequence=[shared],
    )
    header = dicom_header(path)
    assert (header.n, header.plane, header.multiple) == (3, "axial", True)
    found = read_dicom(path).slices
    assert all(np.array_equal(one, (1 + z) * expected[z]) for z, one in enumerate(found))


def test_what_pydicom_unpacks_is_read(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    path = write_dicom(tmp_path / "1.dcm", pixels)
    data = pydicom.dcmread(path)
    data.compress(RLELossless)
    data.save_as(path)
    assert np.array_equal(read_dicom(path).slices, [pixels])


def rewritten(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = pydicom.dcmread(path)
        change(data)
        data.save_as(path)

    return apply


def encapsulated(syntax: str) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = pydicom.encaps.encapsulate([b"no picture"])
        data["PixelData"].is_undefined_length = True

    return change


def without(*names: str, **entries: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for name in names:
            delattr(data, name)
        for name, value in entries.items():
            setattr(data, name, value)

    return change


def other_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(path.read_bytes())), None)[1]


CMS = bytes.fromhex("3080 06092a864886f70d010703 a080") + b"\7" * 200
REFUSED = {
    "no pixels": (rewritten(without("PixelData")), "not-an-image", "without pixels"),
    "encrypted pixels": (
        rewritten(without("PixelData", EncryptedAttributesSequence=[groups()])),
        "not-an-image",
        "pixels are encrypted",
    ),
    "encrypted": (other_bytes(lambda _: CMS), "not-an-image", "an encrypted file"),
    "text": (other_bytes(lambda _: b"no slice"), "not-an-image", "no DICOM file"),
    "colour": (
        rewritten(without(SamplesPerPixel=3, PhotometricInterpretation="RGB")),
        "not-supported",
        "in colour (RGB)",
    ),
    "a codec that is not there": (rewritten(encapsulated(MPEG2MPML)), "not-supported", "pydicom finds no decoder"),
    "damaged JPEG 2000": (rewritten(encapsulated(JPEG2000Lossless)), "", "JPEG 2000"),
    "cut off": (other_bytes(lambda data: data[:-10]), "unreadable", "do not decode"),
    "no header": (other_bytes(lambda data: data[:150]), "not-an-image", ""),
    "no size": (rewritten(without("Rows")), "not-an-image", "Rows"),
    "too large": (rewritten(without(NumberOfFrames=2_000_000, Rows=512, Columns=512)), "image-too-large", "at most"),
    "slanted axes": (
        rewritten(without(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])),
        "inconsistent-header",
        "right angle",
    ),
    "frames that nothing describes": (
        rewritten(without(PerFrameFunctionalGroupsSequence=[groups(), groups()])),
        "inconsistent-header",
        "2 are described",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_gray_slice_is_refused_in_clear_words(tmp_path: Path, name: str) -> None:
    change, reason, said = REFUSED[name]
    path = write_dicom(tmp_path / "1.dcm", np.ones((8, 8), dtype=np.uint16), **AXIAL)
    change(path)
    with pytest.raises(SlideError) as caught:
        read_dicom(path)
    if reason:
        assert (caught.value.reason, said in caught.value.problem) == (reason, True), caught.value.problem
    else:  # by whether there is a decoder here
        assert caught.value.reason in ("not-supported", "unreadable")
    assert str(path) in caught.value.problem
    assert caught.value.remedy


def test_frames_that_lie_in_two_planes_are_refused(tmp_path: Path) -> None:
    frames = [groups(PlaneOrientationSequence={"ImageOrientationPatient": list(PATIENT[one])}) for one in PATIENT]
    pixels = np.ones((3, 8, 8), dtype=np.uint16)
    path = write_dicom(tmp_path / "1.dcm", pixels, PerFrameFunctionalGroupsSequence=frames)
    with pytest.raises(SlideError, match="axial, coronal, sagittal") as caught:
        dicom_header(path)
    assert caught.value.reason == "mixed-series"


def test_frames_that_are_turned_against_each_other_are_refused(tmp_path: Path) -> None:
    frames = [groups(PlaneOrientationSequence={"ImageOrientationPatient": turned(angle)}) for angle in (0, 3, 25)]
    pixels = np.ones((3, 8, 8), dtype=np.uint16)
    path = write_dicom(tmp_path / "1.dcm", pixels, PerFrameFunctionalGroupsSequence=frames)
    with pytest.raises(SlideError, match="turned against the first by up to 25°") as caught:
        dicom_header(path)
    assert caught.value.reason == "mixed-series"


@pytest.mark.parametrize(("said", "patient"), [("P 001", "p-001"), ("ANONYMOUS", ""), ("", ""), (None, "")])
def test_a_file_says_whose_it_is(tmp_path: Path, said: str | None, patient: str) -> None:
    entries = {} if said is None else {"PatientID": said}
    path = write_dicom(tmp_path / "1.dcm", np.ones((2, 2), dtype=np.uint8), **entries)
    assert dicom_header(path).patient == read_dicom(path).patient == patient


def test_what_may_be_dicom(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "IM_0001", np.ones((2, 2), dtype=np.uint16))
    (tmp_path / "README").write_text("no image" * 100)
    (tmp_path / "DICOMDIR").write_bytes(path.read_bytes())
    assert is_dicom(path)
    assert is_dicom(tmp_path / "gone.dcm"), "so that it is named as missing"
    assert not any(is_dicom(tmp_path / name) for name in ("README", "DICOMDIR", "gone", "a.txt"))
