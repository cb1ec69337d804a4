"""Numbers of frames that contradict the size of a DICOM slide, and slides of several images, are refused as that."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from slides.dicom_series import TILE, generate_uid, image_of, rewritten, tiles_of, write_instance

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.monitoring.doctor import _slide
from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.dicom_images import frame_places
from hypoxia_hpc.slides.opening import opened_slide

IMAGE = image_of(1, 200, 200)  # in 4 x 4 frames
PLACES = [(1 + TILE * column, 1 + TILE * row) for row in range(4) for column in range(4)]


def refused(path: Path, reason: str) -> SlideError:
    """By the reader and by `doctor`."""
    with pytest.raises(SlideError) as caught, opened_slide(path):
        pass
    check = _slide(TileTable(), Slide("a", path, "p", 1))
    assert (check.verdict, check.reason, check.remedy) == ("bad", reason, caught.value.remedy)
    assert caught.value.reason == reason
    return caught.value


def shown(path: Path) -> np.ndarray:
    with opened_slide(path) as opened:
        return opened.read_level(0, 1)[0][..., :3]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"TotalPixelMatrixColumns": 130}, "130 x 200 px in frames of 64 x 64 px: that makes 12 frames"),
        ({"TotalPixelMatrixRows": 300}, "that makes 20 frames, and the file lists 16"),
        ({"NumberOfFrames": 12}, "that makes 16 frames, and the file lists 12"),
        ({"NumberOfFrames": None}, "that makes 16 frames, and the file lists 1"),
        ({"Rows": 32, "Columns": 128}, "that makes 14 frames, and the file lists 16"),
        ({"TotalPixelMatrixFocalPlanes": 3}, "3 focal planes: that makes 48 frames, and the file lists 16"),
        ({"TotalPixelMatrixColumns": 130, "DimensionOrganizationType": None}, "that makes 12 frames"),
    ],
)
@pytest.mark.parametrize("level", [0, 1])
def test_the_number_of_frames_has_to_be_that_of_the_image(
    tags: dict[str, object], said: str, level: int, tmp_path: Path
) -> None:
    series = generate_uid()
    files = [write_instance(tmp_path / f"{n}.dcm", IMAGE, series=series) for n in range(1)]
    files.append(write_instance(tmp_path / "1.dcm", image_of(2, 201, 201), series=series))
    if level == 1:
        said = said.replace("x 200 px", "x 201 px")
    with opened_slide(files[0]):
        pass
    rewritten(files[level], **tags)
    error = refused(files[0], "inconsistent-header")
    assert said in error.problem
    assert "write it anew" in error.remedy


def concatenation(folder: Path) -> list[Path]:
    series, source = generate_uid(), generate_uid()
    return [
        write_instance(folder / f"{index}.dcm", IMAGE, series=series, part=(index, 2), source=source)
        for index in range(2)
    ]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"NumberOfFrames": 6}, "that makes 16 frames, and the file lists 14"),
        ({"ConcatenationFrameOffsetNumber": 4}, "parts of a concatenation overlap, or leave gaps"),
        ({"TotalPixelMatrixRows": 300}, "different sizes"),
    ],
)
def test_parts_of_a_concatenation_make_one_image(tags: dict[str, object], said: str, tmp_path: Path) -> None:
    parts = concatenation(tmp_path)
    np.testing.assert_array_equal(shown(parts[1]), IMAGE)
    rewritten(parts[1], **tags)
    assert said in refused(parts[0], "inconsistent-header").problem


def test_a_part_that_is_there_twice_is_named(tmp_path: Path) -> None:
    parts = concatenation(tmp_path)
    shutil.copy(parts[1], tmp_path / "1b.dcm")
    rewritten(tmp_path / "1b.dcm", SOPInstanceUID=generate_uid())
    error = refused(parts[0], "several-images")
    assert "1.dcm and 1b.dcm are the same part of a concatenation" in error.problem
    assert "move the other one" in error.remedy


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"TotalPixelMatrixFocalPlanes": 2}, "2 focal planes"),
        ({"NumberOfOpticalPaths": 2}, "2 optical paths"),
        ({"NumberOfOpticalPaths": 2, "TotalPixelMatrixFocalPlanes": 2}, "2 focal planes and 2 optical paths"),
    ],
)
def test_several_planes_are_several_images(tags: dict[str, int], said: str, tmp_path: Path) -> None:
    """OpenSlide shows the first of several optical paths, and calls focal planes an error."""
    n = 4 * int(np.prod(list(tags.values())))
    path = write_instance(tmp_path / "a.dcm", image_of(1, 2 * TILE, 2 * TILE), series=generate_uid())
    rewritten(path, np.zeros((n, TILE, TILE, 3), np.uint8), NumberOfFrames=n, **tags)
    error = refused(path, "several-images")
    assert said in error.problem
    assert "one of them as a slide of its own" in error.remedy


def test_two_images_of_one_size_are_several_images(tmp_path: Path) -> None:
    """A copy of a file is none."""
    series = generate_uid()
    path = write_instance(tmp_path / "a.dcm", IMAGE, series=series)
    shutil.copy(path, tmp_path / "b.dcm")
    np.testing.assert_array_equal(shown(path), IMAGE)
    write_instance(tmp_path / "c.dcm", IMAGE, series=series)
    error = refused(path, "several-images")
    assert "2 images of 200 x 200 px in one DICOM series: a.dcm, c.dcm" in error.problem
    assert "another folder" in error.remedy
    (tmp_path / "c.dcm").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").unlink()
    np.testing.assert_array_equal(shown(path), IMAGE)


def test_a_label_that_stops_openslide_is_named(tmp_path: Path) -> None:
    series = generate_uid()
    path = write_instance(tmp_path / "a.dcm", IMAGE, series=series)
    label = write_instance(tmp_path / "b.dcm", image_of(2, TILE, TILE), series=series, kind="LABEL")
    gray = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PlanarConfiguration": None}
    rewritten(label, np.zeros((1, TILE, TILE), np.uint8), **gray)
    error = refused(path, "not-supported")
    assert ("b.dcm, with gray" in error.problem, error.remedy) == (True, "move b.dcm out of the folder")
    label.unlink()
    np.testing.assert_array_equal(shown(path), IMAGE)


def sparse(path: Path, places: Sequence[tuple[int, int]]) -> Path:
    """A slide each of whose frames says its place, the first frames of IMAGE in turn."""
    write_instance(path, IMAGE, series=generate_uid())
    data = pydicom.dcmread(path)
    groups = []
    for column, row in places:
        place, group = Dataset(), Dataset()
        place.ColumnPositionInTotalImagePixelMatrix, place.RowPositionInTotalImagePixelMatrix = column, row
        group.PlanePositionSlideSequence = [place]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    data.DimensionOrganizationType, data.NumberOfFrames = "TILED_SPARSE", len(places)
    data.PixelData = b"".join((tiles_of(IMAGE) * 2)[: len(places)])
    data["PixelData"].VR = "OB"
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def test_frames_that_say_their_places_are_read(tmp_path: Path) -> None:
    """Also where some are missing."""
    np.testing.assert_array_equal(shown(sparse(tmp_path / "a" / "a.dcm", PLACES)), IMAGE)
    half = sparse(tmp_path / "b" / "b.dcm", PLACES[:8])
    np.testing.assert_array_equal(shown(half)[: 2 * TILE], IMAGE[: 2 * TILE])
    assert frame_places(half) == PLACES[:8]


@pytest.mark.parametrize(
    ("places", "reason", "said"),
    [
        ([*PLACES[:15], (641, 1)], "inconsistent-header", "1 of 16 frames outside of the image"),
        ([(-63, 1)], "inconsistent-header", "column -63, row 1"),
        ([*PLACES[:3], PLACES[0]], "several-images", "several frames at one place"),
        (PLACES + PLACES, "several-images", "several frames at one place"),
        ([(11, 1)], "not-supported", "overlap, or lie on no grid"),
    ],
)  # fmt: skip
def test_places_have_to_be_those_of_a_grid(
    places: list[tuple[int, int]], reason: str, said: str, tmp_path: Path
) -> None:
    error = refused(sparse(tmp_path / "a.dcm", places), reason)
    assert said in error.problem
    assert "fetch the file again, or leave" not in error.remedy
