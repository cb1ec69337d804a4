"""The study's two dense heads, trained from feature stores that need not fit in memory.

Features are standardised by mean and standard deviation of the training tiles, which are part of the model; this is
ours, not the study's. (Raw features have a mean far larger than their spread; BatchNormalization's running mean, which
lags behind the moving weights, then makes a network that ranks well and yet calls every tile the same.)
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import FunnelTable, TanhTable
from hypoxia_hpc.networks.data.batches import RowBatch, ShuffledRows, rows_in_order
from hypoxia_hpc.networks.data.rows import Rows, TrainingData, opened_rows, require_two_classes, row_weights
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, standard_arrays, standard_shapes
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cost import MODEL_SECONDS, MOST_CORES, CohortSize, Cost, HeadCost, Layers
from hypoxia_hpc.networks.heads.loop import Logs, OnEpoch, fit
from hypoxia_hpc.networks.heads.result import Arrays, Predictor, Shapes, TrainedHead
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.records import Float64Array, Int64Array

if TYPE_CHECKING:
    import keras

DenseTable = TanhTable | FunnelTable
PREDICT_ROWS = 256  # a fixed number, the last batch padded: one trace, and every row is computed alike
LEAST_PROBABILITY = 1e-7  # as Keras clips them in its cross-entropy
# Weights, momentum, gradients; of the best epoch and of a checkpoint both of the first two, once more as it is written.
WEIGHT_COPIES = 9


def train_dense(
    table: DenseTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Train on the training tiles; the loss on validation tiles is computed, and with ``patience`` it ends training
    early.

    Raises what `opened_rows`, `require_two_classes`, `standard_arrays` and `fit` raise.
    """
    keras = start_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    with opened_rows(data) as (train, valid):
        require_two_classes(train)
        standard = standard_arrays(train, valid)
        program = DenseProgram(table, train, valid, standard, seed)
        history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
    weights = program.network.get_weights()
    arrays = {f"{index:03d}": np.asarray(weight) for index, weight in enumerate(weights)}
    return TrainedHead({**standard, **arrays}, history)


def dense_shapes(table: DenseTable, feature_length: int) -> Shapes:
    """Kernel and bias of each layer, and behind all but the last the four weights of its normalisation."""
    widths = _widths(table, feature_length)
    shapes: list[tuple[int, ...]] = []
    for before, width in itertools.pairwise(widths):
        shapes += [(before, width), (width,), *[(width,)] * 4]
    numbered = {f"{index:03d}": (shape, "float32") for index, shape in enumerate(shapes[:-4])}
    return {**standard_shapes(feature_length), **numbered}


def dense_cost(table: DenseTable, size: CohortSize) -> HeadCost:
    """Of a model whose training goes through all its epochs; patience ends it sooner."""
    layers = Layers(size.feature_length, *((table.units, 2) if isinstance(table, TanhTable) else (*table.units, 1)))
    rows = size.train_tiles * size.drawn(table.balance)
    epoch = layers.epoch_seconds(rows, table.batch_size) + layers.forward_seconds(size.valid_tiles)
    seconds = table.epochs * (epoch + size.reading_seconds(rows + size.valid_tiles))
    seconds += MODEL_SECONDS + size.standard_seconds(size.train_tiles + size.valid_tiles)
    peak = size.window_bytes + layers.training_bytes(table.batch_size, WEIGHT_COPIES)
    return HeadCost(Cost(seconds, MOST_CORES, peak), layers.predicting(size.tiles))


def _widths(table: DenseTable, feature_length: int) -> tuple[int, ...]:
    return (feature_length, table.units, 2) if isinstance(table, TanhTable) else (feature_length, *table.units, 1)


def dense_predictor(table: DenseTable, arrays: Arrays, feature_length: int) -> Predictor:
    """Feature vectors float32 (n, d) -> probability of class 1, float64 (n,)."""
    network = dense_network(table, arrays, feature_length, "float32", seed=0)
    network.set_weights([arrays[name] for name in sorted(arrays) if name not in (MEAN, SCALE)])
    return lambda values: _predict(network, values)


