"""Contrastive clustering: python benchmarks/contrastive.py [--json FILE] [--only training|phenotypes] [--quick]

Training from tile stores against the same network's plain forward and backward pass on data that is in memory already,
and tiles of feature stores into clusters against the trained head's own rate on features that are in memory already.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, Report, ratio
from real_tiles import Unseen

from hypoxia_hpc.bench.rounds import Laps, median_seconds, paired
from hypoxia_hpc.config import ContrastiveNetworkTable, ContrastiveTable, ExtractTable, KMeansTable
from hypoxia_hpc.models.clusterings import ByFeatures, ClusterTally, FoldClustering
from hypoxia_hpc.networks.backbones.resolve import build_inner, resolve_backbone
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE
from hypoxia_hpc.networks.data.tile_stream import TileSource
from hypoxia_hpc.networks.heads.cluster_parts import ClusterOf
from hypoxia_hpc.networks.heads.contrastive import contrastive_predictor, contrastive_shapes
from hypoxia_hpc.networks.heads.contrastive_network import (
    ContrastiveTraining,
    build_contrastive,
    heads_of,
    loss_layer,
)
from hypoxia_hpc.networks.heads.kmeans import kmeans_predictor, kmeans_shapes
from hypoxia_hpc.networks.runtime import backend_name, gpu_names, start_keras, threads_per_operation
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Features, Slide
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles, read_pixels

BACKBONE, TILE_PX, BATCH = "resnet50", 224, 8
STORES, STORE_TILES = 4, 64
LENGTH, STORE_ROWS, CLUSTERS = 2048, 2000, 50
COHORT_ROWS = 2_300_000
TRAINING_TARGET, ASSIGNING_TARGET = 0.85, 0.9
Works = dict[str, Callable[[], object]]


def tile_stores(folder: Path) -> list[TileSource]:
    """Stores of tiles of noise, compressed as `tile` does it."""
    rng, sources = np.random.default_rng(0), []
    for number in range(STORES):
        path = folder / f"s{number}.zarr"
        with new_tile_store(path, TILE_PX) as store:
            for _ in range(STORE_TILES):
                store.new_tile()[:] = rng.integers(0, 256, (TILE_PX, TILE_PX, 3), dtype=np.uint8)
            xy = np.arange(2 * STORE_TILES, dtype=np.int64).reshape(-1, 2)
            store.commit(xy, np.zeros(STORE_TILES, dtype=np.float32), {"key": path.name})
        sources.append(TileSource(partial(read_pixels, open_tiles(path)), STORE_TILES, 0))
    return sources


def plain(table: ContrastiveNetworkTable) -> Any:
    """Base, heads and losses of two views that are pixels already; steps of size 0, so that no weight is moved far."""
    keras = start_keras()
    base, preprocess = build_inner(resolve_backbone(extract_of(table), table.input_px, None))
    heads = heads_of(table, int(base.output_shape[-1]), 0)
    views = [keras.Input((table.input_px, table.input_px, 3)) for _ in range(2)]
    model = keras.Model(views, loss_layer()(*(heads(base(preprocess(keras, view))) for view in views)))
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=lambda _, loss: loss, jit_compile=False)
    return model


def extract_of(table: ContrastiveNetworkTable) -> ExtractTable:
    return ExtractTable(backbone=table.backbone, weights="random", precision=table.precision)


def training_works(folder: Path, px: int, steps: int) -> Works:
    table = ContrastiveNetworkTable(backbone=BACKBONE, weights="random", input_px=px, batch_size=BATCH)
    base, preprocess = build_inner(resolve_backbone(extract_of(table), px, None))
    network = build_contrastive(table, base, preprocess, TILE_PX, 0)
    training = ContrastiveTraining(table, network, tile_stores(folder), 0, Unseen())
    epochs, resident = count(), plain(table)
    views = [np.random.default_rng(1).uniform(0, 255, (BATCH, px, px, 3)).astype(np.float32) for _ in range(2)]
    views, none = [start_keras().ops.convert_to_tensor(view) for view in views], np.zeros((BATCH, 1), np.float32)

    def from_stores() -> None:
        epoch = next(epochs) % table.epochs
        with closing(training.steps(epoch, 0)) as batches:
            for number, batch in enumerate(islice(batches, steps)):
                training.step(epoch, number, batch)

    def in_memory() -> None:
        for _ in range(steps):
            resident.train_on_batch(views, none)

    works: Works = {"from tile stores": from_stores, "forward and backward alone": in_memory}
    for work in works.values():
        work()  # traced, and the stores in the page cache
    return works


def training(report: Report, rounds: int, *, quick: bool) -> None:
    px, steps = (64, 4) if quick else (224, 4)
    with tempfile.TemporaryDirectory() as folder:
        laps = paired(training_works(Path(folder), px, steps), rounds)
    share = ("forward and backward alone", "from tile stores")
    rate = 2 * BATCH * steps / median_seconds(laps["from tile stores"])
    report.rate(f"contrastive training, {BACKBONE} at {px} px, tiles of {TILE_PX} px", laps, BATCH * steps)
    report.add(
        Figure(
            "contrastive training from tile stores: share of plain forward and backward passes",
            ratio(laps, *share),
            "%",
            TRAINING_TARGET,
            by_processor=ratio(laps, *share, "processor"),
            note=f"  {rate:.2f} views/s; {rounds} rounds, {spread(laps, *share)}",
        )
    )


def spread(laps: Laps, slower: str, faster: str) -> str:
    ratios = sorted(one.clock / other.clock for one, other in zip(laps[slower], laps[faster], strict=True))
    return f"{ratios[0]:.0%} to {ratios[-1]:.0%}"


def feature_stores(folder: Path, n_rows: int) -> list[Path]:
    rng, paths = np.random.default_rng(0), []
    base = rng.gamma(1.0, 0.4, (STORE_ROWS, LENGTH)).astype(np.float16)
    for number in range(n_rows // STORE_ROWS):
        paths.append(folder / f"s{number:04d}.zarr")
        values = np.roll(base, (37 * number, 11 * number), axis=(0, 1))
        write_features(paths[-1], values, np.zeros((STORE_ROWS, 2), np.int64), {"key": paths[-1].name})
    return paths


def slides_of(paths: list[Path]) -> Iterator[tuple[SlideState, Features]]:
    for number, path in enumerate(paths):
        slide = Slide(path.stem, path, f"P{number % 100}", 1)
        yield SlideState(slide, "extract", "done", path.name), open_features(path)


def clusterings() -> dict[str, ClusterOf]:
    """A head and centres of random numbers: what they say takes as long as what trained ones say."""
    tables = {"contrastive head": ContrastiveTable(clusters=CLUSTERS), "k-means": KMeansTable(clusters=CLUSTERS)}
    shapes = {"contrastive head": contrastive_shapes, "k-means": kmeans_shapes}
    predictors: dict[str, Callable[..., ClusterOf]] = {
        "contrastive head": contrastive_predictor,
        "k-means": kmeans_predictor,
    }
    rng, found = np.random.default_rng(0), {}
    for name, table in tables.items():
        arrays = {
            one: rng.normal(size=shape).astype(dtype)
            for one, (shape, dtype) in shapes[name](table, LENGTH, BINARY).items()
        }
        arrays |= {MEAN: np.zeros_like(arrays[MEAN]), SCALE: np.ones_like(arrays[SCALE])}
        found[name] = predictors[name](table, arrays, LENGTH)
    return found


def assigning_works(paths: list[Path], cluster_of: ClusterOf) -> Works:
    resident = open_features(paths[0]).values.astype(np.float32)

    def from_stores() -> None:
        tally = ClusterTally([FoldClustering("clusters", 0, {}, CLUSTERS, ByFeatures(cluster_of))])
        for _ in tally.passing(slides_of(paths)):
            pass
        tally.tables()

    def in_memory() -> None:
        for _ in paths:
            cluster_of(resident)

    def reading() -> None:
        for _ in slides_of(paths):
            pass

    works: Works = {"from feature stores": from_stores, "features in memory": in_memory, "reading alone": reading}
    for work in works.values():
        work()
    return works


def phenotypes(report: Report, rounds: int, *, quick: bool) -> None:
    n_rows = 20_000 if quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        paths = feature_stores(Path(folder), n_rows)
        for name, cluster_of in clusterings().items():
            laps = paired(assigning_works(paths, cluster_of), rounds)
            report.rate(f"tiles into clusters by {name}", laps, n_rows)
            report.add(*_assigning_figures(name, laps, rounds, n_rows))


def _assigning_figures(name: str, laps: Laps, rounds: int, n_rows: int) -> Iterator[Figure]:
    own, reading = ("features in memory", "from feature stores"), ("reading alone", "from feature stores")
    minutes = COHORT_ROWS / n_rows * median_seconds(laps["from feature stores"]) / 60
    note = f"  {n_rows:,} rows for {COHORT_ROWS:,}, which take {minutes:.1f} min; {rounds} rounds"
    yield Figure(
        f"tiles into clusters by {name}: share of its own rate in memory",
        ratio(laps, *own),
        "%",
        ASSIGNING_TARGET if name == "contrastive head" else None,
        by_processor=ratio(laps, *own, "processor"),
        note=f"{note}, {spread(laps, *own)}",
    )
    share = ratio(laps, *reading)
    yield Figure(f"the same: share of the rate of reading ({name})", share, "%", None, note=spread(laps, *reading))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    parser.add_argument("--only", choices=("training", "phenotypes"), help="one of both parts")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="smaller tiles, fewer rows")
    options = parser.parse_args()
    report = Report()
    report.say(f"{report.machine}")
    report.say(f"{backend_name()}, {threads_per_operation()} threads, GPUs: {gpu_names() or 'none'}")
    for name, part in {"training": training, "phenotypes": phenotypes}.items():
        if options.only in (None, name):
            part(report, options.rounds, quick=options.quick)
    report.table()
    if options.json:
        report.write(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
