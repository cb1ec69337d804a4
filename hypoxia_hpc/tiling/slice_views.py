"""How slices of a volume lie in the patient, and how they are turned so that all are seen alike. Pure.

Axes of the patient are those of DICOM: x to the left, y to the back, z to the head. A slice is seen as radiologists see
it, by turns and mirrors alone, no pixel is made up: axial ones from the feet (front above, the patient's right on the
left), coronal ones from the front and sagittal ones from the patient's left with the head above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import Float64Array

# The plane of slices by the axis that they are stacked along.
PLANES = ("sagittal", "coronal", "axial")
# Of each plane the axis along which rows of pixels go down, with its sign, and the axis along which columns go right.
_SEEN = {"axial": ((1, 1), (0, 1)), "coronal": ((2, -1), (0, 1)), "sagittal": ((2, -1), (1, 1))}
MOST_OFF = 0.01
# Degrees by which slices of one series may be turned against each other: what scanners round is far below a degree, and
# the slabs of a spine or the spokes of a radial scan, which lie in other ways, are further apart.
MOST_TURN = 5.0
# In mm or as cosines.
SHORTEST, LONGEST = 1e-6, 1e6


# Of a slice: three numbers along the axes of the patient for columns, three for rows; empty where they are not known.
Directions = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class View:
    """How slices are turned: first rows and columns change places where ``transposed``, then they are mirrored."""

    plane: str
    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def seen(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(height, width) as it is seen."""
        turned = pixels.T if self.transposed else pixels
        turned = turned[::-1] if self.flip_rows else turned
        return np.ascontiguousarray(turned[:, ::-1] if self.flip_columns else turned)

    def directions_seen(self, down: Float64Array, right: Float64Array) -> Directions:
        """Where columns go right and rows go down in the slices as they are seen, of any length; ``down`` and
        ``right``: in the slices as they lie in their file."""
        if self.transposed:
            down, right = right, down
        signs = np.repeat([-1 if self.flip_columns else 1, -1 if self.flip_rows else 1], 3)
        return tuple((np.concatenate([right, down]) * signs).tolist())


def turn_between(one: Directions, other: Directions) -> float:
    """Degrees, 0..180, between the directions of two slices, of rows or of columns, whichever is more; 0 where one of
    them has none."""
    if not (one and other):
        return 0.0
    pairs = ((np.array(one[part]), np.array(other[part])) for part in (slice(3), slice(3, 6)))
    cosines = [float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairs]
    return float(np.degrees(np.arccos(np.clip(min(cosines), -1.0, 1.0))))


def nearest_axes(directions: Float64Array) -> list[tuple[int, int]]:
    """Of three directions, the columns of float64 (3, 3), the axis of the patient that each is nearest to, and whether
    it goes along (1) or against it (-1); each axis once, the nearest first. Raises ValueError where they are no
    directions in space: not finite, of no length, or two of them the same."""
    largest = np.abs(directions).max(axis=0)
    if not ((largest > SHORTEST) & (largest < LONGEST)).all():
        raise ValueError("a direction of no length, or not finite")
    lengths = np.linalg.norm(directions, axis=0)
    cosines = directions / lengths
    if abs(np.linalg.det(cosines)) < MOST_OFF:
        raise ValueError("two directions are the same")
    left = np.abs(cosines)
    found = [(0, 0)] * 3
    for _ in range(3):
        axis, place = np.unravel_index(int(left.argmax()), left.shape)
        found[int(place)] = int(axis), 1 if cosines[axis, place] > 0 else -1
        left[axis, :] = left[:, place] = -1.0
    return found


def view_of(down: tuple[int, int], right: tuple[int, int], through: int) -> View:
    """How slices along the axis ``through`` are turned, of which rows go down along one axis of the patient and columns
    go right along another, each with its sign."""
    plane = PLANES[through]
    want_down, want_right = _SEEN[plane]
    transposed = down[0] != want_down[0]
    if transposed:
        down, right = right, down
    return View(plane, transposed, down[1] != want_down[1], right[1] != want_right[1])


def through_plane(spacings: Sequence[float], axes: Sequence[tuple[int, int]], plane: str) -> int:
    """Which of three axes of voxels slices are stacked along: that with the largest spacing, where it is over 1 % above
    the others, else that of ``plane``."""
    order = sorted(range(3), key=lambda place: -spacings[place])
    if spacings[order[0]] > spacings[order[1]] * (1 + MOST_OFF):
        return order[0]
    return [axis for axis, _ in axes].index(PLANES.index(plane))