def dense_network(table: DenseTable, standard: Arrays, feature_length: int, dtype: str, *, seed: int) -> keras.Model:
    """Feature vectors of ``dtype`` (b, d), standardised inside -> probabilities float32 (b, 2 or 1)."""
    keras = start_keras()
    layers = keras.layers
    is_tanh = isinstance(table, TanhTable)
    widths, activation = ((table.units,), "tanh") if isinstance(table, TanhTable) else (table.units, "relu")
    features = keras.Input((feature_length,), dtype=dtype)
    hidden = (keras.ops.cast(features, "float32") - standard[MEAN]) / standard[SCALE]
    for number, width in enumerate(widths):
        hidden = layers.BatchNormalization()(layers.Dense(width)(hidden))
        hidden = layers.Dropout(table.dropout, seed=seed + number)(layers.Activation(activation)(hidden))
    top = layers.Dense(2, activation="softmax") if is_tanh else layers.Dense(1, activation="sigmoid")
    network = keras.Model(features, top(hidden))
    network.compile(
        optimizer=keras.optimizers.SGD(table.learning_rate, momentum=table.momentum, nesterov=not is_tanh),
        loss="sparse_categorical_crossentropy" if is_tanh else "mean_squared_error",
        metrics=["accuracy" if is_tanh else keras.metrics.BinaryAccuracy("accuracy")],
        jit_compile=compiler(xla=False) == "xla",
    )
    return network


class DenseProgram:
    """What `fit` trains: a step is a batch of tiles."""

    def __init__(self, table: DenseTable, train: Rows, valid: Rows, standard: Arrays, seed: int) -> None:
        self.epochs, self.patience = table.epochs, table.patience
        self.network = dense_network(table, standard, train.feature_length, train.dtype.name, seed=seed)
        self.network.optimizer.build(self.network.trainable_variables)
        self._loss = _cross_entropy if isinstance(table, TanhTable) else _squared_error
        self._rows = ShuffledRows(train, table.balance, table.batch_size, seed=seed, epochs=table.epochs)
        self._class_weights = row_weights(train) if table.balance == "weight" else None
        self._valid = valid

    def variables(self) -> Sequence[keras.Variable]:
        return [*self.network.variables, *self.network.optimizer.variables]

    def steps(self, epoch: int, first: int) -> Generator[RowBatch, None, None]:
        return self._rows.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: RowBatch) -> Logs:
        self.network.reset_metrics()  # the loop takes the mean over the epoch
        weights = None if self._class_weights is None else self._class_weights[batch.labels]
        logs = self.network.train_on_batch(batch.values, batch.labels, weights, return_dict=True)
        return {name: float(value) for name, value in logs.items()}

    def end_epoch(self, epoch: int) -> Logs:
        loss, right = 0.0, 0
        for batch in rows_in_order(self._valid):
            probabilities = _predict(self.network, batch.values)
            loss += float(self._loss(probabilities, batch.labels).sum())
            right += int(((probabilities > 0.5) == batch.labels).sum())
        n = len(self._valid)
        return {"valid_loss": loss / n, "valid_accuracy": right / n} if n else {}


def _cross_entropy(probabilities: Float64Array, labels: Int64Array) -> Float64Array:
    right = np.where(labels == 1, probabilities, 1 - probabilities)
    losses: Float64Array = -np.log(np.maximum(right, LEAST_PROBABILITY))
    return losses


def _squared_error(probabilities: Float64Array, labels: Int64Array) -> Float64Array:
    return (probabilities - labels) ** 2


def _predict(network: keras.Model, values: NDArray[Any]) -> Float64Array:
    """Probabilities of class 1, float64 (n,), of feature vectors of the network's own type (n, d)."""
    probabilities = np.empty(len(values), dtype=np.float64)
    for start in range(0, len(values), PREDICT_ROWS):
        part = values[start : start + PREDICT_ROWS]
        padded = np.zeros((PREDICT_ROWS, values.shape[1]), dtype=values.dtype)
        padded[: len(part)] = part
        probabilities[start : start + len(part)] = network.predict_on_batch(padded)[: len(part), -1]
    return probabilities
