"""The tile store of a patient whose images lie in folders."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL

from hypoxia_hpc import __version__
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.records import Json, Slide, ThreadSeconds, TileWork
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.slides.image_slides import PatientTiles, cut_images
from hypoxia_hpc.slides.timing import TimedNewTile
from hypoxia_hpc.stores.attributes import AS_THEY_ARE, PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.tiles import new_tile_store

READER = "images"


def make_image_store(
    slide: Slide, table: TileTable, target: Path, key: str, spec: Json, tick: Callable[[int], None], *, threads: int
) -> TileWork:
    """Cut the images of a patient into a tile store of this key, with ``spec`` for the table. Raises SlideError as
    `cut_images`, InputError as `fitted_stain`, MachineError."""
    with new_tile_store(target, table.tile_px, codec=table.codec, pixels=table.pixels) as store:
        began, room = time.perf_counter(), TimedNewTile(store.new_tile)
        tiles = cut_images(slide, table, room, tick, threads=threads)
        own = ThreadSeconds(wait=room.seconds, other=time.perf_counter() - began - room.seconds)
        attributes = _attributes(slide, table.tile_px, spec, tiles, key)
        store.commit(tiles.xy, tiles.background, attributes.as_json())
    return TileWork(
        tiles.counts,
        READER,
        threads,
        remarks=attributes.remarks,
        left_out=attributes.left_out,
        note=_note(tiles),
        thread_seconds=(own + store.seconds).rounded(),
    )


def _attributes(slide: Slide, px: int, spec: Json, tiles: PatientTiles, key: str) -> TileAttributes:
    return TileAttributes(
        key,
        SlideHeader(slide.slide_id, tiles.size, None, AS_THEY_ARE, fingerprint=fingerprint_of(slide)),
        spec,
        PlanRecord(READER, downsample=1.0, scale=1.0, side_level=px, side_l0=float(px)),
        tiles.counts,
        software={"hypoxia_hpc": __version__, "numpy": np.__version__, "pillow": PIL.__version__},
        stain=tiles.stain.record if tiles.stain else {},
        images=tuple(tiles.records()),
        series=tuple(one.as_json() for one in tiles.series),
        patient_ids=tiles.n_patients,
    )


def _note(tiles: PatientTiles) -> str:
    """Which images cannot be read and why; empty where all can."""
    found = tiles.left_out
    if not found:
        return ""
    named = some_names([f"{each.name}: {each.reason}" for each in found])
    are = "is" if len(found) == 1 else "are"
    return f"{len(found):,} of {some(len(tiles.images), 'image')} cannot be read and {are} left out ({named})"
