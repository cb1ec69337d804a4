"""Features of tiles, committed, against the same network on tiles that are in memory already: tiles from stores, and
read from slides again, as ``[tile] pixels = "none"`` has it.

On the GPU where the backend of Keras sees one, else on the cores; weights are random, which takes as long as others.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from hypoxia_hpc.bench.bare_stores import BARE, bare_slides, bare_tiles
from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.cases.readers import collected, kept_of
from hypoxia_hpc.bench.resident import a_batch, computed, plan_of, processed, stored_slides
from hypoxia_hpc.bench.slides import REAL_SLIDE, made, recipes
from hypoxia_hpc.bench.stored_tiles import tile_stores
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.models.extraction import ExtractStage
from hypoxia_hpc.networks.inference.device import device_of
from hypoxia_hpc.networks.inference.engines import aligned_batch
from hypoxia_hpc.networks.runtime import backend_name, gpu_names, start_keras
from hypoxia_hpc.records import Float32Array, Slide, UInt8Array
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE
from hypoxia_hpc.stores.features import open_features

BACKENDS = ("tensorflow", "jax", "torch")
CPU_BATCH = 16  # two slides of it are 2 s of two cores for InceptionV3
GPU_BATCH, GPU_BATCHES = 256, 8  # a slide of 2,048 tiles
VISION_TRANSFORMER = "kaiko-b16"  # ViT-B/16: it takes tiles of any size
# Of features around their mean over the tiles: float16 in the store and float32 from the device have 0.99999. Without
# the mean, two different tiles have up to 0.9998 in a network of random weights.
LEAST_COSINE = 0.9999


def backend_missing() -> str:
    """What to install for Keras; empty where one of its backends is there."""
    if any(importlib.util.find_spec(name) for name in BACKENDS):
        return ""
    return "no backend of Keras is installed: pip install 'hypoxia-hpc[tensorflow]'"


@dataclass(frozen=True, slots=True)
class Filled:
    """Slides of a run whose tiles are there: ``n_batches`` of each. ``batch``: the pixels of the first batch of each
    slide, uint8 (b, px, px, 3), in memory that the device takes as it is."""

    slides: Sequence[Slide]
    table: TileTable
    batch: UInt8Array
    n_batches: int


Fill = Callable[[RunDir, Place, int, int], Filled]


def from_stores(run: RunDir, place: Place, batch_size: int, n_batches: int) -> Filled:
    """Tiles of the real slide in stores."""
    stores = tile_stores(run.tiles("x").parent, SLIDES_AT_ONCE, batch_size * n_batches)
    return Filled(stored_slides(stores), TileTable(), a_batch(batch_size), n_batches)


def from_slides(run: RunDir, place: Place, batch_size: int, n_batches: int) -> Filled:
    """Stores without pixels beside the real slide; where more than one batch is asked for, beside a made one of 2,700
    tiles."""
    path = REAL_SLIDE if n_batches == 1 else made(recipes(quick=False)["jpeg-20x"], place.slides)
    tiles = bare_tiles(path, run)
    whole = min(n_batches, len(tiles.xy) // batch_size)
    n = whole * batch_size
    rows = np.arange(n) * len(tiles.xy) // n  # apart: neighbours may be so alike that float16 hides which is which
    slides = bare_slides(path, tiles, run, SLIDES_AT_ONCE, rows)
    batch = aligned_batch((batch_size, BARE.tile_px, BARE.tile_px, 3))
    pixels = collected(partial(kept_of, path, BARE), BARE.tile_px).tiles
    batch[:] = [pixels[row] for row in rows[:batch_size]]
    return Filled(slides, BARE, batch, whole)


@contextmanager
def extraction(place: Place, *, name: str, fill: Fill) -> Iterator[Prepared]:
    """Slides from their tiles to committed features, as a worker process does it."""
    start_keras()
    batch_size, n_batches = (GPU_BATCH, GPU_BATCHES) if gpu_names() else (CPU_BATCH, 1)
    run = RunDir(place.scratch)
    filled = fill(run, place, batch_size, n_batches)
    work = ExtractStage(run, name, {}, "float16", filled.table, plan_of(name, batch_size=batch_size))
    engine = device_of(work.plan).engine

    def check() -> str:
        processed(work, filled.slides)
        found = open_features(work.target(filled.slides[0])).values[:batch_size].astype(np.float32)
        tidy()
        cosine = least_cosine(found, computed(engine, filled.batch, 1))
        require(cosine >= LEAST_COSINE, f"a stored feature has a cosine of {cosine:.5f} with that of the network")
        return f"features of the network itself, least cosine {cosine:.6f}"

    tidy = partial(shutil.rmtree, run.features(name, "x").parent, ignore_errors=True)
    in_all = SLIDES_AT_ONCE * filled.n_batches
    bounds = {"tiles in memory": partial(computed, engine, filled.batch, in_all)}
    all_slides = partial(processed, work, filled.slides)
    yield Prepared(in_all * batch_size, all_slides, bounds, check, tidy=tidy, on_gpu=bool(gpu_names()))


def least_cosine(one: Float32Array, other: Float32Array) -> float:
    """Of the angles between rows of float32 (n, d), each taken from the mean of ``other``."""
    mean = other.mean(axis=0, dtype=np.float64)
    mine, yours = one - mean, other - mean
    norms = np.linalg.norm(mine, axis=1) * np.linalg.norm(yours, axis=1)
    return float(((mine * yours).sum(axis=1) / norms).min())


def transformer_missing() -> str:
    """What a network of timm needs; empty where all of it is there."""
    missing = [name for name in ("torch", "timm") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed: pip install 'hypoxia-hpc[timm]'"
    return "" if backend_name() == "torch" else "Keras does not run on PyTorch: set KERAS_BACKEND=torch"


def _cases(
    name: str, *, backbone: str = "", is_quick: bool = False, missing: Callable[[], str] = backend_missing
) -> tuple[Case, Case]:
    """From stores, and from slides."""

    def case(suffix: str, tiles: str, fill: Fill, *, is_quick: bool) -> Case:
        return Case(
            name + suffix, "networks", f"features of {tiles} by {backbone or name}", "tiles",
            "the network on tiles in memory", partial(extraction, name=backbone or name, fill=fill),
            all_cores=True, is_quick=is_quick, missing=missing,
        )  # fmt: skip

    return (
        case("", "stored tiles", from_stores, is_quick=is_quick),
        case("-slides", 'tiles read from slides (pixels = "none")', from_slides, is_quick=False),
    )


CASES = (
    *_cases("inception_v3", is_quick=True),
    *_cases("resnet50", is_quick=True),
    *_cases("vgg16"),
    *_cases("vit", backbone=VISION_TRANSFORMER, missing=transformer_missing),
)
