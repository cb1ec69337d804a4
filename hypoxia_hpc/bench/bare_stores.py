"""Tile stores that keep no pixels, as ``tile`` writes them with ``[tile] pixels = "none"``."""

from __future__ import annotations

from pathlib import Path

from hypoxia_hpc.bench.delivery import into_store, store_of
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Int64Array, Slide, Tiles
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles

# Background is kept, too: of the 63 tiles of the real slide 15 have little of it, which is less than a batch.
BARE = TileTable.model_validate({"pixels": "none", "max_background": 1.0})


def bare_tiles(path: Path, run: RunDir) -> Tiles:
    """The tiles of a slide, in a store without pixels in the run, by the name of its file."""
    into_store(path, BARE, run.root)
    return open_tiles(store_of(path, run.root))


def bare_slides(path: Path, tiles: Tiles, run: RunDir, n_slides: int, rows: Int64Array) -> list[Slide]:
    """The same file as several slides, each with a store of those of its tiles, int64 (n,)."""
    slides = [Slide(f"S{number}", path, "", 1) for number in range(n_slides)]
    attributes = {name: value for name, value in tiles.attributes.items() if name != "content"}
    for slide in slides:
        with new_tile_store(run.tiles(slide.slide_id), BARE.tile_px, pixels=BARE.pixels) as store:
            for _ in rows:
                store.new_tile()
            store.commit(tiles.xy[rows], tiles.background[rows], attributes)
    return slides
