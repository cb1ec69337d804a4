"""A volume in the patient's axes as files of NIfTI and DICOM: what tests of slices share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

# Along x (to the left), y (to the back), z (to the head), so that no two views of it are alike.
SHAPE = (4, 5, 3)


def volume(seed: int = 0) -> NDArray[np.int16]:
    """int16 (x, y, z) of `SHAPE`, in the axes of the patient as DICOM has them."""
    return np.random.default_rng(seed).integers(1, 2_000, SHAPE).astype(np.int16)


def seen(of: NDArray[Any], plane: str) -> list[NDArray[Any]]:
    """Its slices as they have to be seen, one pixel at a time."""
    nx, ny, nz = of.shape
    if plane == "axial":
        return [np.array([[of[x, y, z] for x in range(nx)] for y in range(ny)]) for z in range(nz)]
    if plane == "coronal":
        return [np.array([[of[x, y, z] for x in range(nx)] for z in reversed(range(nz))]) for y in range(ny)]
    return [np.array([[of[x, y, z] for y in range(ny)] for z in reversed(range(nz))]) for x in range(nx)]


def write_nifti(
    path: Path,
    of: NDArray[Any],
    *,
    order: tuple[int, int, int] = (0, 1, 2),
    flips: tuple[bool, bool, bool] = (False, False, False),
    spacing: tuple[float, float, float] = (1.0, 1.0, 3.0),
    kind: type[Any] = nibabel.Nifti1Image,
) -> Path:
    """Voxels in another order and direction, whose affine says so. ``spacing`` in mm along x, y, z."""
    steps = np.eye(3) * spacing * np.array([-1.0, -1.0, 1.0])  # columns: x, y, z of NIfTI per voxel
    voxels = of
    origin = np.zeros(3)
    for axis in range(3):
        if flips[axis]:
            origin = origin + steps[:, axis] * (of.shape[axis] - 1)
            steps[:, axis] *= -1
            voxels = np.flip(voxels, axis)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = steps[:, order], origin
    image = kind(np.ascontiguousarray(voxels.transpose(order)), affine)
    image.header.set_data_dtype(of.dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


# Of each plane the directions in which columns go right and rows go down, and how a slice of `volume` is stored so.
PATIENT = {"axial": (1, 0, 0, 0, 1, 0), "coronal": (1, 0, 0, 0, 0, -1), "sagittal": (0, 1, 0, 0, 0, -1)}


def write_dicom(path: Path, pixels: NDArray[Any], *, series: str = "1.2.3", **entries: Any) -> Path:
    """One file of gray pixels, (rows, columns) or (frames, rows, columns). An entry of None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.Modality, data.InstanceNumber = series, "MR", 1
    data.Rows, data.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * pixels.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.PixelData = np.ascontiguousarray(pixels).tobytes()
    for name, value in entries.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def turned(degrees: float) -> list[float]:
    """The directions of axial slices that are turned about the axis from right to left."""
    angle = np.deg2rad(degrees)
    return [1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle))]


def write_series(folder: Path, of: NDArray[Any], plane: str = "axial", **entries: Any) -> list[Path]:
    """A file for each slice, named against their order in the patient, which the positions say."""
    axis = ("sagittal", "coronal", "axial").index(plane)
    slices = seen(of, plane)
    paths = []
    for number, pixels in enumerate(slices):
        position = [0.0, 0.0, 0.0]
        position[axis] = 3.0 * number
        path = folder / f"{len(slices) - number:04}.dcm"
        geometry = {"ImageOrientationPatient": list(PATIENT[plane]), "ImagePositionPatient": position}
        paths.append(write_dicom(path, pixels, **{"InstanceNumber": len(slices) - number, **geometry, **entries}))
    return paths


def groups(**entries: Any) -> Dataset:
    """An item of a sequence of functional groups: a sequence of one item for each entry."""
    data = Dataset()
    for name, values in entries.items():
        inner = Dataset()
        for entry, value in values.items():
            setattr(inner, entry, value)
        setattr(data, name, [inner])
    return data
