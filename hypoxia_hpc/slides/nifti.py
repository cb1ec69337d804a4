"""NIfTI volumes (.nii, .nii.gz) as series of slices: the header through nibabel, the voxels as they lie in the file.

A volume that says how it lies is cut along the axis of its largest spacing, and its slices are seen as radiologists see
them. One that does not (both its codes are zero) is cut along its third axis as it is.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.reading import open_plain
from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.image_files import image_errors
from hypoxia_hpc.slides.volumes import FETCH_AGAIN, MOST_VOXELS, WRITE_ANEW, VolumeHeader, VolumeSlices, require_size
from hypoxia_hpc.tiling.slice_views import Directions, View, nearest_axes, through_plane, view_of

SUFFIXES = (".nii", ".nii.gz")
MOST_FILE_BYTES = 2**32
# NIfTI-1 has 348 bytes, NIfTI-2 540; extensions, which are not read, come after.
HEADER_BYTES, HEADER2_BYTES, MOST_OFFSET = 348, 540, 2**26
KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


@dataclass(frozen=True, slots=True)
class _Volume:
    """``axis`` of the voxels is that along which slices are stacked, ``backwards`` where they go against the axis of
    the patient; ``view`` is None where the file says nothing of how it lies, else ``directions`` are of the slices as
    they are seen."""

    header: Any
    shape: tuple[int, int, int]
    axis: int
    backwards: bool
    view: View | None
    directions: Directions = ()


def is_nifti(name: str) -> bool:
    """By its suffix."""
    return name.lower().endswith(SUFFIXES)


def has_nifti(slides: Sequence[Slide]) -> bool:
    """Whether any of their images is such a file."""
    return any(is_nifti(image) for slide in slides for image in slide.images)


def require_nibabel() -> None:
    """Raises InputError where it is not installed."""
    if find_spec("nibabel") is None:
        raise InputError(
            "NIfTI files are read through the Python package nibabel, which is not installed here",
            remedy="pip install 'hypoxia-hpc[nifti]', or leave these files out (--exclude '*.nii*')",
        )


def nifti_header(path: Path, plane: str) -> VolumeHeader:
    """What a volume's header says; ``plane`` is that of its slices where all spacings are equal. Raises SlideError:
    ``missing-file``, ``no-permission``, ``not-an-image``, ``not-supported``, ``inconsistent-header``,
    ``several-images`` (more than one volume), ``image-too-large``."""
    with image_errors(path), _opened(path) as file:
        volume = _volume(file, plane)
    rows, columns = (size for place, size in enumerate(volume.shape) if place != volume.axis)
    view = volume.view
    width, height = (rows, columns) if view and view.transposed else (columns, rows)
    n, plane = volume.shape[volume.axis], view.plane if view else ""
    return VolumeHeader(width, height, n, plane, directions=volume.directions)


def read_nifti(path: Path, plane: str) -> VolumeSlices:
    """The slices of a volume from right to left, from front to back or from the feet to the head. ``plane`` as in
    `nifti_header`. Raises SlideError as that, and ``unreadable``."""
    with image_errors(path), _opened(path) as file:
        volume = _volume(file, plane)
        voxels = _voxels(file, volume)
        slices = [voxels.take(place, axis=volume.axis) for place in range(volume.shape[volume.axis])]
    if volume.backwards:
        slices.reverse()
    view = volume.view
    return VolumeSlices(tuple(view.seen(one) if view else one for one in slices), None, volume.directions)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed as they are read. Raises SlideError for what gzip says of them."""
    require_nibabel()
    with open_plain(path, MOST_FILE_BYTES) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SlideError("unreadable", f"it does not decompress: {error}", remedy=FETCH_AGAIN) from None


def _volume(file: IO[bytes], plane: str) -> _Volume:
    header = _header(file)
    shape = _shape(header)
    codes = int(header["sform_code"]), int(header["qform_code"])
    if not any(codes):
        return _Volume(header, shape, 2, backwards=False, view=None)
    try:
        with np.errstate(all="ignore"):  # of numbers that cannot be
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)[:3, :3]
        directions = affine * np.array([[-1.0], [-1.0], [1.0]])  # NIfTI has x to the right and y to the front
        axes = nearest_axes(directions)
    except ValueError as error:
        problem = f"the header contradicts itself: how its voxels lie ({error})"
        raise SlideError("inconsistent-header", problem, remedy=WRITE_ANEW) from None
    axis = through_plane(np.linalg.norm(directions, axis=0).tolist(), axes, plane)
    down, right = (place for place in range(3) if place != axis)
    through, sign = axes[axis]
    view = view_of(axes[down], axes[right], through)
    seen = view.directions_seen(directions[:, down], directions[:, right])
    return _Volume(header, shape, axis, backwards=sign < 0, view=view, directions=seen)


