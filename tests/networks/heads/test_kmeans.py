"""k-means and mini-batch k-means of features: scikit-learn's, on standardised features, the same ones each time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from networks.heads.test_contrastive import data_of, planted, same
from pydantic import ValidationError
from sklearn.metrics import adjusted_rand_score

from hypoxia_hpc.config import KMeansTable, MiniBatchKMeansTable
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cost import CohortSize
from hypoxia_hpc.networks.heads.deep_kmeans import CENTRES, nearest
from hypoxia_hpc.networks.heads.kmeans import (
    kmeans_cost,
    kmeans_predictor,
    mini_batch_kmeans_cost,
    train_kmeans,
    train_mini_batch_kmeans,
)
from hypoxia_hpc.networks.heads.result import TrainedHead

Training = Callable[[TrainingData], TrainedHead]
WHOLE, BATCHES = KMeansTable(clusters=4, most_tiles=500), MiniBatchKMeansTable(clusters=4, batch_size=100)


def training(folder: Path, table: KMeansTable | MiniBatchKMeansTable, stop: threading.Event | None = None) -> Training:
    train = train_kmeans if isinstance(table, KMeansTable) else train_mini_batch_kmeans
    checkpoints, asked = Checkpoints(folder, "key", 60), stop or threading.Event()
    return lambda data: train(table, data, seed=3, checkpoints=checkpoints, on_epoch=lambda _: None, stop=asked)


@pytest.mark.parametrize("table", [WHOLE, BATCHES])
def test_finds_planted_clusters_by_size_and_the_same_bytes(
    table: KMeansTable | MiniBatchKMeansTable, tmp_path: Path
) -> None:
    values, labels = planted(1, 900)
    data, train = data_of(tmp_path, values), training(tmp_path, table)
    head = train(data)
    clusters = kmeans_predictor(table, head.arrays, 32)(values.astype(np.float32))
    assert adjusted_rand_score(labels, clusters) > 0.95
    counts = np.bincount(clusters).tolist()
    assert counts == sorted(counts, reverse=True)
    assert same(head, train(data))
    standardised = (values.astype(np.float32) - head.arrays["mean"]) / head.arrays["scale"]
    assert np.array_equal(clusters, nearest(standardised, head.arrays[CENTRES]))


def test_too_few_tiles_small_batches_and_a_stop_are_said(tmp_path: Path) -> None:
    data, stop = data_of(tmp_path, planted(1, 9)[0]), threading.Event()
    with pytest.raises(InputError, match="9 training tiles make no 10 clusters"):
        training(tmp_path, KMeansTable(clusters=10))(data)
    with pytest.raises(ValidationError, match="first batch has to give 10 clusters a centre"):
        MiniBatchKMeansTable(clusters=10, batch_size=9)
    stop.set()
    with pytest.raises(Stopped):
        training(tmp_path, MiniBatchKMeansTable(clusters=2), stop)(data)


def test_only_a_sample_is_held_of_a_larger_cohort() -> None:
    sizes = [CohortSize(tiles, 100, 80, 0.7, 0.15, 1.0, 2048, 2, 224) for tiles in (1e6, 1e8)]
    whole = [kmeans_cost(KMeansTable(), size).train for size in sizes]
    assert whole[0].peak_bytes == whole[1].peak_bytes
    batches = [mini_batch_kmeans_cost(MiniBatchKMeansTable(), size).train for size in sizes]
    assert batches[1].core_seconds > 50 * batches[0].core_seconds
    assert batches[0].peak_bytes < whole[0].peak_bytes
