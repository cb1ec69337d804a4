"""The dense heads of the studies, trained from feature stores that need not fit in memory.

Features are standardised by mean and standard deviation of the training tiles, which are part of the model; this is
ours, not the studies'. (Raw features have a mean far larger than their spread; BatchNormalization's running mean, which
lags behind the moving weights, then makes a network that ranks well and yet calls every tile the same.)
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import FunnelTable, ReluTable, TanhTable
from hypoxia_hpc.networks.data.batches import RowBatch, ShuffledRows, rows_in_order
from hypoxia_hpc.networks.data.rows import Rows, TrainingData, opened_rows, require_trainable, row_weights
from hypoxia_hpc.networks.data.standardise import (
    LABEL_MEAN,
    LABEL_SCALE,
    MEAN,
    SCALE,
    label_arrays,
    label_shapes,
    standard_arrays,
    standard_shapes,
)
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cost import MODEL_SECONDS, MOST_CORES, CohortSize, Cost, HeadCost, Layers
from hypoxia_hpc.networks.heads.loop import Logs, OnEpoch, fit
from hypoxia_hpc.networks.heads.objectives import HUBER, huber, in_units_of_labels
from hypoxia_hpc.networks.heads.result import Arrays, Predictor, Shapes, TrainedHead
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import AnyArray, Float32Array, Float64Array

if TYPE_CHECKING:
    import keras

DenseTable = TanhTable | FunnelTable | ReluTable
PREDICT_ROWS = 256  # a fixed number, the last batch padded: one trace, and every row is computed alike
LEAST_PROBABILITY = 1e-7  # as Keras clips them in its cross-entropy
# Weights, momentum, gradients; of the best epoch and of a checkpoint both of the first two, once more as it is written.
WEIGHT_COPIES = 9
NOT_WEIGHTS = (MEAN, SCALE, LABEL_MEAN, LABEL_SCALE)


@dataclass(frozen=True, slots=True)
class _Top:
    """The last layer: its units and activation; its loss and metric in Keras. ``losses``: outputs float64 (n, units)
    and labels (n,) to the loss of each row; ``right``: to whether each is called right, None for a number."""

    units: int
    activation: str
    loss: Any
    metric: Any
    losses: Callable[[Float64Array, AnyArray], Float64Array]
    right: Callable[[Float64Array, AnyArray], AnyArray] | None


def _top(table: DenseTable, outcome: Outcome) -> _Top:
    """The tops of the studies, and what they are for an outcome that they do not have."""
    keras = start_keras()
    if isinstance(table, TanhTable):
        n_classes = len(outcome.table.classes)
        return _Top(n_classes, "softmax", "sparse_categorical_crossentropy", "accuracy", _cross_entropy, _likeliest)
    if outcome.kind == "score":
        return _Top(1, "linear", keras.losses.Huber(delta=HUBER), None, _huber, None)
    accuracy = keras.metrics.BinaryAccuracy("accuracy")
    if isinstance(table, ReluTable):
        return _Top(1, "sigmoid", "binary_crossentropy", accuracy, _cross_entropy, _above_half)
    return _Top(1, "sigmoid", "mean_squared_error", accuracy, _squared_error, _above_half)


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

    Raises what `opened_rows`, `require_trainable`, `standard_arrays` and `fit` raise.
    """
    keras = start_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    with opened_rows(data) as (train, valid):
        require_trainable(train)
        standard = {**standard_arrays(train, valid), **label_arrays(train)}
        program = DenseProgram(table, train, valid, standard, seed)
        history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
    weights = program.network.get_weights()
    arrays = {f"{index:03d}": np.asarray(weight) for index, weight in enumerate(weights)}
    return TrainedHead({**standard, **arrays}, history)


