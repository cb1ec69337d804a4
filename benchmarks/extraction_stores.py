"""Feeding alone: tile stores through a network that does nothing, against reading the bytes of their shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from figures import Bench, Figure
from rounds import Laps, paired, ratio, usable_cores
from stores import BATCH, TILE_PX, real_tiles

from hypoxia_hpc.models.extraction import StoredPixels
from hypoxia_hpc.networks.inference.device import Device
from hypoxia_hpc.networks.inference.engines import Engine, aligned_batch
from hypoxia_hpc.networks.inference.feeding import TileSource, features_of
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles

RAW_BYTES = 8 * 2**20
ATTRIBUTES = {"key": "benchmark", "spec": {}}


def nothing(bench: Bench) -> None:
    """Slides of many tiles, and of 15; from the page cache, and from the disk."""
    n_large, n_small = (800, 50) if bench.quick else (1600, 200)
    cases = {
        "large slides": (tile_stores(bench.folder / "large", SLIDES_AT_ONCE, n_large), SLIDES_AT_ONCE * n_large),
        "slides of 15 tiles": (tile_stores(bench.folder / "small", n_small, 15), n_small * 15),
    }
    for name, (stores, n_tiles) in cases.items():
        for where, forget in (("disk", partial(forgotten, stores)), ("page cache", lambda: None)):
            works: dict[str, Callable[[], object]] = {
                "read, one thread": partial(read_all, stores, 1),
                "read, two threads": partial(read_all, stores, 2),
                "fed": partial(feed_all, stores),
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


def share(name: str, laps: Laps, against: str, target: float | None) -> Figure:
    return Figure(name, ratio(laps, against, "fed"), "%", target, by_processor=ratio(laps, against, "fed", "processor"))


def tile_stores(folder: Path, n_stores: int, n_tiles: int) -> list[Path]:
    """Tile stores of H&E, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}-{n_tiles}.zarr" for number in range(n_stores)]
    missing = [path for path in paths if not path.exists()]
    tiles = real_tiles() if missing else np.empty(0)
    for number, path in enumerate(missing):
        with new_tile_store(path, TILE_PX) as store:
            for tile in range(n_tiles):
                store.new_tile()[:] = tiles[(tile + 7 * number) % len(tiles)]
            store.commit(np.zeros((n_tiles, 2), np.int64), np.zeros(n_tiles, np.float32), ATTRIBUTES)
    return paths


@lru_cache(maxsize=1)
def idle_device() -> Device:
    """A network that does nothing."""
    features = np.zeros((BATCH, 1), np.float32)
    engine = Engine(aligned_batch, lambda batch: None, lambda started: features, {})
    return Device(lambda shape: engine, TILE_PX, BATCH, readers=len(usable_cores()))


def feed_all(stores: Sequence[Path]) -> None:
    """Every store opened, checked, and through the network, as many at once as in a worker process."""
    with ThreadPoolExecutor(SLIDES_AT_ONCE) as threads:
        list(threads.map(feed, stores))


def feed(store: Path) -> None:
    features_of(idle_device(), partial(opened, store), lambda tiles: None)


@contextmanager
def opened(store: Path) -> Iterator[TileSource]:
    yield StoredPixels(open_tiles(store))


def read_all(stores: Sequence[Path], n_threads: int) -> None:
    """Every byte of every shard, into memory that is used again, and nothing else."""
    with ThreadPoolExecutor(n_threads) as threads:
        list(threads.map(read_some, [stores[number::n_threads] for number in range(n_threads)]))


def read_some(stores: Sequence[Path]) -> None:
    memory = memoryview(np.zeros(RAW_BYTES, dtype=np.uint8))
    for store in stores:
        with shard_of(store).open("rb", buffering=0) as file:
            while file.readinto(memory):
                pass


def forgotten(stores: Sequence[Path]) -> None:
    """The page cache forgets the shards."""
    for store in stores:
        with shard_of(store).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def shard_of(store: Path) -> Path:
    return store / "pixels" / "c.0.0.0.0"
