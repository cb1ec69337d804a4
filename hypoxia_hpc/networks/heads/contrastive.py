"""Contrastive clustering on frozen features: a tile is in the cluster that two disturbed views of it agree on.

The cluster head and the cluster loss are those of the study (`contrastive_losses`). Its network, instance head and
Barlow Twins term are not here: on frozen features they could move a base that is not trained, and no cluster. The
study's two views of a tile differ in colour, turns and crops, which no feature vector can be given any more. Ours are
disturbed features: some are set to the mean, and to each Gaussian noise is added, in view B more of both than in
view A. A boundary between clusters then costs where tiles are dense, as views on its two sides disagree there.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hypoxia_hpc.config import ContrastiveTable
from hypoxia_hpc.networks.data.batches import RowBatch, ShuffledRows, rows_in_order
from hypoxia_hpc.networks.data.rows import Rows, TrainingData, opened_rows
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, standard_arrays, standard_shapes
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cluster_parts import ClusterOf, largest_first, outputs_of_rows, require_enough_tiles
from hypoxia_hpc.networks.heads.contrastive_losses import cluster_head, cluster_loss
from hypoxia_hpc.networks.heads.cost import (
    MODEL_SECONDS,
    MOST_CORES,
    UNIT_SECONDS,
    CohortSize,
    Cost,
    HeadCost,
    Layers,
)
from hypoxia_hpc.networks.heads.loop import Logs, OnEpoch, fit
from hypoxia_hpc.networks.heads.result import Arrays, Shapes, TrainedHead
from hypoxia_hpc.networks.heads.schedules import learning_rate
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.outcomes.outcome import Outcome

if TYPE_CHECKING:
    import keras

WEIGHT_DECAY = 0.01  # of AdamW, as PyTorch has it
# Weights, two moments, gradients; of a checkpoint the first three, twice as it is written.
WEIGHT_COPIES = 10
OUTPUT = ("002", "003")  # kernel and bias of the last layer, a column for each cluster


def train_contrastive(
    table: ContrastiveTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Cluster the training tiles; labels and validation tiles are not used. Clusters are numbered by their training
    tiles, the largest first.

    Raises InputError where there are fewer tiles than clusters, and what `opened_rows`, `standard_arrays` and `fit`
    raise.
    """
    start_keras().backend.clear_session()
    with opened_rows(TrainingData(data.train, (), data.feature_length)) as (train, none):
        require_enough_tiles("contrastive", table.clusters, len(train))
        standard = standard_arrays(train, none)
        program = _Program(table, train, standard, seed)
        history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
        weights = {f"{index:03d}": np.asarray(weight) for index, weight in enumerate(program.head.get_weights())}
        cluster_of = contrastive_predictor(table, {**standard, **weights}, data.feature_length)
        found = (cluster_of(batch.values.astype(np.float32)) for batch in rows_in_order(train))
        order = largest_first(found, table.clusters)
    return TrainedHead({**standard, **weights, **{name: weights[name][..., order] for name in OUTPUT}}, history)


def contrastive_predictor(table: ContrastiveTable, arrays: Arrays, feature_length: int) -> ClusterOf:
    """A trained clustering as a function of feature vectors; all in float32, whatever precision it was trained at."""
    keras = start_keras()
    head = _head(table.model_copy(update={"precision": "float32"}), feature_length, seed=0)
    features = keras.Input((feature_length,))
    assigning = keras.Model(features, head((features - arrays[MEAN]) / arrays[SCALE]))
    assigning.compile(jit_compile=compiler(xla=False) == "xla")
    head.set_weights([arrays[name] for name in sorted(arrays) if name not in (MEAN, SCALE)])
    return lambda values: outputs_of_rows(assigning, values).argmax(axis=1).astype(np.int64)


def contrastive_shapes(table: ContrastiveTable, feature_length: int, _: Outcome) -> Shapes:
    """Kernel and bias of both layers of the head."""
    shapes = ((feature_length, table.units), (table.units,), (table.units, table.clusters), (table.clusters,))
    numbered = {f"{index:03d}": (shape, "float32") for index, shape in enumerate(shapes)}
    return {**standard_shapes(feature_length), **numbered}


