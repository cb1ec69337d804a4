"""Segmentations and parametric maps, opened by highdicom: each pixel lies where its tile does, exactly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset
from slides.dicom_places import corners_l0, placed
from slides.dicom_series import generate_uid, image_of, rewritten, write_instance

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.exports import dicom_files
from hypoxia_hpc.exports.dicom_files import FRAME
from hypoxia_hpc.exports.registry import FORMATS
from hypoxia_hpc.exports.slide import SlideExport
from hypoxia_hpc.records import Slide
from hypoxia_hpc.stores.attributes import PlanRecord, SlideHeader, TileAttributes

WIDTH, HEIGHT, MM = 700, 500, 0.000_252_8
SIDE_LEVEL, DOWNSAMPLE = 15, 1.503
SIDE = SIDE_LEVEL * DOWNSAMPLE
CLASSES = ("normoxic", "hypoxic \\ µ")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of two levels; the file that is named is the coarser one."""
    folder, series = tmp_path_factory.mktemp("slide"), generate_uid()
    for name, width, height, mpp in (
        ("a.dcm", WIDTH // 2, HEIGHT // 2, 2000 * MM),
        ("b.dcm", WIDTH, HEIGHT, 1000 * MM),
    ):
        placed(write_instance(folder / name, image_of(1, width, height), series=series, mpp=mpp))
    return folder / "a.dcm"


def export_of(path: Path, **changes: Any) -> SlideExport:
    """Some tiles of a grid whose steps are no whole pixels of level 0; every third has no prediction."""
    columns, rows = np.meshgrid(np.arange(3, 25), np.arange(2, 17))
    at = np.column_stack([columns.ravel(), rows.ravel()])[np.random.default_rng(2).random(columns.size) < 0.6]
    xy = np.floor((5 + at * SIDE_LEVEL) * DOWNSAMPLE + 0.5).astype(np.int64)
    probability = np.random.default_rng(3).random(len(xy))
    probability[::3] = np.nan
    said = {"tanh: probability": probability, "tanh: attention": 8 * probability, "cluster": np.arange(len(xy)) % 4}
    plan = PlanRecord("openslide", downsample=DOWNSAMPLE, side_level=SIDE_LEVEL, side_l0=SIDE)
    attributes = TileAttributes("0123", SlideHeader("S1", (WIDTH, HEIGHT), 1000 * MM), {"tile_px": 15}, plan)
    classes = np.where(np.isnan(probability), -1, probability >= 0.5).astype(np.int64)
    made = {"xy_l0": xy, "said": pd.DataFrame(said), "classes": classes, **changes}
    return SlideExport(Slide("S1", path, "P1", 1), attributes, names=CLASSES, extractor="v", features=None, **made)


def written(name: str, slide: SlideExport, folder: Path) -> Path:
    ((file, write),) = FORMATS[name].files(slide, folder)
    write(folder / file)
    return folder / file


@pytest.mark.parametrize("frame", [8, FRAME])
def test_each_segment_has_its_tiles_to_the_pixel(
    frame: int, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_files, "FRAME", frame)
    slide = export_of(file)
    made = hd.seg.segread(written("dicom-seg", slide, tmp_path))
    source = pydicom.dcmread(file.with_name("b.dcm"))
    clusters = slide.said["cluster"].to_numpy()
    expected = {"tiles": np.ones(len(clusters), dtype=bool)}
    expected |= {"normoxic": slide.classes == 0, "hypoxic / µ": slide.classes == 1}
    expected |= {f"phenotype {number}": clusters == number for number in range(4)}
    assert {one.SegmentLabel: one.SegmentNumber for one in made.SegmentSequence} == {
        label: number for number, label in enumerate(expected, 1)
    }
    for number, own in enumerate(expected.values(), 1):
        pixels = made.get_total_pixel_matrix(segment_numbers=[number])[..., 0]
        rows, columns = np.nonzero(pixels)
        corners = corners_l0(made, source, columns, rows)
        assert (np.rint(corners) == slide.xy_l0[own]).all(), "in reading order"
    n_frames = -(-made.TotalPixelMatrixRows // frame) * -(-made.TotalPixelMatrixColumns // frame)
    assert made.NumberOfFrames == n_frames * len(expected)
    assert made.segmentation_type == hd.seg.SegmentationTypeValues.BINARY


def test_it_belongs_to_the_slides_study_and_frame_of_reference(file: Path, tmp_path: Path) -> None:
    source = pydicom.dcmread(file.with_name("b.dcm"))
    for name in ("dicom-seg", "dicom-map"):
        (tmp_path / name).mkdir()
        made = pydicom.dcmread(written(name, export_of(file), tmp_path / name))
        for tag in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "ContainerIdentifier"):
            assert made[tag].value == source[tag].value, tag
        assert made.SeriesInstanceUID != source.SeriesInstanceUID and made.Rows == made.Columns == 256
        (series,) = made.ReferencedSeriesSequence
        assert [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence] == [source.SOPInstanceUID]
        spacing = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        assert [float(one) for one in spacing] == pytest.approx([SIDE * MM, SIDE * MM], rel=1e-9)


def matrices_of(made: hd.Image) -> dict[str, np.ndarray]:
    """The whole picture of each number, put together from its frames."""
    found: dict[str, np.ndarray] = {}
    for pixels, groups in zip(made.pixel_array, made.PerFrameFunctionalGroupsSequence, strict=True):
        (mapping,), (place,) = groups.RealWorldValueMappingSequence, groups.PlanePositionSlideSequence
        size = (made.TotalPixelMatrixRows, made.TotalPixelMatrixColumns)
        whole = found.setdefault(mapping.LUTExplanation, np.full(size, -1.0))
        row, column = place.RowPositionInTotalImagePixelMatrix - 1, place.ColumnPositionInTotalImagePixelMatrix - 1
        part = whole[row : row + made.Rows, column : column + made.Columns]
        part[:] = pixels[: part.shape[0], : part.shape[1]]
    return found


@pytest.mark.parametrize("frame", [8, FRAME])
def test_a_map_has_every_number_of_every_tile(
    frame: int, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_files, "FRAME", frame)
    slide = export_of(file)
    made = hd.imread(written("dicom-map", slide, tmp_path))
    source = pydicom.dcmread(file.with_name("b.dcm"))
    assert math.isnan(made.FloatPixelPaddingValue)
    found = matrices_of(made)
    assert [*found] == ["tanh: probability", "tanh: attention"]
    for name, pixels in found.items():
        rows, columns = np.nonzero(~np.isnan(pixels))
        expected = slide.said[name].to_numpy()
        known = ~np.isnan(expected)
        assert (np.rint(corners_l0(made, source, columns, rows)) == slide.xy_l0[known]).all()
        assert pixels[rows, columns] == pytest.approx(expected[known], rel=1e-6)
    windows = made.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
    assert [one.WindowWidth for one in windows] == [1, pytest.approx(np.nanmax(slide.said["tanh: attention"]))]


def test_long_names_that_begin_alike_are_kept_apart(file: Path, tmp_path: Path) -> None:
    slide = export_of(file)
    long = "attention over clusters: " + "x" * 60
    said = pd.DataFrame({f"{long}{number}": slide.said["tanh: probability"] + number for number in range(3)})
    made = hd.imread(written("dicom-map", export_of(file, said=said), tmp_path))
    labels = [one.RealWorldValueMappingSequence[0].LUTLabel for one in made.PerFrameFunctionalGroupsSequence]
    assert len(set(labels)) == 3
    parts = made.pixel_array[:, : made.TotalPixelMatrixRows, : made.TotalPixelMatrixColumns]
    assert np.floor(np.nanmin(parts, axis=(1, 2))).tolist() == [0, 1, 2]


def test_a_level_in_parts_is_one_slide_and_all_parts_are_named(tmp_path: Path) -> None:
    series, image = generate_uid(), image_of(1, WIDTH, HEIGHT)
    files = [
        placed(
            write_instance(
                tmp_path / f"{index}.dcm", image, series=series, mpp=1000 * MM, part=(index, 2), source="1.2.3"
            ),
            StudyInstanceUID="1.2.4",
            FrameOfReferenceUID="1.2.5",
        )
        for index in range(2)
    ]
    (tmp_path / "out").mkdir()
    made = pydicom.dcmread(written("dicom-seg", export_of(files[0]), tmp_path / "out"))
    named = [one.ReferencedSOPInstanceUID for one in made.ReferencedSeriesSequence[0].ReferencedInstanceSequence]
    assert named == [pydicom.dcmread(one).SOPInstanceUID for one in files]


def test_a_slide_without_identity_stays_without(file: Path, tmp_path: Path) -> None:
    bare = rewritten(write_copy(file.with_name("b.dcm"), tmp_path / "b.dcm"), PatientName=None, PatientID=None)
    made = pydicom.dcmread(written("dicom-seg", export_of(bare), tmp_path))
    assert (made.PatientID or "", str(made.PatientName or "")) == ("", "")


def write_copy(source: Path, target: Path) -> Path:
    target.write_bytes(source.read_bytes())
    return target


def test_what_cannot_be_exported_says_why(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "S1.svs"
    other.write_bytes(b"II*\0")
    unplaced = rewritten(
        write_copy(file.with_name("b.dcm"), tmp_path / "unplaced.dcm"),
        ImageOrientationSlide=None,
        TotalPixelMatrixOriginSequence=None,
    )
    xy = export_of(file).xy_l0
    moved = xy.copy()
    moved[3] += 4
    for slide, reason, words in (
        (export_of(tmp_path / "gone.dcm"), "missing-file", "does not exist"),
        (export_of(other), "not-dicom", "S1.svs is no DICOM slide"),
        (export_of(unplaced), "no-frame-of-reference", "ImageOrientationSlide, TotalPixelMatrixOriginSequence missing"),
        (export_of(file, xy_l0=moved), "no-tile-grid", "do not lie side by side at distances of 22.545 px"),
        (export_of(file, xy_l0=xy // 2), "no-tile-grid", "do not lie side by side"),
    ):
        with pytest.raises(SlideError, match=words) as raised:
            written("dicom-seg", slide, tmp_path)
        assert raised.value.reason == reason and raised.value.remedy
    with pytest.raises(SlideError, match="no number of a model is known of the tiles of S1"):
        written("dicom-map", export_of(file, said=pd.DataFrame(index=range(len(xy)))), tmp_path)
    narrower = placed(
        write_instance(tmp_path / "other" / "x.dcm", image_of(1, 640, 500), series=generate_uid(), mpp=1000 * MM)
    )
    with pytest.raises(SlideError, match=r"has 640 x 500 px, and had 700 x 500 when it was tiled"):
        written("dicom-seg", export_of(narrower), tmp_path)


def test_headers_that_nothing_can_be_made_of(file: Path, tmp_path: Path) -> None:
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = 3.0
    odd = rewritten(write_copy(file.with_name("b.dcm"), tmp_path / "odd.dcm"), TotalPixelMatrixOriginSequence=[origin])
    with pytest.raises(SlideError, match="nothing can be derived from this DICOM header") as raised:
        written("dicom-seg", export_of(odd), tmp_path)
    assert raised.value.reason == "inconsistent-header"
