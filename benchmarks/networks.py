"""Networks in the extraction benchmark: from stores against their own rate, by OpenVINO, in bfloat16, and on a GPU."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import demo_run
import numpy as np
import timm_rate
from figures import Bench, Figure, ratio

from hypoxia_hpc.bench.resident import Precision, a_batch, computed, plan_of, processed, stored_slides
from hypoxia_hpc.bench.rounds import Laps, median_seconds, paired
from hypoxia_hpc.bench.stored_tiles import BATCH, TILE_PX, real_tiles, tile_stores
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.models.extraction import ExtractStage
from hypoxia_hpc.networks.inference.device import DevicePlan, device_of
from hypoxia_hpc.networks.inference.engines import aligned_batch
from hypoxia_hpc.networks.inference.openvino_engine import PRECISIONS, converted
from hypoxia_hpc.networks.runtime import gpu_names
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.extract import SLIDES_AT_ONCE

NAMES = ("inception_v3", "resnet50")
GPU_BATCH = 256


# --- from stores -------------------------------------------------------------------------------------------------


def from_stores(bench: Bench) -> None:
    """Two slides of a run from their stores to committed features, as a worker process does it."""
    n_tiles = BATCH * (2 if bench.quick else 4)
    run = RunDir(bench.folder / f"run-{n_tiles}")
    stores = tile_stores(run.tiles("x").parent, SLIDES_AT_ONCE, n_tiles)
    target = 0.90 if gpu_names() else 0.95
    for name in NAMES:
        work = ExtractStage(run, name, {}, "float16", TileTable(), plan_of(name))
        n_batches = SLIDES_AT_ONCE * n_tiles // BATCH
        works: dict[str, Callable[[], object]] = {
            "on the device already": partial(computed, device_of(work.plan).engine, a_batch(), n_batches),
            "from stores, end to end": partial(processed, work, stored_slides(stores)),
        }
        for warm in works.values():
            warm()
        laps = paired(works, bench.rounds, partial(shutil.rmtree, run.features(name, "x").parent, ignore_errors=True))
        bench.report.rate(f"{name}, {TILE_PX} px, float32", laps, SLIDES_AT_ONCE * n_tiles)
        title = f"{name}: features from a tile store, end to end: share of the network's own rate"
        bench.report.add(share(title, laps, "on the device already", "from stores, end to end", target))


def share(name: str, laps: Laps, bound: str, ours: str, target: float | None, unit: str = "%") -> Figure:
    return Figure(name, ratio(laps, bound, ours), unit, target, by_processor=ratio(laps, bound, ours, "processor"))


# --- OpenVINO ----------------------------------------------------------------------------------------------------


def openvino(bench: Bench) -> None:
    """The same batches by Keras' backend, by OpenVINO as an engine, and by OpenVINO alone."""
    try:
        import openvino  # noqa: F401
    except ImportError:
        bench.report.add(Figure("network's rate on CPU, against OpenVINO", None, "x", 0.95, note="not installed"))
        return
    n_batches, batch = (2 if bench.quick else 4), a_batch()  # even: OpenVINO may have two streams
    for name in NAMES:
        plan = plan_of(name)
        by_keras = device_of(plan).engine
        by_engine = device_of(replace(plan, engine="openvino")).engine
        works: dict[str, Callable[[], object]] = {
            "Keras": partial(computed, by_keras, batch, n_batches),
            "OpenVINO as engine": partial(computed, by_engine, batch, n_batches),
            **{f"OpenVINO alone, {hint}": partial(rate, batch, n_batches) for hint, rate in bare(plan).items()},
        }
        for warm in works.values():
            warm()
        laps = paired(works, bench.rounds)
        bench.report.rate(f"{name}, {TILE_PX} px, float32, against OpenVINO", laps, n_batches * BATCH)
        fastest = min((alone for alone in laps if "alone" in alone), key=lambda alone: median_seconds(laps[alone]))
        cosine = least_cosine(computed(by_keras, batch, 1), computed(by_engine, batch, 1))
        bench.report.add(
            share(
                f'{name} with engine "openvino": rate against {fastest}', laps, fastest, "OpenVINO as engine", 0.95, "x"
            ),
            share(f'{name} with engine "keras": rate against {fastest}', laps, fastest, "Keras", None, "x"),
            Figure(f"{name}, features of both engines: least cosine", cosine, "cosine", 0.99999),
        )