def contrastive_cost(table: ContrastiveTable, size: CohortSize) -> HeadCost:
    """Of one clustering: two views of every tile in each epoch."""
    head, rows = Layers(size.feature_length, table.units, table.clusters), size.train_tiles
    a_view = rows * size.feature_length * UNIT_SECONDS
    epoch = head.epoch_seconds(2 * rows, 2 * table.batch_size) + 2 * a_view + size.reading_seconds(rows)
    seconds = table.epochs * epoch + size.standard_seconds(rows) + head.forward_seconds(rows)
    peak = size.window_bytes + head.training_bytes(2 * table.batch_size, WEIGHT_COPIES)
    return HeadCost(Cost(MODEL_SECONDS + seconds, MOST_CORES, peak), head.predicting(size.tiles))


def n_contrastive_clusters(table: ContrastiveTable) -> int:
    """The number of clusters, empty ones included."""
    return table.clusters


def _head(table: ContrastiveTable, feature_length: int, seed: int) -> keras.Model:
    """Standardised features (b, d) -> probabilities (b, k)."""
    features = start_keras().Input((feature_length,))
    return start_keras().Model(features, cluster_head(features, table.units, table.clusters, seed, table.precision))


def _training(table: ContrastiveTable, head: keras.Model, standard: Arrays, dtype: str, seed: int) -> keras.Model:
    """Features as stored (b, d) -> the loss, once for each tile, (b, 1)."""
    keras = start_keras()

    class Loss(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def call(self, one: Any, other: Any) -> Any:
            return cluster_loss(one, other) * keras.ops.ones_like(one[:, :1])

    features = keras.Input((head.input_shape[1],), dtype=dtype)
    standardised = (keras.ops.cast(features, "float32") - standard[MEAN]) / standard[SCALE]
    views = [_view(standardised, *strengths, seed + 10 * number) for number, strengths in enumerate(_views(table), 1)]
    training = keras.Model(features, Loss()(*(head(view) for view in views)))
    training.compile(
        optimizer=keras.optimizers.AdamW(table.learning_rate, weight_decay=WEIGHT_DECAY),
        loss=lambda _, loss: loss,
        jit_compile=compiler(xla=False) == "xla",
    )
    training.optimizer.build(training.trainable_variables)
    return training


def _views(table: ContrastiveTable) -> Sequence[tuple[float, float]]:
    """Dropout and noise of view A and of view B."""
    return list(zip(table.dropout, table.noise, strict=True))


def _view(features: Any, dropout: float, noise: float, seed: int) -> Any:
    """Standardised features, disturbed. 0 is the mean of a feature; those that are kept keep their size."""
    layers = start_keras().layers
    kept = layers.Dropout(dropout, seed=seed)(features) * (1 - dropout)
    return layers.GaussianNoise(noise, seed=seed + 1)(kept)


class _Program:
    """What `fit` trains."""

    patience = None

    def __init__(self, table: ContrastiveTable, train: Rows, standard: Arrays, seed: int) -> None:
        self.epochs = table.epochs
        self._table = table
        self.head = _head(table, train.feature_length, seed)
        self._training = _training(table, self.head, standard, train.dtype.name, seed)
        self._rows = ShuffledRows(train, "none", table.batch_size, seed=seed, epochs=table.epochs)
        plan = self._rows.plan(0)
        self._n_steps = sum(plan.n_batches(window) for window in range(len(plan.windows)))

    def variables(self) -> Sequence[keras.Variable]:
        return [*self._training.variables, *self._training.optimizer.variables]

    def steps(self, epoch: int, first: int) -> Generator[RowBatch, None, None]:
        return self._rows.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: RowBatch) -> Logs:
        step, n_steps = epoch * self._n_steps + number, self.epochs * self._n_steps
        self._training.optimizer.learning_rate = learning_rate("warm-cosine", self._table.learning_rate, step, n_steps)
        self._training.reset_metrics()  # the loop takes the mean over the epoch
        none = np.zeros((len(batch.labels), 1), dtype=np.float32)
        return {"loss": float(self._training.train_on_batch(batch.values, none))}

    def end_epoch(self, epoch: int) -> Logs:
        """There is no validation loss."""
        return {}
