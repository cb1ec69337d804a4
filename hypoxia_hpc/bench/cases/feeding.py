"""Tiles to a network that does nothing: from stores against one thread that reads their bytes and checks nothing, and
from the slide itself against decoding it.

A DataLoader over OpenSlide starts at the slide, as tiles do that are not stored, so it is a peer of this case and not
of feeding from stores, before which ``tile`` has done the decoding. Both sides know where the tiles are. The loader's
workers have started, and opened the slide, before it is timed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np

from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.cases.readers import collected, fastest_decoder, kept_of
from hypoxia_hpc.bench.comparison import Answer, Candidate, compared
from hypoxia_hpc.bench.delivery import plan_of, ring
from hypoxia_hpc.bench.feeding import Opened, feed_all, opened, opened_from_slide, summing_device, tile_sums
from hypoxia_hpc.bench.loaders import TORCH_LOADER, TilesOfSlide, batches, loader_of
from hypoxia_hpc.bench.peers import OPENSLIDE
from hypoxia_hpc.bench.rounds import Work, usable_cores
from hypoxia_hpc.bench.slides import made, recipes
from hypoxia_hpc.bench.stored_tiles import BATCH, TILES, read_shards, real_tiles, tile_stores
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.networks.inference.feeding import features_of
from hypoxia_hpc.records import Float32Array, Int64Array, TilePlan
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE

TILES_A_SLIDE = 400
ARRIVED = "every tile arrives once, in its order"


@contextmanager
def feeding(place: Place) -> Iterator[Prepared]:
    stores = tile_stores(place.scratch / "tiles", SLIDES_AT_ONCE, TILES_A_SLIDE)
    expected = tile_sums(real_tiles()[np.arange(TILES_A_SLIDE) % TILES])
    check = partial(check_order, partial(opened, stores[0]), expected)
    bounds = {"reading the bytes": partial(read_shards, stores, 1)}
    work = partial(feed_all, [partial(opened, store) for store in stores])
    yield Prepared(SLIDES_AT_ONCE * TILES_A_SLIDE, work, bounds, check)


def check_order(slide: Opened, expected: Float32Array) -> str:
    """Raises WrongAnswerError unless the network gets tiles with these sums, float32 (n,), in their order."""
    found = features_of(summing_device(), slide, lambda tiles: None).values[:, 0]
    same = np.array_equal(found, expected)
    require(same, "the network was fed other tiles than there are, or in disorder")
    return ARRIVED


@contextmanager
def feeding_from_slide(place: Place) -> Iterator[Prepared]:
    """A slide all of tissue, so that the bound decodes what is needed and no more."""
    path, table = made(recipes(quick=True)["jpeg-20x-tissue"], place.slides), TileTable()
    plan = plan_of(path, table)
    reference = collected(partial(OPENSLIDE.deliver, path, plan), table.tile_px)
    expected = tile_sums(np.stack(reference.tiles))
    xy_l0 = plan.xy_l0[kept_of(path, table, ring(table.tile_px))]
    slide, decode = partial(opened_from_slide, path, table, xy_l0), fastest_decoder(path)
    yield Prepared(
        SLIDES_AT_ONCE * len(xy_l0),
        partial(feed_all, [slide] * SLIDES_AT_ONCE),
        {"decoding alone": partial(repeated, decode)},
        partial(check_order, slide, expected),
        *compared([torch_loader(path, plan, xy_l0, expected)]),
    )


def repeated(work: Work) -> None:
    """For as many slides as there are at once."""
    for _ in range(SLIDES_AT_ONCE):
        work()


def torch_loader(path: Path, plan: TilePlan, xy_l0: Int64Array, expected: Float32Array) -> Candidate:
    """As many passes over the slide, with a worker process a core. The first pass, which is compared, starts them."""
    tiles = TilesOfSlide(path, np.tile(xy_l0, (SLIDES_AT_ONCE, 1)), plan.level, plan.side_level)
    loader = cache(partial(loader_of, tiles, BATCH, len(usable_cores())))

    def answer() -> Answer:
        found = np.concatenate([tile_sums(batch) for batch in batches(loader())])
        is_same = np.array_equal(found, np.tile(expected, SLIDES_AT_ONCE))
        return Answer(is_same, ARRIVED if is_same else "other pixels arrive, or in disorder")

    return Candidate(TORCH_LOADER.name, TORCH_LOADER.missing, answer, lambda: deque(batches(loader()), maxlen=0))


CASES = (
    Case(
        "feeding", "feeding", "tile stores to a network that does nothing", "tiles", "reading their bytes, unchecked",
        feeding, all_cores=True,
    ),
    Case(
        "feeding-slide", "feeding", "tiles from the slide itself to a network that does nothing", "tiles",
        "decoding the native tiles in one thread", feeding_from_slide, all_cores=True,
    ),
)  # fmt: skip
