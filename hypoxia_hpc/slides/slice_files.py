"""Files of gray slices, whatever their kind: PNG, JPEG, TIFF of one, DICOM of one or several, NIfTI of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError, some
from hypoxia_hpc.records import ImagePart
from hypoxia_hpc.slides.dicom_slices import dicom_header, is_dicom, read_dicom
from hypoxia_hpc.slides.gray_images import read_gray, require_finite
from hypoxia_hpc.slides.image_files import GRAY_MODES, ImageHeader, image_errors, image_header
from hypoxia_hpc.slides.image_files import SUFFIXES as IMAGE_SUFFIXES
from hypoxia_hpc.slides.nifti import is_nifti, nifti_header, read_nifti
from hypoxia_hpc.slides.volumes import VolumeHeader
from hypoxia_hpc.tiling.gray_series import Scale
from hypoxia_hpc.tiling.slice_views import PLANES, Directions


@dataclass(frozen=True, slots=True)
class FileSlices:
    """Slices that are read of a file, each (height, width), or why one cannot be taken; the number of the first where
    it has several; the file's own window, how they lie, and whom it names."""

    slices: tuple[NDArray[Any] | SlideError, ...]
    first: int | None = None
    window: Scale | None = None
    directions: Directions = ()
    patient: str = ""


def is_volume(path: Path) -> bool:
    """Whether it is a file of DICOM or NIfTI, by its name, and where it has no suffix by its first bytes."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return False
    return is_nifti(path.name) or is_dicom(path)


def volume_header(path: Path, plane: str) -> VolumeHeader:
    """Of a file for which `is_volume` holds; ``plane``: where its spacings are equal. Raises SlideError."""
    return nifti_header(path, plane) if is_nifti(path.name) else dicom_header(path)


def slice_header(path: Path, plane: str) -> ImageHeader:
    """The sides of the slices of any file, ``plane`` as images.csv has it. Raises SlideError as `image_header` and
    `volume_header`."""
    if not is_volume(path):
        return image_header(path, GRAY_MODES)
    found = volume_header(path, _plane(plane))
    kind = "NIfTI" if is_nifti(path.name) else "DICOM"
    return ImageHeader(kind, found.width, found.height, path.stat().st_size, found.directions, found.patient)


def read_slices(path: Path, part: ImagePart) -> FileSlices:
    """The slices of a file that images.csv names, all of a file of which it names none; SlideError ``not-finite`` in
    place of one with pixels that are no numbers. Raises SlideError as `read_gray`, `read_dicom`, `read_nifti`;
    ``inconsistent-header`` where the file has not that many."""
    if not is_volume(path):
        return FileSlices((read_gray(path),))
    found = read_nifti(path, _plane(part.plane)) if is_nifti(path.name) else read_dicom(path)
    slices = found.slices
    first, stop = part.slices or (0, len(slices))
    if stop > len(slices):
        problem = f"{path}: images.csv has slices {first} to {stop - 1} of it, and it has {some(len(slices), 'slice')}"
        raise SlideError("inconsistent-header", problem, remedy="make the run again, if the file is meant")
    number = None if part.slices is None and len(slices) == 1 else first
    taken = tuple(_finite(path, one) for one in slices[first:stop])
    return FileSlices(taken, number, found.window, found.directions, found.patient)


def _finite(path: Path, pixels: NDArray[Any]) -> NDArray[Any] | SlideError:
    """The slice, or why it is left out."""
    try:
        with image_errors(path):
            if pixels.dtype.kind == "f":
                require_finite(pixels)
    except SlideError as error:
        return error
    return pixels


def _plane(plane: str) -> str:
    return plane if plane in PLANES else "axial"
