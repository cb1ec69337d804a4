"""The tile store of a patient whose images lie in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL

from hypoxia_hpc import __version__
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.records import Slide, TileWork
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.slides.image_slides import PatientTiles, cut_images
from hypoxia_hpc.stores.attributes import AS_THEY_ARE, PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.tiles import new_tile_store

READER = "images"


def make_image_store(
    slide: Slide, table: TileTable, target: Path, key: str, tick: Callable[[int], None], *, threads: int
) -> TileWork:
    """Cut the images of a patient into a tile store of this key. Raises SlideError as `cut_images`, MachineError."""
    with new_tile_store(target, table.tile_px, codec=table.codec, pixels=table.pixels) as store:
        tiles = cut_images(slide, table, store.new_tile, tick, threads=threads)
        store.commit(tiles.xy, tiles.background, _attributes(slide, table, tiles, key).as_json())
    return TileWork(tiles.counts, READER, threads, note=_note(tiles))


def _attributes(slide: Slide, table: TileTable, tiles: PatientTiles, key: str) -> TileAttributes:
    return TileAttributes(
        key,
        SlideHeader(slide.slide_id, tiles.size, None, AS_THEY_ARE, fingerprint=fingerprint_of(slide)),
        table.keyed(exclude={"regions"}),
        PlanRecord(READER, downsample=1.0, scale=1.0, side_level=table.tile_px, side_l0=float(table.tile_px)),
        tiles.counts,
        software={"hypoxia_hpc": __version__, "numpy": np.__version__, "pillow": PIL.__version__},
        images=tuple(tiles.records()),
    )


def _note(tiles: PatientTiles) -> str:
    """Which images are left out, and why; empty where none is."""
    found = tiles.left_out
    if not found:
        return ""
    named = some_names([f"{each.path}: {each.reason}" for each in found])
    return f"{len(found):,} of {some(len(tiles.images), 'image')} cannot be read and are left out ({named})"