def bare(plan: DevicePlan) -> dict[str, Callable[[np.ndarray, int], object]]:
    """OpenVINO's own ways: for latency and for throughput, with as many requests at once as it wants."""
    import openvino

    core = openvino.Core()
    network = converted(core, plan.build(), (BATCH, TILE_PX, TILE_PX, 3))
    ways: dict[str, Callable[[np.ndarray, int], object]] = {}
    for hint in ("LATENCY", "THROUGHPUT"):
        precision = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": PRECISIONS[plan.precision]}
        compiled = core.compile_model(network, "CPU", precision)
        ways[hint.lower()] = partial(queued, openvino.AsyncInferQueue(compiled))
    return ways


def queued(requests: Any, batch: np.ndarray, n_batches: int) -> None:
    for _ in range(n_batches):
        requests.start_async(batch, share_inputs=True)
    requests.wait_all()


# --- bfloat16 ----------------------------------------------------------------------------------------------------


def bfloat16(bench: Bench) -> None:
    """How far features move, and what that does to the demo's result."""
    tiles = real_tiles()[: 2 * BATCH if bench.quick else 6 * BATCH]
    for name in NAMES:
        found = {}
        for precision in ("float32", "bfloat16"):
            engine = device_of(plan_of(name, precision)).engine
            found[precision] = np.concatenate([computed(engine, part, 1) for part in parts_of(tiles)])
        cosines = cosines_of(found["float32"], found["bfloat16"])
        title = f"{name}, features in bfloat16 against float32: least cosine of {len(tiles)} tiles"
        bench.report.add(Figure(title, float(cosines.min()), "cosine", 0.999, note=f"median {np.median(cosines):.5f}"))
    bench.report.add(*demo_run.precision_figures(bench.folder / "demo", bench.report))


def parts_of(tiles: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(tiles), BATCH):
        batch = aligned_batch((BATCH, *tiles.shape[1:]))
        batch[:] = tiles[start : start + BATCH]
        yield batch


def cosines_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / norms)


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(cosines_of(one.astype(np.float64), other.astype(np.float64)).min())


# --- GPU ---------------------------------------------------------------------------------------------------------


def gpu(bench: Bench) -> None:
    """Against timm under torch.compile, in a process of its own, on the same GPU in turns."""
    gpus = gpu_names()
    for name in NAMES:
        title = f"{name} on a GPU: rate against timm under torch.compile"
        if not gpus or not timm_rate.is_here():
            why = "no NVIDIA GPU here" if not gpus else "timm and PyTorch are not installed"
            bench.report.add(Figure(title, None, "x", 1.0, note=f"not measured: {why}"))
            continue
        for precision in ("float32", "bfloat16"):
            against_timm(bench, name, precision, f"{title}, {precision}")


def against_timm(bench: Bench, name: str, precision: Precision, title: str) -> None:
    n_batches = 10 if bench.quick else 40
    engine = device_of(plan_of(name, precision, GPU_BATCH, xla=True)).engine
    with timm_rate.waiting(name, TILE_PX, GPU_BATCH, precision, n_batches) as timm:
        ours = partial(computed, engine, a_batch(GPU_BATCH), n_batches)
        works: dict[str, Callable[[], object]] = {"ours": ours, "timm": timm}
        for warm in works.values():
            warm()
        laps = paired(works, bench.rounds)
    bench.report.rate(title, laps, n_batches * GPU_BATCH)
    bench.report.add(share(title, laps, "timm", "ours", 1.0, "x"))
