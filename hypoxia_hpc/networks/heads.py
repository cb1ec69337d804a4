"""Top models on feature vectors: the study's two dense heads and a logistic regression as baseline.

A trained model is a dictionary of arrays and nothing else; ``predictor`` rebuilds the rest from run.toml's table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import FunnelTable, LogisticTable, TanhTable
from hypoxia_hpc.networks.runtime import start_keras
from hypoxia_hpc.records import Float32Array, Float64Array, Int64Array

if TYPE_CHECKING:
    import keras

HeadTable = TanhTable | FunnelTable | LogisticTable
Arrays = Mapping[str, NDArray[Any]]
History = Mapping[str, list[float]]
Predictor = Callable[[Float32Array], Float64Array]
OnEpoch = Callable[[Mapping[str, float]], None]


PREDICT_ROWS = 8192
MEAN, SCALE = "mean", "scale"


@dataclass(frozen=True, slots=True)
class TileSet:
    """Feature vectors float32 (n, d) and labels int64 (n,), 0 or 1, of the tiles of one set of patients."""

    values: Float32Array
    labels: Int64Array


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """Weights by name and, for heads trained in epochs, loss and accuracy per epoch."""

    arrays: Arrays
    history: History


def train_head(table: HeadTable, train: TileSet, valid: TileSet, *, seed: int, on_epoch: OnEpoch) -> TrainedHead:
    """Train one head on training tiles; the valid tiles are only watched. ``on_epoch`` may raise to stop.

    Features are first standardised by mean and standard deviation of the training tiles, which are part of the model.
    (Raw features have a mean far larger than their spread; BatchNormalization's running mean, which lags behind the
    moving weights, then makes a network that ranks well and yet calls every tile the same.)
    """
    mean = train.values.mean(axis=0, dtype=np.float64)
    scale = train.values.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0  # a feature that never changes stays 0
    standard = {MEAN: mean.astype(np.float32), SCALE: scale.astype(np.float32)}
    train, valid = _standardised(standard, train), _standardised(standard, valid)
    if isinstance(table, LogisticTable):
        trained = _train_logistic(table, train)
        on_epoch({})
    else:
        trained = _train_dense(table, train, valid, seed, on_epoch)
    return TrainedHead({**standard, **trained.arrays}, trained.history)


def predictor(table: HeadTable, arrays: Arrays, feature_length: int) -> Predictor:
    """A trained head as a function: feature vectors float32 (n, d) -> probability of class 1, float64 (n,) in 0..1."""
    weights = {name: array for name, array in arrays.items() if name not in (MEAN, SCALE)}
    if isinstance(table, LogisticTable):
        inner: Predictor = functools.partial(_predict_logistic, weights)
    else:
        model = _dense_network(table, feature_length)
        model.set_weights([weights[name] for name in sorted(weights)])
        inner = functools.partial(_predict_dense, model)
    return lambda values: inner(standardise(arrays, values))


def standardise(arrays: Arrays, values: Float32Array) -> Float32Array:
    """Feature vectors float32 (n, d) less the training tiles' mean, over their standard deviation."""
    standardised: Float32Array = ((values - arrays[MEAN]) / arrays[SCALE]).astype(np.float32, copy=False)
    return standardised


def _standardised(arrays: Arrays, tiles: TileSet) -> TileSet:
    return TileSet(standardise(arrays, tiles.values), tiles.labels) if len(tiles.labels) else tiles


def balanced_order(labels: Int64Array, rng: np.random.Generator) -> Int64Array:
    """Indices of one epoch in random order, both classes equally often: all tiles of the larger class once, those of
    the smaller repeated evenly. int64 (2 · larger class,)."""
    members = [np.flatnonzero(labels == label) for label in (0, 1)]
    most = max(len(part) for part in members)
    drawn = [np.resize(rng.permutation(part), most) for part in members]
    order: Int64Array = rng.permutation(np.concatenate(drawn)).astype(np.int64)
    return order


def _dense_network(table: TanhTable | FunnelTable, feature_length: int) -> keras.Model:
    keras = start_keras()
    layers = keras.layers
    widths, activation = ((table.units,), "tanh") if isinstance(table, TanhTable) else (table.units, "relu")
    stack = [keras.Input((feature_length,))]
    for width in widths:
        stack += [
            layers.Dense(width),
            layers.BatchNormalization(),
            layers.Activation(activation),
            layers.Dropout(table.dropout),
        ]
    if isinstance(table, TanhTable):
        stack.append(layers.Dense(2, activation="softmax"))
    else:
        stack.append(layers.Dense(1, activation="sigmoid"))
    return keras.Sequential(stack)


def _train_dense(
    table: TanhTable | FunnelTable, train: TileSet, valid: TileSet, seed: int, on_epoch: OnEpoch
) -> TrainedHead:
    keras = start_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = _dense_network(table, train.values.shape[1])
    is_tanh = isinstance(table, TanhTable)
    model.compile(
        optimizer=keras.optimizers.SGD(table.learning_rate, momentum=table.momentum, nesterov=not is_tanh),
        loss="sparse_categorical_crossentropy" if is_tanh else "mean_squared_error",
        metrics=["accuracy" if is_tanh else "binary_accuracy"],
        jit_compile=False,
    )
    rng = np.random.default_rng(seed)
    history: dict[str, list[float]] = {}
    for _ in range(table.epochs):
        logs = _one_epoch(model, train, balanced_order(train.labels, rng), table.batch_size)
        if len(valid.labels):
            watched = model.evaluate(valid.values, valid.labels, batch_size=4096, verbose=0, return_dict=True)
            logs |= {f"valid_{name}": value for name, value in watched.items()}
        logs = {name.replace("binary_accuracy", "accuracy"): float(value) for name, value in logs.items()}
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
        on_epoch(logs)
    arrays = {f"{index:03d}": np.asarray(weight) for index, weight in enumerate(model.get_weights())}
    return TrainedHead(arrays, history)


def _one_epoch(model: keras.Model, train: TileSet, order: Int64Array, batch_size: int) -> dict[str, float]:
    # Whole batches only, so that there is one trace; what is over comes in another epoch's order.
    size = min(batch_size, len(order))
    logs: dict[str, float] = {}
    model.reset_metrics()
    for start in range(0, len(order) - size + 1, size):
        rows = order[start : start + size]
        logs = model.train_on_batch(train.values[rows], train.labels[rows], return_dict=True)
    return dict(logs)


def _predict_dense(model: keras.Model, values: Float32Array) -> Float64Array:
    parts = [
        np.asarray(model(values[start : start + PREDICT_ROWS], training=False), dtype=np.float64)[:, -1]
        for start in range(0, len(values), PREDICT_ROWS)
    ]
    return np.concatenate(parts)


def _train_logistic(table: LogisticTable, train: TileSet) -> TrainedHead:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=table.c, max_iter=table.max_iter, class_weight="balanced")
    model.fit(train.values.astype(np.float64), train.labels)
    return TrainedHead({"coefficients": model.coef_[0], "intercept": model.intercept_}, {})


def _predict_logistic(arrays: Arrays, values: Float32Array) -> Float64Array:
    from scipy.special import expit

    probabilities: Float64Array = expit(values.astype(np.float64) @ arrays["coefficients"] + arrays["intercept"][0])
    return probabilities
