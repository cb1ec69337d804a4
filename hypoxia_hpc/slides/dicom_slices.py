"""Gray slices in DICOM files, as of MRI and CT: one a file, or several frames in one; through pydicom.

Values are those that the file means: with its rescale slope and intercept, and of MONOCHROME1, of which zero is white,
turned round before that. Slices of a series are ordered by where they lie along their normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.cohorts.barcodes import without_case
from hypoxia_hpc.cohorts.placeholders import placeholders
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.reading import open_plain
from hypoxia_hpc.slides.dicom import begins_as_dicom, ignore_odd_values, loaded_pydicom, may_be_dicom
from hypoxia_hpc.slides.image_files import MOST_IMAGE_BYTES, image_errors
from hypoxia_hpc.slides.volumes import FETCH_AGAIN, WRITE_ANEW, VolumeHeader, VolumeSlices, require_size
from hypoxia_hpc.tiling.gray_series import Scale
from hypoxia_hpc.tiling.slice_views import MOST_TURN, Directions, View, nearest_axes, turn_between, view_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DIRECTORY = "1.2.840.10008.1.3.10"
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# An encrypted file is an envelope of CMS (RFC 5652): a sequence that begins with this identifier.
ENVELOPE = bytes.fromhex("06092a864886f70d010703")
MOST_OFF = 0.01
CONVERT = "convert it to an uncompressed DICOM file (as with gdcmconv --raw), or leave it out"


def is_dicom(path: Path) -> bool:
    """Whether its name may be that of a DICOM file and, where it has no suffix, it begins as one; no directory of such
    files."""
    if path.suffix.lower() == ".dcm":
        return True
    try:
        if path.name.upper() == "DICOMDIR" or not (may_be_dicom(path) and begins_as_dicom(path)):
            return False
        kind = loaded_pydicom().filereader.read_file_meta_info(path).get("MediaStorageSOPClassUID")
    except Exception:  # noqa: BLE001 - a damaged header raises anything
        return False
    return bool(kind != DIRECTORY)


def dicom_header(path: Path) -> VolumeHeader:
    """What the header says. Raises SlideError: ``missing-file``, ``no-permission``, ``not-an-image`` (no DICOM, no
    pixels, encrypted), ``not-supported`` (colour, deflated), ``inconsistent-header``, ``image-too-large``."""
    with image_errors(path), _damage():
        header = _dataset(path, with_pixels=False)
        places = _places(header)
        view, rows, columns = _view(places), int(header.Rows), int(header.Columns)
        width, height = (rows, columns) if view and view.transposed else (columns, rows)
        name = str(header.get("SeriesDescription") or "").strip()
        return VolumeHeader(
            width,
            height,
            len(places),
            view.plane if view else "",
            multiple=len(places) > 1,
            series=str(header.get("SeriesInstanceUID") or ""),
            name=name if name.isprintable() else "",
            order=(_position(places[0], view), float(header.get("InstanceNumber") or 0)),
            directions=_directions(places[0], view),
            patient=_patient(header),
        )


def read_dicom(path: Path) -> VolumeSlices:
    """The slices of a file. Raises SlideError as `dicom_header`, and ``unreadable``."""
    with image_errors(path), _damage():
        data = _dataset(path, with_pixels=True)
        places = _places(data)
        view = _view(places)
        pixels = _pixels(data).reshape(len(places), int(data.Rows), int(data.Columns))
        values = _values(data, pixels)
        order = sorted(range(len(places)), key=lambda number: (_position(places[number], view), number))
        slices = tuple(view.seen(values[number]) if view else values[number] for number in order)
        return VolumeSlices(slices, _window(data), _directions(places[0], view), _patient(data))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a frame lies: its first pixel in mm, the directions in which columns go right and rows go down; empty
    where the file does not say it."""

    position: tuple[float, ...] = ()
    directions: tuple[float, ...] = ()


