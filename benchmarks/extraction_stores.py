"""Feeding alone: tile stores through a network that does nothing, against reading the bytes of their shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from figures import Bench, Figure, ratio

from hypoxia_hpc.bench.feeding import feed_all, opened
from hypoxia_hpc.bench.rounds import Laps, paired
from hypoxia_hpc.bench.stored_tiles import read_shards, shard_of, tile_stores
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE


def nothing(bench: Bench) -> None:
    """Slides of many tiles, and of 15; from the page cache, and from the disk."""
    n_large, n_small = (800, 50) if bench.quick else (1600, 200)
    cases = {
        "large slides": (tile_stores(bench.folder / "large", SLIDES_AT_ONCE, n_large), SLIDES_AT_ONCE * n_large),
        "slides of 15 tiles": (tile_stores(bench.folder / "small", n_small, 15), n_small * 15),
    }
    for name, (stores, n_tiles) in cases.items():
        for where, forget in (("disk", partial(forget_shards, stores)), ("page cache", lambda: None)):
            works: dict[str, Callable[[], object]] = {
                "read, one thread": partial(read_shards, stores, 1),
                "read, two threads": partial(read_shards, stores, 2),
                "fed": partial(feed_all, [partial(opened, store) for store in stores]),
            }
            for warm in works.values():
                warm()
            forget()
            laps = paired(works, bench.rounds, forget)
            bench.report.rate(f"{name}, network that does nothing, {where}", laps, n_tiles)
            title = f"{name} from the {where}, network that does nothing: share of reading their shards"
            bench.report.add(
                share(title, laps, "read, one thread", 0.90),
                share("the same against two threads that read", laps, "read, two threads", None),
            )


def forget_shards(stores: Sequence[Path]) -> None:
    """The page cache forgets the shards."""
    for store in stores:
        with shard_of(store).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def share(name: str, laps: Laps, against: str, target: float | None) -> Figure:
    return Figure(name, ratio(laps, against, "fed"), "%", target, by_processor=ratio(laps, against, "fed", "processor"))
