"""Features of stored tiles, committed, against the same network on tiles that are in memory already.

On the GPU where the backend of Keras sees one, else on the cores; weights are random, which takes as long as others.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.resident import a_batch, computed, plan_of, processed
from hypoxia_hpc.bench.stored_tiles import tile_stores
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.models.extraction import ExtractStage
from hypoxia_hpc.networks.inference.device import device_of
from hypoxia_hpc.networks.runtime import backend_name, gpu_names, start_keras
from hypoxia_hpc.records import Float32Array
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


@contextmanager
def extraction(place: Place, *, name: str) -> Iterator[Prepared]:
    """Slides from their stores to committed features, as a worker process does it."""
    start_keras()
    batch_size, n_batches = (GPU_BATCH, GPU_BATCHES) if gpu_names() else (CPU_BATCH, 1)
    run = RunDir(place.scratch)
    stores = tile_stores(run.tiles("x").parent, SLIDES_AT_ONCE, batch_size * n_batches)
    work = ExtractStage(run, name, {}, "float16", TileTable(), plan_of(name, batch_size=batch_size))
    engine, batch = device_of(work.plan).engine, a_batch(batch_size)

    def check() -> str:
        processed(work, stores)
        found = open_features(run.features(name, stores[0].stem)).values[:batch_size].astype(np.float32)
        tidy()
        cosine = least_cosine(found, computed(engine, batch, 1))
        require(cosine >= LEAST_COSINE, f"a stored feature has a cosine of {cosine:.5f} with that of the network")
        return f"features of the network itself, least cosine {cosine:.6f}"

    tidy = partial(shutil.rmtree, run.features(name, "x").parent, ignore_errors=True)
    bounds = {"tiles in memory": partial(computed, engine, batch, SLIDES_AT_ONCE * n_batches)}
    amount = SLIDES_AT_ONCE * batch_size * n_batches
    yield Prepared(amount, partial(processed, work, stores), bounds, check, tidy=tidy, on_gpu=bool(gpu_names()))


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


def _case(
    name: str, *, backbone: str = "", is_quick: bool = False, missing: Callable[[], str] = backend_missing
) -> Case:
    summary = f"features of stored tiles by {backbone or name}"
    return Case(
        name, "networks", summary, "tiles", "the network on tiles in memory",
        partial(extraction, name=backbone or name),
        all_cores=True, is_quick=is_quick, missing=missing,
    )  # fmt: skip


CASES = (
    _case("inception_v3", is_quick=True),
    _case("resnet50", is_quick=True),
    _case("vgg16"),
    _case("vit", backbone=VISION_TRANSFORMER, missing=transformer_missing),
)
