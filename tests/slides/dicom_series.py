"""DICOM whole-slide series, made with pydicom: uncompressed tiles of a random image that OpenSlide opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from hypoxia_hpc.slides.dicom import WHOLE_SLIDE_IMAGE

TILE = 64


def image_of(seed: int, width: int, height: int) -> np.ndarray:
    """Smooth noise, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3), dtype=np.uint8)


def tiles_of(image: np.ndarray) -> list[bytes]:
    """Row by row; a partial tile is filled with white."""
    height, width = image.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    whole = np.full((rows * TILE, columns * TILE, 3), 255, dtype=np.uint8)
    whole[:height, :width] = image
    parts = whole.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)
    return [part.tobytes() for row in parts for part in row]


def write_instance(
    path: Path,
    image: np.ndarray,
    *,
    series: str,
    patient: str = "",
    kind: str = "VOLUME",
    mpp: float = 0.5,
    part: tuple[int, int] | None = None,
    source: str = "",
    sop_class: str = WHOLE_SLIDE_IMAGE,
) -> Path:
    """One instance. ``part`` (index, count): of a concatenation whose source is ``source``, one row of frames each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.ImageType = [
        "ORIGINAL" if kind != "VOLUME" or not part else "DERIVED",
        "PRIMARY",
        kind,
        "RESAMPLED" if kind == "THUMBNAIL" else "NONE",
    ]
    data.Modality, data.PatientID, data.SeriesInstanceUID = "SM", patient, series
    data.StudyInstanceUID, data.FrameOfReferenceUID = generate_uid(), generate_uid()
    frames = tiles_of(image)
    height, width = image.shape[:2]
    if part is not None:
        index, count = part
        size = -(-len(frames) // count)
        data.ConcatenationUID, data.SOPInstanceUIDOfConcatenationSource = generate_uid(entropy_srcs=[source]), source
        data.InConcatenationNumber, data.InConcatenationTotalNumber = index + 1, count
        data.ConcatenationFrameOffsetNumber = index * size
        frames = frames[index * size : (index + 1) * size]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.NumberOfFrames, data.Rows, data.Columns = len(frames), TILE, TILE
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.TotalPixelMatrixFocalPlanes = 1
    data.DimensionOrganizationType = "TILED_FULL"
    measures = Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    data.ImagedVolumeWidth, data.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    data.NumberOfOpticalPaths = 1
    optical = Dataset()
    optical.OpticalPathIdentifier = "1"
    data.OpticalPathSequence = Sequence([optical])
    data.PixelData = b"".join(frames)
    data["PixelData"].VR = "OB"
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_series(
    folder: Path, seed: int, *, patient: str = "", sizes: tuple[int, ...] = (200, 100), suffix: str = ".dcm"
) -> list[Path]:
    """Levels of the given sides, a label and an overview, with names that are UIDs; the VOLUME files first."""
    series = generate_uid()
    written = []
    for index, side in enumerate(sizes):
        name = f"{generate_uid(entropy_srcs=[str(seed), str(index)])}{suffix}"
        image = image_of(seed, side, side)
        written.append(write_instance(folder / name, image, series=series, patient=patient, mpp=0.5 * 2**index))
    for kind in ("LABEL", "OVERVIEW"):
        name = f"{generate_uid(entropy_srcs=[str(seed), kind])}{suffix}"
        label = image_of(seed, TILE, TILE)
        written.append(write_instance(folder / name, label, series=series, patient=patient, kind=kind))
    return written


def rewritten(path: Path, pixels: np.ndarray | None = None, **tags: object) -> Path:
    """The file with these tags (None: without), and other samples as its frames, (n, TILE, TILE[, samples])."""
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    if pixels is not None:
        data.PixelData = pixels.tobytes()
        data["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path
