"""Tile stores through a network that does nothing, against one thread that reads their bytes and checks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.feeding import feed_all, opened, summing_device, tile_sums
from hypoxia_hpc.bench.stored_tiles import TILES, read_shards, real_tiles, tile_stores
from hypoxia_hpc.networks.inference.feeding import features_of
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE

TILES_A_SLIDE = 400


@contextmanager
def feeding(place: Place) -> Iterator[Prepared]:
    stores = tile_stores(place.scratch / "tiles", SLIDES_AT_ONCE, TILES_A_SLIDE)

    def check() -> str:
        found = features_of(summing_device(), partial(opened, stores[0]), lambda tiles: None).values[:, 0]
        expected = tile_sums(real_tiles()[np.arange(TILES_A_SLIDE) % TILES])
        require(np.array_equal(found, expected), "the network was fed other tiles than the store holds, or in disorder")
        return "every tile arrives once, in its order"

    bounds = {"reading the bytes": partial(read_shards, stores, 1)}
    yield Prepared(SLIDES_AT_ONCE * TILES_A_SLIDE, partial(feed_all, stores), bounds, check)


CASES = (
    Case(
        "feeding", "feeding", "tile stores to a network that does nothing", "tiles", "reading their bytes, unchecked",
        feeding, all_cores=True,
    ),
)  # fmt: skip