def _header(file: IO[bytes]) -> Any:
    """Of nibabel, from the first bytes alone. Raises SlideError."""
    from nibabel import imageglobals
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    first = file.read(HEADER_BYTES)
    size = {first[:4], first[3::-1]}
    is_second = (540).to_bytes(4, "big") in size
    data = first + (file.read(HEADER2_BYTES - HEADER_BYTES) if is_second else b"")
    try:
        imageglobals.logger.disabled = True  # what it remarks is judged below
        kind: Any = Nifti2Header if is_second else Nifti1Header
        header = kind(data)
    except Exception as error:  # noqa: BLE001 - a damaged header raises anything
        raise SlideError("not-an-image", f"no header of a NIfTI file: {error}", remedy=FETCH_AGAIN) from None
    if not bytes(header["magic"]).startswith(b"n+"):
        problem = "no NIfTI file with its voxels in it (magic n+1 or n+2)"
        raise SlideError("not-an-image", problem, remedy="write it as .nii or .nii.gz")
    return header


def _shape(header: Any) -> tuple[int, int, int]:
    """Of three axes. Raises SlideError for what is no volume of numbers."""
    dim = [int(one) for one in header["dim"]]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        problem = f"the header contradicts itself: dim {', '.join(map(str, dim))}"
        raise SlideError("inconsistent-header", problem, remedy=WRITE_ANEW)
    shape = [*dim[1 : dim[0] + 1], 1, 1]
    if any(one != 1 for one in shape[3:]):
        problem = f"several volumes in one file: {' x '.join(map(str, shape[: dim[0]]))} voxels"
        raise SlideError("several-images", problem, remedy="write each volume to a file")
    require_size(*shape[:3])
    kind = _kind(header)
    if kind.name not in KINDS:
        raise SlideError("not-supported", f"voxels of a kind that is not read ({kind.name})", remedy=WRITE_ANEW)
    return shape[0], shape[1], shape[2]


def _kind(header: Any) -> np.dtype[Any]:
    try:
        kind: np.dtype[Any] = header.get_data_dtype()
    except Exception:  # noqa: BLE001 - a code that is none
        code = int(header["datatype"])
        raise SlideError("not-supported", f"voxels of an unknown kind ({code})", remedy=WRITE_ANEW) from None
    return kind


def _voxels(file: IO[bytes], volume: _Volume) -> NDArray[Any]:
    header, kind = volume.header, _kind(volume.header)
    n = volume.shape[0] * volume.shape[1] * volume.shape[2]
    assert n <= MOST_VOXELS  # noqa: S101 - see `_shape`
    file.seek(_offset(header))
    data = file.read(n * kind.itemsize)
    if len(data) < n * kind.itemsize:
        problem = f"it ends too soon: {len(data):,} of {n * kind.itemsize:,} bytes of voxels"
        raise SlideError("unreadable", problem, remedy=FETCH_AGAIN)
    voxels = np.frombuffer(data, dtype=kind).reshape(volume.shape, order="F")
    return _scaled(voxels, *_slope(header))


def _offset(header: Any) -> int:
    """Of the first voxel, in bytes."""
    offset = float(header["vox_offset"])
    if not int(header["sizeof_hdr"]) <= offset <= MOST_OFFSET or offset != int(offset):
        problem = f"the header contradicts itself: voxels from byte {offset:g}"
        raise SlideError("inconsistent-header", problem, remedy=WRITE_ANEW)
    return int(offset)


def _slope(header: Any) -> tuple[float, float]:
    """What voxels are multiplied by, and what is added then; (1, 0) where the header says neither."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):
        return 1.0, 0.0
    return slope, intercept if np.isfinite(intercept) else 0.0


def _scaled(voxels: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    native = voxels.dtype.newbyteorder("=")
    if (slope, intercept) == (1.0, 0.0) and native.kind in "iu":
        return voxels.astype(native)
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32 is infinite, and left out
        return (voxels.astype(np.float64) * slope + intercept).astype(np.float32)
