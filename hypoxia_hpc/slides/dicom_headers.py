"""Where a DICOM slide lies in space, and whose it is: what files that are derived from it repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.errors import SlideError, missing_file
from hypoxia_hpc.slides.dicom import ignore_odd_values, read_header, volumes_of

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

# Type 2: present, with or without a value. Files whose identity was removed may lack them.
MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
IN_SPACE = ("FrameOfReferenceUID", "ImageOrientationSlide", "TotalPixelMatrixOriginSequence")
NEEDED = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType"),
    *("TotalPixelMatrixColumns", "TotalPixelMatrixRows", "Rows", "Columns", "NumberOfFrames"),
    *("SharedFunctionalGroupsSequence", *IN_SPACE),
)
OTHERS = (
    *("SpecificCharacterSet", "StudyDescription", "PositionReferenceIndicator", "DimensionOrganizationType"),
    *("ContainerIdentifier", "IssuerOfTheContainerIdentifierSequence", "ContainerTypeCodeSequence"),
    *("SpecimenDescriptionSequence", "TotalPixelMatrixFocalPlanes", "SamplesPerPixel"),
    *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
# From here on a header has an entry for each frame, then pixels.
FIRST_OF_FRAMES = 0x5200_9230


@dataclass(frozen=True, slots=True)
class SlidePlane:
    """The full resolution of a slide. ``headers``: of its file, or of all its parts in order, without pixels.
    ``position``: middle of its first pixel, in mm; ``orientation``: cosines along a row and down a column;
    ``spacing_mm``: between rows and between columns."""

    path: Path
    headers: tuple[FileDataset, ...]

    @property
    def size_l0(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.headers[0].TotalPixelMatrixColumns), int(self.headers[0].TotalPixelMatrixRows)

    @property
    def position(self) -> list[float]:
        origin = self.headers[0].TotalPixelMatrixOriginSequence[0]
        x, y = origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem
        return [float(x), float(y), float(origin.get("ZOffsetInSlideCoordinateSystem") or 0)]

    @property
    def orientation(self) -> list[float]:
        return [float(one) for one in self.headers[0].ImageOrientationSlide]

    @property
    def spacing_mm(self) -> list[float]:
        return [float(one) for one in self._measures().PixelSpacing]

    @property
    def thickness_mm(self) -> float:
        return float(self._measures().SliceThickness)

    def _measures(self) -> FileDataset:
        measures: FileDataset = self.headers[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        return measures

    @contextmanager
    def odd_headers(self) -> Iterator[None]:
        """What cannot be made of this header raises SlideError ``inconsistent-header``; errors of the machine pass."""
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            why = str(error).partition("\n")[0][:200]
            raise SlideError(
                "inconsistent-header",
                f"{self.path}: nothing can be derived from this DICOM header ({type(error).__name__}: {why})",
                remedy="take --to qupath",
            ) from error


def slide_plane(path: Path) -> SlidePlane:
    """Of the slide that a DICOM file belongs to. Raises SlideError ``missing-file``, ``not-dicom`` for other slides,
    ``no-frame-of-reference`` where the header does not say where the slide lies, ``inconsistent-header``."""
    if not path.exists():
        raise missing_file(path)
    parts = _of_full_resolution(path)
    if not parts:
        raise SlideError(
            "not-dicom",
            f"{path} is no DICOM slide, and what is derived of a slide in DICOM belongs to its study",
            remedy="take --to qupath, csv or parquet",
        )
    _require(path, parts[0])
    for header in parts:
        for name in MAY_BE_EMPTY:
            header.setdefault(name, "")
    return SlidePlane(path, parts)


def _of_full_resolution(path: Path) -> tuple[FileDataset, ...]:
    """Headers of the VOLUME file with the most pixels, or of all its parts, in order."""
    names = (*NEEDED, *MAY_BE_EMPTY, *OTHERS, "InConcatenationNumber")
    found = [_read(each.path, names) for each in volumes_of(path)]
    widest = max((_width(each) for each in found), default=0)
    parts = [each for each in found if _width(each) == widest]
    return tuple(sorted(parts, key=lambda each: int(each.get("InConcatenationNumber") or 0)))


def _read(path: Path, names: Sequence[str]) -> FileDataset:
    ignore_odd_values()
    try:
        header = read_header(path, names, FIRST_OF_FRAMES)
        header.decode()
    except Exception as error:  # noqa: BLE001 - a damaged header raises anything
        why = str(error).partition("\n")[0][:200]
        raise SlideError(
            "inconsistent-header", f"{path}: its DICOM header cannot be read ({why})", remedy="fetch it again"
        ) from None
    return header


def _width(header: FileDataset) -> int:
    return int(header.get("TotalPixelMatrixColumns") or 0)


def _require(path: Path, header: FileDataset) -> None:
    """Raises SlideError ``no-frame-of-reference`` with the names of all that is missing."""
    missing = [name for name in NEEDED if not header.get(name)]
    if shared := header.get("SharedFunctionalGroupsSequence"):
        measures = (shared[0].get("PixelMeasuresSequence") or [{}])[0]
        missing += [name for name in ("PixelSpacing", "SliceThickness") if not measures.get(name)]
    if missing:
        raise SlideError(
            "no-frame-of-reference",
            f"{path}: its header does not say where the slide lies: {', '.join(missing)} missing",
            remedy="take --to qupath",
        )
