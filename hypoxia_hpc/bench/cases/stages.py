"""Whole stages as a worker process does them, with all cores."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from hypoxia_hpc.bench.bounds import write_and_fsync
from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.cases.readers import collected, fastest_decoder, kept_of
from hypoxia_hpc.bench.delivery import into_store, plan_of, store_of
from hypoxia_hpc.bench.rounds import Work
from hypoxia_hpc.bench.slides import made, recipes
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.stores.layout import store_nbytes
from hypoxia_hpc.stores.tiles import open_tiles, read_pixels


@contextmanager
def tiling(place: Place) -> Iterator[Prepared]:
    """One slide into its store. The bounds have one thread each, the stage has all cores."""
    path, table = made(recipes(quick=True)["jpeg-20x"], place.slides), TileTable()
    scratch = place.scratch
    into_store(path, table, scratch)
    n_bytes = store_nbytes(store_of(path, scratch))
    shutil.rmtree(scratch / "tiles")
    bounds: dict[str, Work] = {
        "decoding": fastest_decoder(path),
        "the disk": partial(write_and_fsync, scratch, n_bytes),
    }
    tidy = partial(shutil.rmtree, scratch / "tiles", ignore_errors=True)
    check = partial(check_store, path, table, scratch)
    yield Prepared(plan_of(path, table).n_tiles, partial(into_store, path, table, scratch), bounds, check, tidy=tidy)


def check_store(path: Path, table: TileTable, scratch: Path) -> str:
    """Write the store, and delete it. Raises WrongAnswerError unless it has the tiles that cutting in memory
    delivers."""
    into_store(path, table, scratch)
    expected = np.stack(collected(partial(kept_of, path, table), table.tile_px).tiles)
    tiles = open_tiles(store_of(path, scratch))
    found = read_pixels(tiles, 0, len(tiles.xy))
    shutil.rmtree(scratch / "tiles")
    require(np.array_equal(found, expected), "the store has other tiles than cutting in memory delivers")
    return "the tiles that cutting in memory delivers"


CASES = (
    Case(
        "tile", "stages", "a slide to its tile store, as tile does it", "tiles", "the slower of decoding and disk",
        tiling, all_cores=True,
    ),
)  # fmt: skip
