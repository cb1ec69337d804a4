"""What is known of a file of slices (DICOM, NIfTI) before its pixels are read, and what is refused of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError, some
from hypoxia_hpc.tiling.gray_series import Scale
from hypoxia_hpc.tiling.slice_views import Directions

# 512 slices of 512 x 512; as float32 that is 512 MiB.
MOST_VOXELS = 2**27
MOST_SIDE = 32_768
FETCH_AGAIN = "fetch the file again, or leave it out"
WRITE_ANEW = "write it anew from the original, or leave it out"


@dataclass(frozen=True, slots=True)
class VolumeHeader:
    """``width`` and ``height`` in pixels of each of ``n`` slices as they are seen; ``plane`` "" where the file says
    nothing of how they lie. ``multiple``: a file of this kind may have several slices. Of DICOM also the ``series`` by
    its UID, what it is called (``name``), and what its files are ordered by. ``directions`` of the slices as they are
    seen; ``patient``: whom a DICOM file names, "" where it names no one."""

    width: int
    height: int
    n: int
    plane: str
    multiple: bool = True
    series: str = ""
    name: str = ""
    order: tuple[float, ...] = ()
    directions: Directions = ()
    patient: str = ""


@dataclass(frozen=True, slots=True)
class VolumeSlices:
    """Slices of a file in their order, each (height, width) as it is seen: of integers as they are stored where the
    file rescales them by nothing, else of float32, some of which may be no number; the file's own window, None where it
    has none; how they lie; whom it names."""

    slices: tuple[NDArray[Any], ...]
    window: Scale | None = None
    directions: Directions = ()
    patient: str = ""


def require_size(width: int, height: int, n: int) -> None:
    """Raises SlideError for slices that are none, or too many pixels to be read at once."""
    if min(width, height, n) < 1:
        problem = f"the header contradicts itself: {some(n, 'slice')} of {width} x {height} pixels"
        raise SlideError("inconsistent-header", problem, remedy=WRITE_ANEW)
    if max(width, height) > MOST_SIDE or width * height * n > MOST_VOXELS:
        problem = (
            f"{some(n, 'slice')} of {width:,} x {height:,} pixels, at most {MOST_VOXELS:,} pixels are read at once"
        )
        raise SlideError("image-too-large", problem, remedy="cut it into parts of fewer slices")
