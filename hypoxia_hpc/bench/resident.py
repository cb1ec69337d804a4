"""Networks on tiles that are in memory already: what extraction is held against."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hypoxia_hpc.bench.rounds import usable_cores
from hypoxia_hpc.bench.stored_tiles import BATCH, TILE_PX, TILES, real_tiles
from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.models.extraction import ExtractStage
from hypoxia_hpc.networks.backbones.resolve import build_backbone, resolve_backbone
from hypoxia_hpc.networks.inference.device import DevicePlan
from hypoxia_hpc.networks.inference.engines import Engine, aligned_batch
from hypoxia_hpc.records import Float32Array, Slide, UInt8Array
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE

Precision = Literal["float32", "bfloat16"]


def plan_of(
    name: str, precision: Precision = "float32", batch_size: int = BATCH, *, xla: bool = False, tile_px: int = TILE_PX
) -> DevicePlan:
    """A network of random weights, on Keras' backend."""
    table = ExtractTable(backbone=name, weights="random", precision=precision, xla=xla)
    build = partial(build_backbone, resolve_backbone(table, tile_px, None))
    return DevicePlan(build, tile_px, batch_size, precision, xla, threads=len(usable_cores()))


def a_batch(size: int = BATCH) -> UInt8Array:
    """Tiles of H&E in memory that the device takes as it is, uint8 (size, 299, 299, 3)."""
    tiles = real_tiles()
    batch = aligned_batch((size, *tiles.shape[1:]))
    batch[:] = tiles[np.arange(size) % TILES]
    return batch


def computed(engine: Engine, batch: UInt8Array, n_batches: int) -> Float32Array:
    """The same batch many times, on the device already where the backend can use memory as it is; the features."""
    started: deque[Any] = deque()
    for _ in range(n_batches):
        started.append(engine.start(batch))
        while len(started) > engine.in_flight:
            features = engine.fetch(started.popleft())
    for one in started:
        features = engine.fetch(one)
    return features


def processed(work: ExtractStage, slides: Sequence[Slide]) -> None:
    """Slides from their tiles to committed features, as many at once as in a worker process."""
    work.target(slides[0]).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(SLIDES_AT_ONCE) as threads:
        list(threads.map(lambda slide: work.make(slide, "benchmark", lambda tiles: None), slides))


def stored_slides(stores: Sequence[Path]) -> list[Slide]:
    """Slides of which nothing but their tile stores is there."""
    return [Slide(store.stem, Path(), "", 1) for store in stores]
