"""Headers that claim more than a slide has are refused before any library makes room for it."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from dicom_series import image_of, write_instance
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.claims import MOST_PX, MOST_SIDE_PX, refuse_absurd
from hypoxia_hpc.slides.opening import opened_slide

IMAGE = np.full((256, 256, 3), 200, np.uint8)
NDPI_TAG = (65420, "I", 1, 1, True)  # by which OpenSlide knows a Hamamatsu file


def tiff(path: Path, order: str = "<", *, big: bool = False, pages: int = 1, ndpi: bool = False) -> Path:
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=big) as file:
        for _ in range(pages):
            file.write(
                IMAGE,
                tile=None if ndpi else (256, 256),
                photometric="rgb",
                metadata=None,
                compression="jpeg" if ndpi else None,
                extratags=[NDPI_TAG] if ndpi else [],
            )
    return path


TAGS = {"ImageWidth": 256, "ImageLength": 257}


def claim(path: Path, page: int, tag: str, value: int) -> None:
    """Overwrite the one value of a tag, whatever its type was, by a LONG."""
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (count_form, count_bytes), (offset_form, entry_bytes) = (("Q", 8), ("Q", 20)) if big else (("H", 2), ("I", 12))
    (place,) = struct.unpack_from(order + offset_form, data, 8 if big else 4)
    for _ in range(page):
        (n,) = struct.unpack_from(order + count_form, data, place)
        (place,) = struct.unpack_from(order + offset_form, data, place + count_bytes + n * entry_bytes)
    (n,) = struct.unpack_from(order + count_form, data, place)
    entries = [place + count_bytes + number * entry_bytes for number in range(n)]
    (entry,) = [one for one in entries if struct.unpack_from(order + "H", data, one)[0] == TAGS[tag]]
    struct.pack_into(order + "H", data, entry + 2, 4)
    struct.pack_into(order + "I", data, entry + (12 if big else 8), value)
    path.write_bytes(data)


def refused(path: Path) -> str:
    """By the reader itself, at once and without memory."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(SlideError) as caught, opened_slide(path):
            pass
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "absurd-size"
    assert str(path) in caught.value.problem
    assert time.monotonic() - began < 20  # a library that believes it takes a minute, or all memory
    return caught.value.problem


@pytest.mark.parametrize("ndpi", [False, True])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
@pytest.mark.parametrize("page", [0, 1])
def test_a_page_of_a_tiff_file(tmp_path: Path, order: str, big: bool, ndpi: bool, tag: str, page: int) -> None:
    path = tiff(tmp_path / ("a.ndpi" if ndpi else "a.tif"), order, big=big, pages=2, ndpi=ndpi)
    refuse_absurd(path)
    claim(path, page, tag, 2**31 - 1)
    assert "2,147,483,647" in refused(path)
    claim(path, page, tag, 0)
    assert " 0 " in f" {refused(path).split('claims ')[1]} ".replace("px", " ")


@pytest.fixture(scope="module")
def any_tiff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiff(tmp_path_factory.mktemp("claims") / "a.tif")


@given(width=st.integers(1, 2**31), height=st.integers(1, 2**31))
def test_any_size_within_the_limits_passes_and_no_other(any_tiff: Path, width: int, height: int) -> None:
    path = any_tiff
    claim(path, 0, "ImageWidth", width)
    claim(path, 0, "ImageLength", height)
    if max(width, height) <= MOST_SIDE_PX and width * height <= MOST_PX:
        refuse_absurd(path)
    else:
        with pytest.raises(SlideError, match=f"{width:,} x {height:,} px"):
            refuse_absurd(path)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"TotalPixelMatrixRows": 2**31 - 1}, "2,147,483,647"),
        ({"TotalPixelMatrixRows": 2**31 - 1, "TotalPixelMatrixColumns": 0}, "0 x 2,147,483,647"),
        ({"TotalPixelMatrixColumns": 640, "TotalPixelMatrixRows": 300_000_000}, "640 x 300,000,000"),
        ({"Rows": 0}, "frames of 64 x 0"),
        (
            {"Rows": 1, "Columns": 1, "TotalPixelMatrixRows": 4_000, "TotalPixelMatrixColumns": 4_000},
            "16,000,000 frames",
        ),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_level_of_a_dicom_series(tmp_path: Path, tags: dict[str, int], said: str, which: int) -> None:
    series = generate_uid()
    files = [
        write_instance(
            tmp_path / f"{n}.dcm", image_of(1, 128 >> n, 128 >> n), series=series, patient="p", mpp=0.5 * 2**n
        )
        for n in range(2)
    ]
    refuse_absurd(files[0])
    data = pydicom.dcmread(files[which])
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(files[which])
    assert said in refused(files[0])


def test_other_files_pass(tmp_path: Path, real_slide: Path) -> None:
    refuse_absurd(real_slide)
    for number, data in enumerate((b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"\0" * 200, b"no slide")):
        (tmp_path / f"{number}").write_bytes(data)
        refuse_absurd(tmp_path / f"{number}")
    refuse_absurd(tmp_path / "nowhere")
    refuse_absurd(tmp_path)
