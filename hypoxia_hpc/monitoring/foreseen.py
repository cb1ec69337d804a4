"""What ``tile`` will make of a slide, as far as that is known without decoding all of it: ``doctor`` shows it,
``estimate`` counts by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import ImagePart, Pyramid, Slide
from hypoxia_hpc.runs.keys import slide_tile_key
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.slides.image_files import image_header
from hypoxia_hpc.slides.opening import OpenedSlide, opened_slide
from hypoxia_hpc.slides.planning import SlidePlan, plan_slide
from hypoxia_hpc.slides.slice_files import slice_header
from hypoxia_hpc.tiling.image_cutting import n_tiles_of

# Tiles of a slide that are tried: the first, that in the middle and the last of those that are looked at.
TRIED = 3
FETCH_AGAIN = "fetch the file again, or leave it out"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A slide's header and plan. ``damage``: what of its pixels is known to be missing or not to decode, in a sentence,
    although ``tile`` may bear it; else empty."""

    pyramid: Pyramid
    planned: SlidePlan
    damage: str


def foresee(slide: Slide, table: TileTable) -> Foreseen:
    """Look at a slide as ``tile`` does, in the same order and by the same functions; three of its tiles are decoded in
    their middle.

    Raises:
        SlideError: what ``tile`` will quarantine the slide for.
    """
    slide_tile_key(table, slide, fingerprint_of(slide))
    with opened_slide(slide.path) as opened:
        planned = plan_slide(opened, slide, table)
        beyond = _beyond_end(opened, slide.path, planned, table)
        undecoded = _undecoded(opened, slide.path, planned, table)
        return Foreseen(opened.pyramid, planned, beyond or undecoded)


@dataclass(frozen=True, slots=True)
class ForeseenImages:
    """Of a patient's images, how many tiles they become before background is dropped, and which will be left out, as
    "path: reason"."""

    n_tiles: int
    left_out: tuple[str, ...]


def foresee_images(slide: Slide, table: TileTable) -> ForeseenImages:
    """Look at the headers of a patient's images. Raises SlideError where ``tile`` will quarantine the patient for what
    these and the files say."""
    slide_tile_key(table, slide, fingerprint_of(slide))
    n_tiles, left_out = 0, {}
    for image, part in zip(slide.images, slide.parts or [ImagePart()] * len(slide.images), strict=True):
        path = slide.path / image
        try:
            header = slice_header(path, part.plane) if table.series.is_on else image_header(path)
        except SlideError as error:
            left_out[image] = error
        else:
            n = 1 if part.slices is None else part.slices[1] - part.slices[0]
            n_tiles += n * n_tiles_of(header.width, header.height, table)
    if len(left_out) == len(slide.images):
        raise next(iter(left_out.values()))
    return ForeseenImages(n_tiles, tuple(f"{image}: {error.reason}" for image, error in left_out.items()))


def planned_tiles(slide: Slide, table: TileTable) -> int:
    """Tiles that ``tile`` will look at. Raises SlideError as :func:`foresee`."""
    return foresee_images(slide, table).n_tiles if slide.images else foresee(slide, table).planned.n_selected


def _beyond_end(opened: OpenedSlide, path: Path, planned: SlidePlan, table: TileTable) -> str:
    """Is the file whole? How many tiles need what lies beyond its end is known when the slide is tiled."""
    beyond, of = opened.beyond_end(planned.plan.level)
    if not beyond:
        return ""
    lacking = f"the file ends before {beyond:,} of the {of:,} native tiles of the level that is read"
    if beyond > table.max_unreadable * of:
        raise SlideError("unreadable", f"{path}: {lacking}", remedy=FETCH_AGAIN)
    return f"{lacking}: fetch it again"


def _undecoded(opened: OpenedSlide, path: Path, planned: SlidePlan, table: TileTable) -> str:
    """Do some tiles decode? Raises SlideError where none of those that are tried does."""
    numbers = np.flatnonzero(planned.selected)
    tried = sorted({int(numbers[place]) for place in np.linspace(0, len(numbers) - 1, TRIED).round().astype(int)})
    failed = {number: why for number in tried if (why := opened.try_tile(planned.plan, planned.reading, number))}
    if not failed:
        return ""
    first = next(iter(failed))
    x_l0, y_l0 = planned.plan.xy_l0[first]
    where = f"the first is at ({x_l0}, {y_l0}) in level 0 pixels: {failed[first]}"
    if len(failed) == len(tried) and table.max_unreadable < 1:
        problem = f"{path}: its header is read, but none of the {len(tried)} tiles that were tried decodes; {where}"
        raise SlideError("unreadable", problem, remedy=FETCH_AGAIN)
    return f"{len(failed)} of the {len(tried)} tiles that were tried do not decode; {where}: fetch it again"
