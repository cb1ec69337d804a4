"""The features and places of a slide's tiles, out of the files of another tool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.imports.feature_files import MOST_BYTES, FeatureFile
from hypoxia_hpc.imports.hdf5 import UNFIT, opened_hdf5, unfit
from hypoxia_hpc.imports.matching import ImportSource
from hypoxia_hpc.imports.tensors import read_tensor
from hypoxia_hpc.records import Int64Array

BLOCK_BYTES = 2**25
EXACT = 2**53
LOST_IN_SUM = 1e-3  # pixels; places by another rule are off by half a pixel or more


@dataclass(frozen=True, eq=False, slots=True)
class TileRows:
    """Of a slide, its tiles in reading order: ``values`` float16 or float32 (n, d), ``xy_l0`` int64 (n, 2), top left of
    each in level 0 pixels; ``side_l0`` in level 0 pixels, None where it is not known."""

    values: NDArray[Any]
    xy_l0: Int64Array
    side_l0: float | None


def read_rows(source: ImportSource, dtype: str, mpp_l0: float | None) -> TileRows:
    """``mpp_l0``: µm per level 0 pixel, None where it is not known. Raises SlideError for files that cannot be used,
    ``no-mpp``, ``non-finite-features``, ``float16-overflow``."""
    file = source.features
    if file is None:
        raise ValueError("a source without features")
    xy = _places(source, mpp_l0)
    order = np.lexsort((xy[:, 0], xy[:, 1]))
    _refuse_equal_places(xy[order], file.path)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    values = _read_tensor(file, rank, dtype) if file.layout == "tensor" else _read_hdf5(file, rank, dtype)
    return TileRows(values, xy[order], _side(source, mpp_l0))


def _places(source: ImportSource, mpp_l0: float | None) -> Int64Array:
    """In the order of the file."""
    file = _with_coords(source)
    with opened_hdf5(file.path) as opened:
        found = np.asarray(opened[file.coords][:, :2], dtype=np.float64)
    if file.in_um:
        if mpp_l0 is None:
            raise SlideError(
                "no-mpp",
                f"{file.path}: its coordinates are µm, and the µm per pixel of the slide are not known",
                remedy="a column mpp in slides.csv",
            )
        found = np.rint(found / mpp_l0)
    if file.at_middle:
        found = _corners(found, file.side_l0 or 0)
    if not np.isfinite(found).all() or (found != np.rint(found)).any() or (np.abs(found) > EXACT).any():
        raise unfit(file.path, "its coordinates are not whole pixels")
    whole: Int64Array = found.astype(np.int64)
    return whole


def _corners(middles: NDArray[np.float64], side_l0: float) -> NDArray[np.float64]:
    """Top left corners, whole where they are but for what the sum lost."""
    corners = middles - side_l0 / 2
    whole = np.rint(corners)
    return np.where(np.abs(corners - whole) < LOST_IN_SUM, whole, corners)


def _with_coords(source: ImportSource) -> FeatureFile:
    """The file of the two that has coordinates, of as many tiles."""
    file, places = source.features, source.places
    found = file if file is not None and file.coords else places
    if file is None or found is None or not found.coords:
        raise SlideError(
            UNFIT,
            f"{'' if file is None else file.path}: features without coordinates, and no file of the same name has them",
            remedy="give the folder with the coordinates, too (patches/ of CLAM and TRIDENT)",
        )
    if file.n and found.n != file.n:
        raise unfit(found.path, f"{found.n:,} tiles, and {file.path} has features of {file.n:,}")
    return found


def _refuse_equal_places(xy: Int64Array, path: Path) -> None:
    """``xy``: in reading order."""
    equal = int((np.diff(xy, axis=0) == 0).all(axis=1).sum())
    if equal:
        raise unfit(path, f"{equal:,} of {len(xy):,} tiles have the place of another one")


def _side(source: ImportSource, mpp_l0: float | None) -> float | None:
    for file in (source.features, source.places):
        if file is not None and file.side_l0 is not None:
            return file.side_l0
        if file is not None and file.side_um is not None and mpp_l0 is not None:
            return file.side_um / mpp_l0
    return None


def _read_hdf5(file: FeatureFile, rank: Int64Array, dtype: str) -> NDArray[Any]:
    """Some rows at a time, each to its place."""
    values = np.empty((file.n, file.length), dtype=dtype)
    bad = _BadRows()
    step = max(1, BLOCK_BYTES // (8 * file.length))
    with opened_hdf5(file.path) as opened:
        for start in range(0, file.n, step):
            block = opened[file.features][start : start + step]
            values[rank[start : start + len(block)]] = bad.looked_at(block, dtype)
    bad.refuse(file)
    return values


def _read_tensor(file: FeatureFile, rank: Int64Array, dtype: str) -> NDArray[Any]:
    found = read_tensor(file.path)
    if len(found) != len(rank):
        raise unfit(file.path, f"features of {len(found):,} tiles, and the file of coordinates has {len(rank):,}")
    if found.size * np.dtype(dtype).itemsize > MOST_BYTES:
        raise unfit(file.path, f"a tensor of {found.shape}, which no slide has")
    bad, values = _BadRows(), np.empty(found.shape, dtype=dtype)
    values[rank] = bad.looked_at(found, dtype)
    bad.refuse(file)
    return values


class _BadRows:
    """Counts tiles whose features are not finite, or not in the stored type."""

    def __init__(self) -> None:
        self.n_not_finite, self.n_too_large, self.largest = 0, 0, 0.0

    def looked_at(self, block: NDArray[Any], dtype: str) -> NDArray[Any]:
        finite = np.isfinite(block).all(axis=1)
        self.n_not_finite += int((~finite).sum())
        with np.errstate(over="ignore"):
            stored = block.astype(dtype)
        too_large = finite & ~np.isfinite(stored).all(axis=1)
        self.n_too_large += int(too_large.sum())
        self.largest = max(self.largest, float(np.abs(block[too_large]).max(initial=0)))
        return stored

    def refuse(self, file: FeatureFile) -> None:
        if self.n_not_finite:
            raise SlideError(
                "non-finite-features",
                f"{file.path}: {self.n_not_finite:,} tiles have NaN or infinite features",
                remedy="extract them again with the tool that made the file",
            )
        if self.n_too_large:
            raise SlideError(
                "float16-overflow",
                f"{file.path}: {self.n_too_large:,} tiles have features up to {self.largest:g}, float16 ends at 65504",
                remedy='set [extract] dtype = "float32"',
            )
