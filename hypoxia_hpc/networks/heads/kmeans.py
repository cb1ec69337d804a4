"""k-means and mini-batch k-means of standardised features, by scikit-learn: what other clusterings are held against."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import KMeansTable, MiniBatchKMeansTable
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.networks.data.batches import ShuffledRows, rows_in_order
from hypoxia_hpc.networks.data.rows import Rows, TrainingData, opened_rows
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, standard_arrays, standard_shapes
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cluster_parts import ClusterOf, largest_first, padded_batches, require_enough_tiles
from hypoxia_hpc.networks.heads.cost import LOAD_SECONDS, MODEL_SECONDS, CohortSize, Cost, HeadCost
from hypoxia_hpc.networks.heads.deep_kmeans import CENTRES, KMEANS_SECONDS, KMEANS_STARTS, kmeans
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.result import Arrays, Shapes, TrainedHead
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float32Array, Int64Array

AnyKMeansTable = KMeansTable | MiniBatchKMeansTable
# Centres of standardised features from all training tiles.
FindCentres = Callable[[Rows, Arrays], Float32Array]
# A feature vector's products with the centres, a centre and dimension: a matrix product.
ASSIGN_SECONDS = 1e-10


def train_kmeans(
    table: KMeansTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """k-means of a random sample of the training tiles, the best of ten starts. Raises as `train_deep_kmeans`."""

    def centres_of(train: Rows, standard: Arrays) -> Float32Array:
        centres = kmeans(_standardised(_sample(train, table.most_tiles, seed), standard), table.clusters, seed)
        on_epoch({})
        return centres

    return _clustered("kmeans", table, data, centres_of)


def train_mini_batch_kmeans(
    table: MiniBatchKMeansTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Mini-batch k-means (Sculley 2010) over all training tiles, from the centres that k-means gives the first batch.
    Raises as `train_deep_kmeans`, and Stopped."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    def centres_of(train: Rows, standard: Arrays) -> Float32Array:
        rows = ShuffledRows(train, "none", table.batch_size, seed=seed, epochs=table.epochs)
        first = kmeans(_standardised(next(rows.batches(0, 0)).values, standard), table.clusters, seed)
        found = MiniBatchKMeans(table.clusters, init=first, n_init=1, random_state=seed, batch_size=table.batch_size)
        for epoch in range(table.epochs):
            for batch in rows.batches(epoch, 0):
                _require_going_on(stop)
                with threadpool_limits(1):  # with more threads the order of its sums varies from run to run
                    found.partial_fit(_standardised(batch.values, standard).astype(np.float64))
            on_epoch({})
        return np.asarray(found.cluster_centers_, dtype=np.float32)

    return _clustered("mini_batch_kmeans", table, data, centres_of)


def kmeans_predictor(_: AnyKMeansTable, arrays: Arrays, feature_length: int) -> ClusterOf:
    """Trained centres as a function of feature vectors: the number of the nearest."""
    return lambda values: _nearest(_standardised(values, arrays), arrays[CENTRES])


def kmeans_shapes(table: AnyKMeansTable, feature_length: int, _: Outcome) -> Shapes:
    """The centres."""
    return {**standard_shapes(feature_length), CENTRES: ((table.clusters, feature_length), "float32")}


def kmeans_cost(table: KMeansTable, size: CohortSize) -> HeadCost:
    """Of one clustering; what it sees is in memory, as stored, as float32 and as float64."""
    seen = min(size.train_tiles, table.most_tiles)
    seconds = seen * KMEANS_STARTS * table.clusters * size.feature_length * KMEANS_SECONDS
    return _cost(table, size, seconds, seen * size.feature_length * 16.0)


def mini_batch_kmeans_cost(table: MiniBatchKMeansTable, size: CohortSize) -> HeadCost:
    """Of one clustering."""
    products = table.clusters * size.feature_length * KMEANS_SECONDS / 10
    seconds = table.epochs * (size.train_tiles * products + size.reading_seconds(size.train_tiles))
    return _cost(table, size, seconds, table.batch_size * size.feature_length * 16.0)


def n_kmeans_clusters(table: AnyKMeansTable) -> int:
    """The number of clusters, empty ones included."""
    return table.clusters


def _cost(table: AnyKMeansTable, size: CohortSize, seconds: float, held_bytes: float) -> HeadCost:
    assigning = size.tiles * (table.clusters + 10) * size.feature_length * ASSIGN_SECONDS
    seconds += MODEL_SECONDS + size.standard_seconds(size.train_tiles) + assigning
    return HeadCost(Cost(seconds, 1, size.window_bytes + held_bytes), Cost(LOAD_SECONDS + assigning, 1, 0.0))


def _clustered(name: str, table: AnyKMeansTable, data: TrainingData, centres_of: FindCentres) -> TrainedHead:
    """Centres, numbered by their training tiles, the largest first. No history: there is no loss by the epoch."""
    with opened_rows(TrainingData(data.train, (), data.feature_length)) as (train, none):
        require_enough_tiles(name, table.clusters, len(train))
        standard = standard_arrays(train, none)
        centres = centres_of(train, standard)
        found = (_nearest(_standardised(batch.values, standard), centres) for batch in rows_in_order(train))
        order = largest_first(found, table.clusters)
    return TrainedHead({**standard, CENTRES: centres[order]}, {})


def _sample(train: Rows, most: int, seed: int) -> NDArray[Any]:
    """At most that many rows, drawn at random, in their order."""
    drawn = np.random.default_rng(seed).permutation(len(train))[:most]
    chosen = np.zeros(len(train), dtype=bool)
    chosen[drawn] = True
    parts, start = [], 0
    for batch in rows_in_order(train):
        stop = start + len(batch.values)
        parts.append(batch.values[chosen[start:stop]])
        start = stop
    return np.concatenate(parts)


def _standardised(values: NDArray[Any], standard: Arrays) -> Float32Array:
    standardised: NDArray[Any] = (values.astype(np.float32) - standard[MEAN]) / standard[SCALE]
    return standardised


def _nearest(values: Float32Array, centres: Float32Array) -> Int64Array:
    """Number of the nearest centre (k, d) of each row (n, d), int64 (n,), by products: |v - c|² is least where
    |c|²/2 - v c is."""
    halves = (centres.astype(np.float64) ** 2).sum(axis=1) / 2
    parts = [(halves - batch @ centres.T).argmin(axis=1)[:n] for batch, n in padded_batches(values)]
    return np.concatenate(parts).astype(np.int64)


def _require_going_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped("stopped on request while clustering", remedy="run the same command again; it begins anew")
