"""Series of gray slices: one scale for each, near-empty slices left out, what does not belong together refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_folders import PX
from PIL import Image
from slices_in_files import turned, volume, write_dicom, write_nifti

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.config.series import SeriesTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import ImagePart, Slide
from hypoxia_hpc.slides.image_stores import make_image_store
from hypoxia_hpc.slides.series_slides import read_series
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels
from hypoxia_hpc.tiling.gray_series import Scale
from hypoxia_hpc.tiling.remarks import SEVERAL_PATIENTS

SERIES = {"scale": "percentiles", "low_percentile": 0.0, "high_percentile": 100.0}
TABLE = TileTable.model_validate({"tile_px": PX, "max_background": 1.0, "series": SERIES})
NAMES = ("T1w/1.png", "T1w/2.png", "T1w/3.png", "T2w/1.png", "T2w/gone.png")
PARTS = tuple(ImagePart(name.split("/")[0], "unknown") for name in NAMES)


def slices(folder: Path) -> Path:
    """Of two series, 16 bits: T1w to 4,000 with an empty slice, T2w to 60,000."""
    for series in ("T1w", "T2w"):
        (folder / series).mkdir(parents=True)
    ramp = np.arange(1, PX * PX + 1, dtype=np.uint16).reshape(PX, PX)
    Image.fromarray(np.zeros((PX, PX), dtype=np.uint16)).save(folder / "T1w" / "1.png")
    Image.fromarray(ramp * 15).save(folder / "T1w" / "2.png")
    Image.fromarray(ramp * 5).save(folder / "T1w" / "3.png")
    Image.fromarray(ramp * 230).save(folder / "T2w" / "1.png")
    return folder


@pytest.mark.parametrize("threads", [1, 3])
def test_a_store_has_one_scale_a_series_and_names_what_is_left_out(tmp_path: Path, threads: int) -> None:
    slide = Slide("A", slices(tmp_path / "A"), "A", 1, images=NAMES, parts=PARTS)
    work = make_image_store(slide, TABLE, tmp_path / "A.zarr", "key", {}, lambda tiles: None, threads=threads)
    pixels = read_pixels(open_tiles(tmp_path / "A.zarr"), 0, 3)
    assert [int(one.max()) for one in pixels] == [255, 85, 255]
    assert (pixels == pixels[..., :1]).all(), "gray to three channels"
    made = read_tile_attributes(tmp_path / "A.zarr")
    assert made is not None
    assert [(one["series"], one["black"], one["white"], one["near_empty"]) for one in made.series] == [
        ("T1w", 5.0, 3840.0, 1),
        ("T2w", 230.0, 58880.0, 0),
    ]
    assert [one.get("near_empty") or one.get("reason") or one["place"] for one in made.images] == [
        True,
        [0, 0],
        [1, 0],
        [0, 1],
        "missing-file",
    ]
    assert (work.counts.planned, work.counts.kept, work.counts.background, work.counts.unreadable) == (5, 3, 1, 1)
    assert "T2w/gone.png: missing-file" in work.note
    assert work.left_out == made.left_out == {"near-empty": 1, "missing-file": 1}


def test_slices_of_two_sizes_or_planes_are_refused_by_name(tmp_path: Path) -> None:
    folder = slices(tmp_path / "A")
    planes = (*PARTS[:2], ImagePart("T1w", "sagittal"), *PARTS[3:])
    with pytest.raises(
        SlideError, match=r"'T1w' of patient A has slices of several planes: unknown: .*; sagittal: T1w/3"
    ):
        list(read_series(Slide("A", folder, "A", 1, images=NAMES, parts=planes), TABLE, 1))
    Image.fromarray(np.ones((PX, PX + 1), dtype=np.uint16)).save(folder / "T1w" / "3.png")
    with pytest.raises(SlideError, match=r"'T1w' .*16 x 16 px: T1w/1.png, T1w/2.png; 17 x 16 px: T1w/3.png") as caught:
        list(read_series(Slide("A", folder, "A", 1, images=NAMES, parts=PARTS), TABLE, 1))
    assert caught.value.reason == "mixed-series"


@pytest.mark.parametrize(("degrees", "is_refused"), [(4.9, False), (-5.1, True), (30.0, True), (44.0, True)])
def test_slices_of_one_plane_that_are_turned_against_each_other_are_refused(
    tmp_path: Path, degrees: float, is_refused: bool
) -> None:
    pixels = np.arange(1, PX * PX + 1, dtype=np.uint16).reshape(PX, PX)
    for number, angle in enumerate((0.0, degrees)):
        geometry = {"ImageOrientationPatient": turned(angle), "ImagePositionPatient": [0, 0, number]}
        write_dicom(tmp_path / f"{number}.dcm", pixels, **geometry)
    slide = Slide("A", tmp_path, "A", 1, images=("0.dcm", "1.dcm"), parts=(ImagePart("T1w", "axial"),) * 2)
    if not is_refused:
        assert len(next(read_series(slide, TABLE, 1)).slices) == 2
        return
    with pytest.raises(
        SlideError, match=rf"turned by more than 5° against 0.dcm: 1.dcm: {abs(degrees):.0f}°"
    ) as caught:
        next(read_series(slide, TABLE, 1))
    assert caught.value.reason == "mixed-series"


def test_dicom_and_nifti_of_one_orientation_are_one_series(tmp_path: Path) -> None:
    """However the voxels lie in their file, mirrored or with axes that change places."""
    write_dicom(
        tmp_path / "1.dcm", volume()[..., 0].T, ImageOrientationPatient=turned(0), ImagePositionPatient=[0, 0, 0]
    )
    write_nifti(tmp_path / "2.nii", volume(), order=(1, 0, 2), flips=(True, False, True))
    slide = Slide("A", tmp_path, "A", 1, images=("1.dcm", "2.nii"), parts=(ImagePart("T1w", "axial"),) * 2)
    assert len(next(read_series(slide, TABLE, 1)).slices) == 4


def test_a_slice_that_cannot_be_read_says_nothing_of_its_plane(tmp_path: Path) -> None:
    folder = slices(tmp_path / "A")
    (folder / "T1w" / "3.png").write_bytes(b"")
    planes = tuple(
        ImagePart(part.series, "unknown" if name == "T1w/3.png" else "axial")
        for name, part in zip(NAMES, PARTS, strict=True)
    )
    first, *_ = read_series(Slide("A", folder, "A", 1, images=NAMES, parts=planes), TABLE, 1)
    assert first.plane == "axial"
    assert [one.path for one in first.slices if one.error is not None] == ["T1w/3.png"]


def test_a_slice_with_nan_is_left_out_of_its_volume_by_its_number(tmp_path: Path) -> None:
    of = volume().astype(np.float32)
    of[1, 2, 1] = np.nan
    write_nifti(tmp_path / "v.nii", of)
    slide = Slide("A", tmp_path, "A", 1, images=("v.nii",), parts=(ImagePart("T1w", "axial", (0, 3)),))
    work = make_image_store(slide, TABLE, tmp_path / "A.zarr", "key", {}, lambda tiles: None, threads=1)
    assert "1 of 3 images cannot be read and is left out (v.nii slice 1: not-finite)" in work.note
    made = read_tile_attributes(tmp_path / "A.zarr")
    assert made is not None
    assert [(one["slice"], one.get("kept"), one.get("reason")) for one in made.images] == [
        (0, 1, None),
        (1, None, "not-finite"),
        (2, 1, None),
    ]


@pytest.mark.parametrize(
    ("ids", "is_odd"), [(("P1", "P2"), True), (("P-1", "p 1"), False), (("P1", "ANONYMOUS"), False)]
)
def test_a_patient_of_several_patient_ids_is_pointed_out(tmp_path: Path, ids: tuple[str, str], is_odd: bool) -> None:
    names = []
    for number, patient in enumerate(ids):
        path = write_dicom(tmp_path / f"{number}.dcm", 1 + volume()[..., number], PatientID=patient)
        names.append(path.name)
    slide = Slide("A", tmp_path, "A", 1, images=tuple(names), parts=(ImagePart("T1w", "unknown"),) * 2)
    work = make_image_store(slide, TABLE, tmp_path / "A.zarr", "key", {}, lambda tiles: None, threads=1)
    assert (SEVERAL_PATIENTS in work.remarks) is is_odd
    said = (tmp_path / "A.zarr" / "zarr.json").read_text().casefold()
    assert not any(f'"{patient}"'.casefold() in said for patient in ids), "only their number is kept"


def test_slices_with_windows_of_their_own(tmp_path: Path) -> None:
    ramp = np.arange(PX * PX, dtype=np.uint16).reshape(PX, PX)
    for number, centre in ((1, 64), (2, 128)):
        write_dicom(tmp_path / f"{number}.dcm", ramp, WindowCenter=centre, WindowWidth=2 * centre)
    write_dicom(tmp_path / "3.dcm", ramp)
    table = TABLE.model_copy(update={"series": SeriesTable(scale="window")})
    slide = Slide("A", tmp_path, "A", 1, images=("1.dcm", "2.dcm", "3.dcm"), parts=(ImagePart("T1w"),) * 3)
    (found,) = read_series(slide, table, 1)
    assert [one.scale for one in found.slices] == [Scale(0.0, 127.0), Scale(0.0, 255.0), None]
    assert (found.as_json()["black"], found.as_json()["white"]) == (0.0, 255.0)
    assert [one.error.reason if one.error else "" for one in found.slices] == ["", "", "no-window"]


def test_a_patient_of_near_empty_slices_alone_is_quarantined(tmp_path: Path) -> None:
    slide = Slide("A", slices(tmp_path / "A"), "A", 1, images=NAMES[:1], parts=PARTS[:1])
    with pytest.raises(SlideError, match="none of 1 slice shows") as caught:
        make_image_store(slide, TABLE, tmp_path / "A.zarr", "key", {}, lambda tiles: None, threads=1)
    assert caught.value.reason == "no-tissue"