def dense_shapes(table: DenseTable, feature_length: int, outcome: Outcome) -> Shapes:
    """Kernel and bias of each layer, and behind all but the last the four weights of its normalisation, if any."""
    widths = (feature_length, *_hidden(table), _top(table, outcome).units)
    n_norm = 0 if isinstance(table, ReluTable) else 4
    shapes: list[tuple[int, ...]] = []
    for before, width in itertools.pairwise(widths):
        shapes += [(before, width), (width,), *[(width,)] * n_norm]
    numbered = {f"{index:03d}": (shape, "float32") for index, shape in enumerate(shapes[: len(shapes) - n_norm])}
    return {**standard_shapes(feature_length), **label_shapes(outcome), **numbered}


def dense_cost(table: DenseTable, size: CohortSize) -> HeadCost:
    """Of a model whose training goes through all its epochs; patience ends it sooner."""
    layers = Layers(size.feature_length, *_hidden(table), 2 if isinstance(table, TanhTable) else 1)
    rows = size.train_tiles * size.drawn(table.balance)
    epoch = layers.epoch_seconds(rows, table.batch_size) + layers.forward_seconds(size.valid_tiles)
    seconds = table.epochs * (epoch + size.reading_seconds(rows + size.valid_tiles))
    seconds += MODEL_SECONDS + size.standard_seconds(size.train_tiles + size.valid_tiles)
    peak = size.window_bytes + layers.training_bytes(table.batch_size, WEIGHT_COPIES)
    return HeadCost(Cost(seconds, MOST_CORES, peak), layers.predicting(size.tiles))


def _hidden(table: DenseTable) -> tuple[int, ...]:
    return (table.units,) if isinstance(table, TanhTable) else table.units


def dense_predictor(table: DenseTable, arrays: Arrays, feature_length: int, outcome: Outcome) -> Predictor:
    """Feature vectors float32 (n, d) -> probability of class 1, or a score, float64 (n,); of more classes than two the
    probability of each, (n, k)."""
    network = dense_network(table, arrays, feature_length, "float32", seed=0, outcome=outcome)
    network.set_weights([arrays[name] for name in sorted(arrays) if name not in NOT_WEIGHTS])

    def predict(values: Float32Array) -> Float64Array:
        outputs = in_units_of_labels(_predict(network, values), arrays)
        return outputs if outcome.n_outputs > 1 else outputs[:, -1]

    return predict


def dense_network(
    table: DenseTable, standard: Arrays, feature_length: int, dtype: str, *, seed: int, outcome: Outcome = BINARY
) -> keras.Model:
    """Feature vectors of ``dtype`` (b, d), standardised inside -> what `_top` says, float32 (b, units)."""
    keras = start_keras()
    layers = keras.layers
    top = _top(table, outcome)
    features = keras.Input((feature_length,), dtype=dtype)
    hidden = (keras.ops.cast(features, "float32") - standard[MEAN]) / standard[SCALE]
    for number, width in enumerate(_hidden(table)):
        hidden = _activated(table, layers.Dense(width)(hidden), seed + number)
    network = keras.Model(features, layers.Dense(top.units, activation=top.activation)(hidden))
    network.compile(
        optimizer=_optimizer(table),
        loss=top.loss,
        metrics=[] if top.metric is None else [top.metric],
        jit_compile=compiler(xla=False) == "xla",
    )
    return network


def _activated(table: DenseTable, hidden: Any, seed: int) -> Any:
    """What a hidden layer makes of the outputs of its units."""
    layers = start_keras().layers
    if isinstance(table, ReluTable):
        return layers.Activation("relu")(hidden)
    activation = layers.Activation("tanh" if isinstance(table, TanhTable) else "relu")
    return layers.Dropout(table.dropout, seed=seed)(activation(layers.BatchNormalization()(hidden)))


def _optimizer(table: DenseTable) -> Any:
    optimizers = start_keras().optimizers
    if isinstance(table, ReluTable):
        return optimizers.RMSprop(table.learning_rate)
    is_nesterov = not isinstance(table, TanhTable)
    return optimizers.SGD(table.learning_rate, momentum=table.momentum, nesterov=is_nesterov)


