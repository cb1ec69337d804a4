"""Pictures of tiles side by side, with the pixels that the stores hold, or else the slides."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError, some_names
from hypoxia_hpc.models.extraction import require_tiled_slide
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json, Slide, Tiles, UInt8Array
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.reread import slide_pixels
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels

SHOWN_PX, GAP_PX = 112, 4  # side of a tile in a strip, and what is white between two
JPEG_QUALITY = 85

Pictures = dict[tuple[str, int], UInt8Array]


def strips(
    run: RunDir, table: TileTable, slides: Mapping[str, Slide], rows: Sequence[Sequence[Json]], progress: Progress
) -> list[bytes | None]:
    """A JPEG of each row of tiles (``slide_id`` and ``row`` of its store), side by side; None where no tile of it can
    be read. Slides that cannot are said in a note. Raises MachineError."""
    wanted: dict[str, set[int]] = {}
    for place in (one for row in rows for one in row):
        wanted.setdefault(place["slide_id"], set()).add(place["row"])
    pictures: Pictures = {}
    unread = []
    for slide_id, numbers in sorted(wanted.items()):
        try:
            tiles = open_tiles(run.tiles(slide_id))
            found = slide_pictures(table, slides[slide_id], tiles, sorted(numbers), SHOWN_PX)
            pictures |= {(slide_id, row): picture for row, picture in found.items()}
        except SlideError:
            unread.append(slide_id)
    if unread:
        progress.note(f"no pictures of tiles from slides that cannot be read: {len(unread):,} ({some_names(unread)})")
    keys = [[(one["slide_id"], one["row"]) for one in row] for row in rows]
    return [_strip([pictures[key] for key in row if key in pictures]) for row in keys]


def slide_pictures(
    table: TileTable, slide: Slide, tiles: Tiles, rows: Sequence[int], side_px: int
) -> dict[int, UInt8Array]:
    """The pixels of these tiles of a store, in its order, each made uint8 (side_px, side_px, 3): from the store, or
    from the slide where it keeps none. Raises SlideError, MachineError."""
    if tiles.pixels is not None:
        return {row: _scaled(read_pixels(tiles, row, row + 1)[0], side_px) for row in rows}
    require_tiled_slide(slide, tiles)
    with slide_pixels(slide.path, table, slide.mpp, tiles.xy[list(rows)]) as read:
        return {row: _scaled(read(number, number + 1)[0], side_px) for number, row in enumerate(rows)}


def _scaled(pixels: UInt8Array, side_px: int) -> UInt8Array:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.BOX))


def _strip(pictures: Sequence[UInt8Array]) -> bytes | None:
    if not pictures:
        return None
    step = SHOWN_PX + GAP_PX
    strip = np.full((SHOWN_PX, step * len(pictures) - GAP_PX, 3), 255, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        strip[:, number * step : number * step + SHOWN_PX] = picture
    return jpeg(strip)


def jpeg(pixels: UInt8Array) -> bytes:
    """A picture (height, width, 3) as JPEG."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return encoded.getvalue()
