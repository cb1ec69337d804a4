"""The slices of a patient's series, one series after the other: read, on one scale, near-empty ones named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, some_names
from hypoxia_hpc.records import ImagePart, Json, Slide
from hypoxia_hpc.slides.slice_files import FileSlices, read_slices
from hypoxia_hpc.tiling.gray_series import Scale, as_colour, content_of, scaled, series_scale
from hypoxia_hpc.tiling.image_cutting import ImageTiles, image_tiles
from hypoxia_hpc.tiling.slice_views import MOST_TURN, turn_between

MIXED = "mixed-series"
NOTHING = FileSlices(())
Gray = NDArray[Any]


@dataclass(frozen=True, slots=True)
class SeriesSlice:
    """A slice of a series, or why its file cannot be read. ``number`` of a file of several, else None; ``size`` is
    (width, height) in pixels, ``scale`` what is black and white in it, ``content`` the share of its pixels that show
    something; without ``tiles`` it is near-empty."""

    path: str
    series: str
    number: int | None = None
    size: tuple[int, int] = (0, 0)
    scale: Scale | None = None
    content: float = 0.0
    tiles: ImageTiles | None = None
    error: SlideError | None = None


@dataclass(frozen=True, slots=True)
class ReadSeries:
    """A series of a patient: its slices in their order, and whom its DICOM files name (PatientID)."""

    name: str
    plane: str
    slices: tuple[SeriesSlice, ...]
    patients: frozenset[str] = frozenset()

    @property
    def near_empty(self) -> tuple[SeriesSlice, ...]:
        return tuple(one for one in self.slices if one.tiles is None and one.error is None)

    def as_json(self) -> Json:
        """As tile stores have it: the lowest black and the highest white, where slices have windows of their own."""
        scales = [one.scale for one in self.slices if one.scale is not None]
        return {
            "series": self.name,
            "plane": self.plane,
            "slices": len(self.slices),
            "near_empty": len(self.near_empty),
            "black": min((one.low for one in scales), default=None),
            "white": max((one.high for one in scales), default=None),
        }


@dataclass(frozen=True, slots=True)
class _File:
    """An image file with the slices that were read of it, or why there are none."""

    path: str
    read: FileSlices = NOTHING
    error: SlideError | None = None

    @property
    def sound(self) -> tuple[Gray, ...]:
        """The slices that can be taken."""
        return tuple(one for one in self.read.slices if not isinstance(one, SlideError))


def read_series(slide: Slide, table: TileTable, threads: int) -> Iterator[ReadSeries]:
    """Each series of a patient, ``threads`` files and slices at once. Raises SlideError ``mixed-series`` where slices
    of one series differ in size or plane, or are turned against each other."""
    images = list(zip(slide.images, slide.parts or [ImagePart()] * len(slide.images), strict=True))
    with ThreadPoolExecutor(threads, "series") as pool:
        try:
            for name, group in groupby(images, key=lambda image: image[1].series):
                those = list(group)
                files = list(pool.map(partial(_read, slide.path, table), *zip(*those, strict=True)))
                plane = _one_plane(slide, name, zip(files, (part.plane for _, part in those), strict=True))
                _require_one_way(slide, name, files)
                yield _series(slide, table, name, plane, files, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _one_plane(slide: Slide, name: str, files: Iterable[tuple[_File, str]]) -> str:
    """That of the files that can be read, "" where none can. Raises SlideError where they have several."""
    planes: dict[str, list[str]] = {}
    for file, plane in files:
        if file.error is None:
            planes.setdefault(plane, []).append(file.path)
    if len(planes) > 1:
        said = "; ".join(f"{plane}: {some_names(paths)}" for plane, paths in planes.items())
        raise _mixed(slide, name, f"slices of several planes: {said}")
    return next(iter(planes), "")


def _require_one_way(slide: Slide, name: str, files: Sequence[_File]) -> None:
    known = [file for file in files if file.read.directions]
    turns = [turn_between(known[0].read.directions, file.read.directions) for file in known]
    off = [f"{file.path}: {turn:.0f}°" for file, turn in zip(known, turns, strict=True) if turn > MOST_TURN]
    if off:
        problem = f"slices that are turned by more than {MOST_TURN:g}° against {known[0].path}: {some_names(off)}"
        raise _mixed(slide, name, problem)


def _read(folder: Path, table: TileTable, image: str, part: ImagePart) -> _File:
    try:
        read = read_slices(folder / image, part)
        if table.series.scale == "window" and read.window is None:
            problem = f'{folder / image} has no window of its own, and [tile.series] scale is "window"'
            raise SlideError("no-window", problem, remedy='set scale = "percentiles"')
    except SlideError as error:
        return _File(image, error=error)
    return _File(image, read)


def _series(
    slide: Slide, table: TileTable, name: str, plane: str, files: Sequence[_File], pool: ThreadPoolExecutor
) -> ReadSeries:
    _require_one_size(slide, name, files)
    pixels = [one for file in files for one in file.sound]
    own = table.series.scale == "window"
    common = series_scale(pixels, table.series) if pixels and not own else Scale(0.0, 0.0)
    scales = [(file.read.window if own else None) or common for file in files for _ in file.sound]
    made = iter(zip(scales, pool.map(partial(_made, table), scales, pixels), strict=True))
    slices: list[SeriesSlice] = []
    for file in files:
        if file.error is not None:
            slices.append(SeriesSlice(file.path, name, error=file.error))
        for place, one in enumerate(file.read.slices):
            number = None if file.read.first is None else file.read.first + place
            if isinstance(one, SlideError):
                slices.append(SeriesSlice(file.path, name, number, error=one))
                continue
            scale, (content, tiles) = next(made)
            size = one.shape[1], one.shape[0]
            slices.append(SeriesSlice(file.path, name, number, size, scale, content, tiles))
    return ReadSeries(name, plane, tuple(slices), frozenset(file.read.patient for file in files) - {""})


def _made(table: TileTable, scale: Scale, pixels: Gray) -> tuple[float, ImageTiles | None]:
    """The share of content of a slice, and its tiles where that is enough."""
    gray = scaled(pixels, scale)
    content = content_of(gray, table.series)
    enough = content >= table.series.min_content
    return content, image_tiles(as_colour(np.ascontiguousarray(gray)), table) if enough else None


def _require_one_size(slide: Slide, name: str, files: Sequence[_File]) -> None:
    sizes: dict[tuple[int, int], list[str]] = {}
    for file in files:
        for one in file.sound:
            sizes.setdefault((one.shape[1], one.shape[0]), []).append(file.path)
    if len(sizes) > 1:
        said = [
            f"{width} x {height} px: {some_names(list(dict.fromkeys(paths)))}"
            for (width, height), paths in sizes.items()
        ]
        raise _mixed(slide, name, f"slices of several sizes: {'; '.join(said)}")


def _mixed(slide: Slide, name: str, problem: str) -> SlideError:
    return SlideError(
        MIXED,
        f"series {name!r} of patient {slide.patient_id} has {problem}",
        remedy="give each series slices of one kind, or leave the series out by [source] image_mode",
    )