class DenseProgram:
    """What `fit` trains: a step is a batch of tiles."""

    def __init__(self, table: DenseTable, train: Rows, valid: Rows, standard: Arrays, seed: int) -> None:
        self.epochs, self.patience = table.epochs, table.patience
        self.network = dense_network(
            table, standard, train.feature_length, train.dtype.name, seed=seed, outcome=train.outcome
        )
        self.network.optimizer.build(self.network.trainable_variables)
        self._top, self._standard = _top(table, train.outcome), standard
        self._rows = ShuffledRows(train, table.balance, table.batch_size, seed=seed, epochs=table.epochs)
        has_classes = isinstance(train.outcome, NamedClasses)
        self._class_weights = row_weights(train) if table.balance == "weight" and has_classes else None
        self._valid = valid

    def variables(self) -> Sequence[keras.Variable]:
        return [*self.network.variables, *self.network.optimizer.variables]

    def steps(self, epoch: int, first: int) -> Generator[RowBatch, None, None]:
        return self._rows.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: RowBatch) -> Logs:
        self.network.reset_metrics()  # the loop takes the mean over the epoch
        weights = None if self._class_weights is None else self._class_weights[batch.labels]
        logs = self.network.train_on_batch(batch.values, self._targets(batch.labels), weights, return_dict=True)
        return {name: float(value) for name, value in logs.items()}

    def end_epoch(self, epoch: int) -> Logs:
        loss, right = 0.0, 0
        for batch in rows_in_order(self._valid):
            outputs, targets = _predict(self.network, batch.values), self._targets(batch.labels)
            loss += float(self._top.losses(outputs, targets).sum())
            if self._top.right is not None:
                right += int(self._top.right(outputs, targets).sum())
        n = len(self._valid)
        if not n:
            return {}
        return {"valid_loss": loss / n, **({} if self._top.right is None else {"valid_accuracy": right / n})}

    def _targets(self, labels: AnyArray) -> AnyArray:
        """Labels of classes as they are, scores standardised."""
        if LABEL_SCALE not in self._standard:
            return labels
        standardised: Float64Array = (labels - self._standard[LABEL_MEAN][0]) / self._standard[LABEL_SCALE][0]
        return standardised


def _cross_entropy(probabilities: Float64Array, labels: AnyArray) -> Float64Array:
    if probabilities.shape[1] <= 2:  # from the last of them: what a sum that is not quite 1 hides is no loss
        right = np.where(labels == 1, probabilities[:, -1], 1 - probabilities[:, -1])
    else:
        right = probabilities[np.arange(len(labels)), labels]
    losses: Float64Array = -np.log(np.maximum(right, LEAST_PROBABILITY))
    return losses


def _likeliest(probabilities: Float64Array, labels: AnyArray) -> AnyArray:
    right: AnyArray = probabilities.argmax(axis=1) == labels
    return right


def _squared_error(probabilities: Float64Array, labels: AnyArray) -> Float64Array:
    errors: Float64Array = (probabilities[:, 0] - labels) ** 2
    return errors


def _above_half(probabilities: Float64Array, labels: AnyArray) -> AnyArray:
    right: AnyArray = (probabilities[:, 0] > 0.5) == labels
    return right


def _huber(outputs: Float64Array, targets: AnyArray) -> Float64Array:
    return huber(outputs[:, 0] - targets)


def _predict(network: keras.Model, values: NDArray[Any]) -> Float64Array:
    """The outputs, float64 (n, units), of feature vectors of the network's own type (n, d)."""
    outputs = np.empty((len(values), network.output_shape[-1]), dtype=np.float64)
    for start in range(0, len(values), PREDICT_ROWS):
        part = values[start : start + PREDICT_ROWS]
        padded = np.zeros((PREDICT_ROWS, values.shape[1]), dtype=values.dtype)
        padded[: len(part)] = part
        outputs[start : start + len(part)] = network.predict_on_batch(padded)[: len(part)]
    return outputs