def _dataset(path: Path, *, with_pixels: bool) -> Dataset:
    """The header, sound as far as it is used here. Raises SlideError."""
    pydicom = loaded_pydicom()
    with open_plain(path, MOST_IMAGE_BYTES) as file:
        if not begins_as_dicom(path):
            what = "an encrypted file (a CMS envelope)" if ENVELOPE in file.read(64) else "no DICOM file"
            raise SlideError("not-an-image", what, remedy=FETCH_AGAIN)
        ignore_odd_values()
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian:
            raise SlideError("not-supported", "a deflated DICOM file", remedy=CONVERT)
        data: Dataset = pydicom.filereader.dcmread(file, stop_before_pixels=not with_pixels)
        # Without them reading stops at the pixels, or at the end of the file.
        _require_gray(data, has_pixels=any(name in data for name in PIXELS) if with_pixels else bool(file.read(1)))
    return data


@contextmanager
def _damage() -> Iterator[None]:
    """What a damaged header leads to, as SlideError."""
    try:
        yield
    except (SlideError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - it raises anything
        problem = f"its DICOM header cannot be read: {type(error).__name__}: {_first_line(error)}"
        raise SlideError("not-an-image", problem, remedy=FETCH_AGAIN) from None


def _require_gray(data: Dataset, *, has_pixels: bool) -> None:
    if not has_pixels:
        is_encrypted = "EncryptedAttributesSequence" in data
        what = "a DICOM file whose pixels are encrypted" if is_encrypted else "a DICOM file without pixels"
        raise SlideError("not-an-image", what, remedy="leave it out")
    samples, kind = int(data.get("SamplesPerPixel") or 1), str(data.get("PhotometricInterpretation") or "")
    if samples != 1 or not kind.startswith("MONOCHROME"):
        raise SlideError("not-supported", f"a DICOM file in colour ({kind})", remedy="write it in gray")
    require_size(int(data.Columns), int(data.Rows), int(data.get("NumberOfFrames") or 1))


def _groups(data: Dataset) -> list[tuple[Any, Any, Any]]:
    """Of each frame where its values stand: what it says itself, what frames share, the file. Raises SlideError where
    they are not as many as there are frames."""
    n = int(data.get("NumberOfFrames") or 1)
    own = data.get("PerFrameFunctionalGroupsSequence") or [None] * n
    if len(own) != n:
        problem = f"the header contradicts itself: {n:,} frames, of which {len(own):,} are described"
        raise SlideError("inconsistent-header", problem, remedy=WRITE_ANEW)
    shared = (data.get("SharedFunctionalGroupsSequence") or [None])[0]
    return [(one, shared, data) for one in own]


def _places(data: Dataset) -> list[_Place]:
    """Of each frame. Raises whatever a damaged header leads to."""
    return [_place(groups) for groups in _groups(data)]


def _place(groups: Sequence[Any]) -> _Place:
    position = _numbers(groups, "PlanePositionSequence", "ImagePositionPatient", 3)
    return _Place(position, _numbers(groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6))


def _numbers(groups: Sequence[Any], sequence: str, name: str, n: int) -> tuple[float, ...]:
    """The first of the groups that says it: in a sequence of its own, or (the file itself) as it is."""
    for group in groups:
        inner = (group.get(sequence) or [None])[0] if group is not None else None
        for one in (inner, group):
            values = one.get(name) if one is not None else None
            if values is not None and len(values) == n:
                return tuple(float(value) for value in values)
    return ()


def _view(places: Sequence[_Place]) -> View | None:
    """How all frames are turned; None where the file does not say how they lie. Raises SlideError where they lie in
    several planes or are turned against each other, or the directions are none."""
    views = list(dict.fromkeys(_view_of(place) for place in places))
    if len(views) > 1:
        planes = ", ".join(view.plane if view else "unknown" for view in views)
        raise SlideError("mixed-series", f"frames that lie in several ways: {planes}", remedy=WRITE_ANEW)
    first = _directions(places[0], views[0])
    most = max(turn_between(first, _directions(place, views[0])) for place in places)
    if most > MOST_TURN:
        raise SlideError(
            "mixed-series", f"frames that are turned against the first by up to {most:.0f}°", remedy=WRITE_ANEW
        )
    return views[0]


def _directions(place: _Place, view: View | None) -> Directions:
    if view is None:
        return ()
    return view.directions_seen(np.array(place.directions[3:]), np.array(place.directions[:3]))


def _axes(place: _Place) -> list[tuple[int, int]]:
    """The axes of the patient along which rows go down, columns go right, and that slices are stacked along."""
    right, down = np.array(place.directions[:3]), np.array(place.directions[3:])
    lengths = np.linalg.norm(right), np.linalg.norm(down)
    if not all(abs(length - 1) <= MOST_OFF for length in lengths) or abs(float(right @ down)) > MOST_OFF:
        raise SlideError(
            "inconsistent-header",
            f"ImageOrientationPatient is no pair of directions at a right angle: {list(place.directions)}",
            remedy=WRITE_ANEW,
        )
    return nearest_axes(np.stack([down, right, np.cross(right, down)], axis=1))


def _view_of(place: _Place) -> View | None:
    if not place.directions:
        return None
    down, right, through = _axes(place)
    return view_of(down, right, through[0])


def _position(place: _Place, view: View | None) -> float:
    """Millimetres along the normal of the slices, from right to left, from front to back or from the feet to the head;
    0 where the file does not say it."""
    if view is None or not place.position:
        return 0.0
    normal = np.cross(place.directions[:3], place.directions[3:])
    found = float(normal @ np.array(place.position)) * _axes(place)[2][1]
    return found if math.isfinite(found) else 0.0


def _pixels(data: Dataset) -> NDArray[Any]:
    try:
        pixels: NDArray[Any] = data.pixel_array
    except Exception as error:  # noqa: BLE001 - damaged pixels raise anything
        syntax = data.file_meta.TransferSyntaxUID
        if not _is_decodable(syntax):
            problem = f"compressed with {syntax.name}, for which pydicom finds no decoder here"
            raise SlideError("not-supported", problem, remedy=CONVERT) from None
        problem = f"its pixels do not decode: {_first_line(error)}"
        raise SlideError("unreadable", problem, remedy=FETCH_AGAIN) from None
    return pixels


def _is_decodable(syntax: Any) -> bool:
    if not syntax.is_compressed:
        return True
    from pydicom.pixels.decoders.base import get_decoder

    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _values(data: Dataset, pixels: NDArray[Any]) -> NDArray[Any]:
    """What the pixels of frames (n, height, width) mean."""
    if data.PhotometricInterpretation == "MONOCHROME1" and pixels.dtype.kind in "iu":
        top = -1 if int(data.get("PixelRepresentation") or 0) else 2 ** int(data.get("BitsStored") or 16) - 1
        pixels = (top - pixels.astype(np.int64)).astype(np.int32)
    slopes, intercepts = np.array([_rescale(groups) for groups in _groups(data)]).T
    if (slopes == 1).all() and not intercepts.any() and pixels.dtype.kind in "iu":
        return pixels
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32 is infinite, and left out
        scaled = pixels.astype(np.float64) * slopes[:, None, None] + intercepts[:, None, None]
        return np.asarray(scaled, dtype=np.float32)


def _rescale(groups: Sequence[Any]) -> tuple[float, float]:
    for group in groups:
        inner = (group.get("PixelValueTransformationSequence") or [None])[0] if group is not None else None
        for one in (inner, group):
            if one is not None and one.get("RescaleSlope") is not None:
                return float(one.RescaleSlope), float(one.get("RescaleIntercept") or 0)
    return 1.0, 0.0


def _patient(data: Dataset) -> str:
    """PatientID; "" where it names no one, as ANONYMOUS does."""
    found = str(data.get("PatientID") or "").strip()
    return "" if placeholders([found]) else without_case(found)


def _window(data: Dataset) -> Scale | None:
    """The first one of the file: black and white as DICOM's linear function has them (PS3.3 C.11.2.1.2)."""
    centre, width = (_first(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not width > 1:
        return None
    return Scale(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _first(value: Any) -> float | None:
    one = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and len(value) else value
    return None if one in (None, "") else float(one)
