"""The images of a patient to tiles: read, cut or made one tile each, judged, in the order of images.csv.

Only the reader is another one than for slides: tiles go where ``new_tile`` says, and stores are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, some, some_names
from hypoxia_hpc.records import Float32Array, Int64Array, Json, Slide, TileCounts, UInt8Array
from hypoxia_hpc.slides.image_files import quiet
from hypoxia_hpc.slides.image_reading import each_image
from hypoxia_hpc.slides.series_slides import ReadSeries, SeriesSlice, read_series
from hypoxia_hpc.tiling.image_cutting import ImageTiles, n_tiles_of, sheet

if TYPE_CHECKING:
    from hypoxia_hpc.slides.stain_fit import SlideStain


@dataclass(frozen=True, slots=True)
class CutImage:
    """What became of an image: its sides in pixels as it is shown, its tiles; or why it cannot be read. ``planned``:
    its tiles before any is left out. Of a slice of a series also its ``series``, its ``number`` in a file of several,
    and its share of ``content``; a near-empty one has no place on the sheet."""

    path: str
    width: int = 0
    height: int = 0
    fit: str = ""
    columns: int = 0
    rows: int = 0
    kept: int = 0
    reason: str = ""
    problem: str = ""
    planned: int = 0
    series: str | None = None
    number: int | None = None
    content: float = 0.0

    @property
    def name(self) -> str:
        """Its path, and which slice of a file of several it is."""
        return self.path if self.number is None else f"{self.path} slice {self.number}"

    @property
    def is_near_empty(self) -> bool:
        """Whether it is read, and shows too little."""
        return not (self.reason or self.fit)

    def as_json(self, place: tuple[int, int]) -> Json:
        """As tile stores have it; ``place`` is that of its first tile on the sheet."""
        if self.reason:
            number = {} if self.number is None else {"slice": self.number}
            return {"path": self.path, **number, "reason": self.reason, "problem": self.problem}
        found: Json = {"path": self.path, "px": [self.width, self.height]}
        if self.series is not None:
            found |= {"series": self.series, "content": round(self.content, 6)}
        if self.number is not None:
            found["slice"] = self.number
        if self.is_near_empty:
            return {**found, "near_empty": True}
        tiles = {"fit": self.fit, "tiles": [self.columns, self.rows], "place": list(place), "kept": self.kept}
        return {**found, **tiles}


@dataclass(frozen=True, slots=True)
class PatientTiles:
    """The tiles of a patient, image by image, in each row by row. ``xy`` int64 (n, 2) is the top left of each on the
    sheet, in pixels of tiles, ``size`` the sheet's (width, height); ``background`` float32 (n,) in 0..1; ``stain`` is
    None where none is normalised; ``series`` are there where images are slices of them."""

    images: tuple[CutImage, ...]
    places: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    xy: Int64Array
    background: Float32Array
    counts: TileCounts
    stain: SlideStain | None
    series: tuple[ReadSeries, ...] = ()

    @property
    def left_out(self) -> tuple[CutImage, ...]:
        """Images that cannot be read."""
        return tuple(each for each in self.images if each.reason)

    @property
    def n_patients(self) -> int:
        """How many patients its DICOM files name."""
        return len(frozenset[str]().union(*(one.patients for one in self.series)))

    def records(self) -> list[Json]:
        """One entry an image, for the store."""
        return [each.as_json(place) for each, place in zip(self.images, self.places, strict=True)]


def cut_images(
    slide: Slide,
    table: TileTable,
    new_tile: Callable[[], UInt8Array],
    tick: Callable[[int], None] = lambda tiles: None,
    *,
    threads: int = 1,
) -> PatientTiles:
    """Cut all images of a patient. ``new_tile`` is called once for each kept tile, in their order, and gives uint8
    (px, px, 3) to be filled; ``tick`` with the number of tiles decided. An image that cannot be read is left out.

    Raises:
        SlideError: where no image can be read the reason of all of them, ``unreadable`` where they have several;
            ``no-tissue`` where no tile is kept, ``no-stain`` as ``fitted_stain``, ``mixed-series`` as `read_series`.
    """
    stain = _stain(slide, table, threads) if table.stain.method != "none" else None
    paint = stain.paint if stain else None
    images: list[CutImage] = []
    series: list[ReadSeries] = []
    kept_at: list[Int64Array] = []
    background: list[Float32Array] = []
    with quiet():
        for image, tiles in _each(slide, table, threads, series):
            at = np.argwhere(tiles.kept) if tiles is not None else np.empty((0, 2), dtype=np.int64)
            images.append(replace(image, kept=len(at)))
            if tiles is not None:
                for row, column in at.tolist():
                    tiles.put(row, column, new_tile(), paint)
                kept_at.append(at[:, ::-1])
                background.append(tiles.background[tiles.kept])
            tick(image.planned)
    _require_tiles(slide, table, images)
    return _placed(images, kept_at, np.concatenate(background), table.tile_px, stain, series)


def _each(
    slide: Slide, table: TileTable, threads: int, series: list[ReadSeries]
) -> Iterator[tuple[CutImage, ImageTiles | None]]:
    """Each image, and its tiles where it is neither left out nor near-empty; ``series`` gets those that are read."""
    if table.series.is_on:
        for one in read_series(slide, table, threads):
            series.append(one)
            yield from ((_of_slice(each, table), each.tiles) for each in one.slices)
        return
    for path, found in each_image(slide.path, slide.images, table, threads):
        if isinstance(found, SlideError):
            yield CutImage(path, reason=found.reason, problem=found.problem), None
        else:
            yield _of_tiles(CutImage(path), *found), found[1]


def _of_tiles(image: CutImage, size: tuple[int, int], tiles: ImageTiles) -> CutImage:
    width, height = size
    columns, rows = tiles.columns, tiles.rows
    return replace(image, width=width, height=height, fit=tiles.fit, columns=columns, rows=rows, planned=columns * rows)


def _of_slice(one: SeriesSlice, table: TileTable) -> CutImage:
    if one.error is not None:
        return CutImage(one.path, reason=one.error.reason, problem=one.error.problem, number=one.number)
    image = CutImage(one.path, series=one.series, number=one.number, content=one.content)
    if one.tiles is not None:
        return _of_tiles(image, one.size, one.tiles)
    return replace(image, width=one.size[0], height=one.size[1], planned=n_tiles_of(*one.size, table))


def _stain(slide: Slide, table: TileTable, threads: int) -> SlideStain | None:
    """None too where there is no tissue to fit, and so no tile."""
    from hypoxia_hpc.slides.image_stain import sample_images  # its kernels, for those alone who ask for them
    from hypoxia_hpc.slides.stain_fit import fitted_stain

    sample = sample_images(slide, table, threads)
    return fitted_stain(sample, table, slide.slide_id) if sample.tiles else None


def _placed(
    images: Sequence[CutImage],
    kept_at: Sequence[Int64Array],
    background: Float32Array,
    px: int,
    stain: SlideStain | None,
    series: Sequence[ReadSeries],
) -> PatientTiles:
    places = sheet([(each.columns, each.rows) for each in images])
    read = [(each, place) for each, place in zip(images, places, strict=True) if each.fit]
    xy = np.concatenate([(at + place) * px for at, (_, place) in zip(kept_at, read, strict=True)])
    width = max(left + each.columns for each, (left, _) in read)
    height = max(top + each.rows for each, (_, top) in read)
    planned, n_left_out = sum(each.planned for each in images), sum(bool(each.reason) for each in images)
    counts = TileCounts(planned + n_left_out, len(xy), planned - len(xy), n_left_out)
    size = width * px, height * px
    return PatientTiles(
        tuple(images), tuple(places), size, xy.astype(np.int64), background, counts, stain, tuple(series)
    )


def _require_tiles(slide: Slide, table: TileTable, images: Sequence[CutImage]) -> None:
    """Raises SlideError where no image was read, or no tile kept."""
    read = [each for each in images if not each.reason]
    if not read:
        reasons = Counter(each.reason for each in images)
        raise SlideError(
            next(iter(reasons)) if len(reasons) == 1 else "unreadable",
            f"none of {some(len(images), 'image')} of patient {slide.patient_id} can be read ("
            f"{', '.join(f'{reason} {n:,}' for reason, n in reasons.most_common())}): "
            f"{some_names([f'{each.name}: {each.reason}' for each in images])}; the first: {images[0].problem}",
            remedy="fetch or mend these files, or leave the patient out",
        )
    if all(each.is_near_empty for each in read):
        raise SlideError(
            "no-tissue",
            f"none of {some(len(read), 'slice')} shows something on at least {table.series.min_content:.1%} of its "
            "pixels",
            remedy="look at the images; if they show something, lower [tile.series] min_content or content_level",
        )
    if not any(each.kept for each in read):
        raise SlideError(
            "no-tissue",
            f"none of {some(sum(each.planned for each in read), 'tile')} of {some(len(read), 'image')} has "
            f"at most {table.max_background:.0%} background (pixels with gray level {table.white} or more)",
            remedy="look at the images; if they show tissue, raise [tile] max_background",
        )
