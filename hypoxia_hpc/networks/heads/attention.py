"""Gated-attention multiple-instance learning: a patient is a bag of tiles, and the network learns which of them count.

Ilse, Tomczak and Welling 2018, "Attention-based deep multiple instance learning" (ICML), equations 8 and 9. A tile's
embedding is h = ReLU(V x + v); its attention logit is a = w . (tanh(T h + t) * sigmoid(G h + g)), its score s = c . h;
the bag's logit is sum(softmax(a) s) + b. As the classifier is linear, a and s are all that pooling needs of a
tile: any bag that the tile is in (its slide, its patient) is pooled from them. So any number of tiles is predicted in
parts, and a tile by itself has the probability sigmoid(s + b). With more classes than two there is a c for each; a
score and a log hazard are sums of the same form.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.analysis.pooling import ATTENTION, linked, logit_names
from hypoxia_hpc.config import AttentionTable
from hypoxia_hpc.networks.data.bags import AHEAD, MOST_CHUNKS, Bag, BagBatch, ShuffledBags, bags_of, read_rows
from hypoxia_hpc.networks.data.rows import Rows, TrainingData, opened_rows, require_trainable
from hypoxia_hpc.networks.data.shuffling import CHUNK_ROWS
from hypoxia_hpc.networks.data.standardise import (
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
from hypoxia_hpc.networks.heads.objectives import in_units_of_labels, objective_of
from hypoxia_hpc.networks.heads.result import Arrays, Predictor, Shapes, TileOutputs, TrainedHead
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float32Array, Float64Array

if TYPE_CHECKING:
    import keras

NOTHING = -1e9  # attention logit of padding: its softmax is exactly 0 in float32
LEAST_ROWS, MOST_ROWS = 64, 8192  # in one go through the network when predicting
# Weights, two moments, gradients; of the best epoch and of a checkpoint the first three, once more as it is written.
WEIGHT_COPIES = 13


@dataclass(frozen=True, slots=True)
class Evidence:
    """The network's outputs for n tiles, float64: the attention logit of each, (n,), and what the network says of it by
    itself, (n, k): logits of its probabilities, a score, a log hazard."""

    attention_logit: Float64Array
    logits: Float64Array


AttentionScores = Callable[[Float32Array], Evidence]


def train_attention(
    table: AttentionTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Train on bags of the training patients; the loss on the validation patients, with all their tiles, ends it early.

    Raises what `opened_rows`, `require_trainable`, `standard_arrays` and `fit` raise.
    """
    keras = start_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    with opened_rows(data) as (train, valid):
        require_trainable(train)
        standard = {**standard_arrays(train, valid), **label_arrays(train)}
        program = _Program(table, train, valid, standard, seed)
        history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
    return TrainedHead({**standard, **_arrays(program.layers)}, history)


def attention_shapes(table: AttentionTable, feature_length: int, outcome: Outcome) -> Shapes:
    """Of the arrays of `attention_layers`."""
    embedded, gated = table.units, table.attention_units
    own: dict[str, tuple[int, ...]] = {
        "embedding.kernel": (feature_length, embedded),
        "embedding.bias": (embedded,),
        "gate_tanh.kernel": (embedded, gated),
        "gate_tanh.bias": (gated,),
        "gate_sigmoid.kernel": (embedded, gated),
        "gate_sigmoid.bias": (gated,),
        "attention.kernel": (gated, 1),
        "score.kernel": (embedded, outcome.n_outputs),
        "score.bias": (outcome.n_outputs,),
    }
    standard = {**standard_shapes(feature_length), **label_shapes(outcome)}
    return {**standard, **{name: (shape, "float32") for name, shape in own.items()}}


def attention_cost(table: AttentionTable, size: CohortSize) -> HeadCost:
    """Of a model whose training goes through all its epochs; patience ends it sooner.

    Tiles of a bag are drawn from all over a patient, so nearly all of the patient's are read for them."""
    layers = Layers(size.feature_length, table.units, 2 * table.attention_units)
    bags = size.patients * size.train * size.drawn(table.balance)
    batch = table.batch_size * table.bag_tiles
    read = bags * min(size.tiles / max(size.patients, 1), MOST_CHUNKS * CHUNK_ROWS) + size.valid_tiles
    epoch = layers.epoch_seconds(bags * table.bag_tiles, batch) + layers.forward_seconds(size.valid_tiles)
    seconds = table.epochs * (epoch + size.reading_seconds(read))
    seconds += MODEL_SECONDS + size.standard_seconds(size.train_tiles + size.valid_tiles)
    waiting = (AHEAD + 1) * batch * size.row_bytes
    watched = MOST_ROWS * size.feature_length * 4.0 * 4
    peak = size.reader_bytes + waiting + watched + layers.training_bytes(batch, WEIGHT_COPIES)
    return HeadCost(Cost(seconds, MOST_CORES, peak), layers.predicting(size.tiles))


def attention_scores(table: AttentionTable, arrays: Arrays) -> AttentionScores:
    """A trained network as a function: feature vectors float32 (n, d) -> `Evidence` of n tiles."""
    layers = attention_layers(table, len(arrays["score.bias"]))
    network = _tile_network(layers, arrays, "float32")
    for name, weight in _weights(layers):
        weight.assign(arrays[name])

    def weigh(values: Float32Array) -> Evidence:
        found = _evidence(network, values)
        return Evidence(found.attention_logit, in_units_of_labels(found.logits, arrays))

    return weigh


def attention_outputs(table: AttentionTable, arrays: Arrays, _: int, outcome: Outcome) -> TileOutputs:
    """Feature vectors float32 (n, d) -> what pooling needs of each tile: what is said of it by itself, its attention
    and its logits."""
    weigh = attention_scores(table, arrays)

    def outputs(values: Float32Array) -> dict[str, Float64Array]:
        found = weigh(values)
        said = dict(zip(outcome.outputs, linked(found.logits, outcome.link).T, strict=True))
        logits = dict(zip(logit_names(outcome.n_outputs), found.logits.T, strict=True))
        return {**said, ATTENTION: found.attention_logit, **logits}

    return outputs


def attention_predictor(table: AttentionTable, arrays: Arrays, _: int, outcome: Outcome) -> Predictor:
    """Feature vectors float32 (n, d) -> what is said of each tile by itself, float64 (n,), of more classes than two
    (n, k)."""
    weigh = attention_scores(table, arrays)

    def predict(values: Float32Array) -> Float64Array:
        said = linked(weigh(values).logits, outcome.link)
        return said if outcome.n_outputs > 1 else said[:, 0]

    return predict


def attention_layers(table: AttentionTable, n_outputs: int = 1, *, seed: int = 0) -> Mapping[str, keras.layers.Layer]:
    """The layers of a network by name, which training and prediction share; not built yet. ``seed``: of dropout."""
    layers = start_keras().layers
    return {
        "embedding": layers.Dense(table.units, activation="relu"),
        "dropout": layers.Dropout(table.dropout, seed=seed),
        "gate_tanh": layers.Dense(table.attention_units, activation="tanh"),
        "gate_sigmoid": layers.Dense(table.attention_units, activation="sigmoid"),
        "attention": layers.Dense(1, use_bias=False),  # a bias would cancel in the softmax
        "score": layers.Dense(n_outputs),
    }


def _attention_and_logit(layers: Mapping[str, Any], standard: Arrays, tiles: Any) -> tuple[Any, Any]:
    """Features (..., d) to (..., 1) and (..., k)."""
    standardised = (start_keras().ops.cast(tiles, "float32") - standard[MEAN]) / standard[SCALE]
    embedded = layers["dropout"](layers["embedding"](standardised))
    gated = layers["gate_tanh"](embedded) * layers["gate_sigmoid"](embedded)
    return layers["attention"](gated), layers["score"](embedded)


def _tile_network(layers: Mapping[str, Any], standard: Arrays, dtype: str) -> keras.Model:
    keras = start_keras()
    tiles = keras.Input((len(standard[MEAN]),), dtype=dtype)
    return keras.Model(tiles, keras.ops.concatenate(_attention_and_logit(layers, standard, tiles), axis=-1))


def bag_network(layers: Mapping[str, Any], standard: Arrays, n_tiles: int, dtype: str) -> keras.Model:
    """Features (b, n_tiles, d) and mask (b, n_tiles), 0 where there is no tile, to the logits of each bag (b, k).
    Features are first standardised: see `standard_arrays`."""
    keras = start_keras()
    bags, mask = keras.Input((n_tiles, len(standard[MEAN])), dtype=dtype), keras.Input((n_tiles,))
    attention, logits = _attention_and_logit(layers, standard, bags)
    held = keras.ops.where(mask > 0, keras.ops.squeeze(attention, -1), NOTHING)
    weights = keras.ops.expand_dims(keras.ops.softmax(held, axis=-1), 1)
    return keras.Model([bags, mask], keras.ops.sum(weights * keras.ops.transpose(logits, (0, 2, 1)), axis=-1))


def _weights(layers: Mapping[str, Any]) -> list[tuple[str, keras.Variable]]:
    return [
        (f"{name}.{part}", getattr(layer, part))
        for name, layer in layers.items()
        for part in ("kernel", "bias")
        if getattr(layer, part, None) is not None
    ]


def _arrays(layers: Mapping[str, Any]) -> Arrays:
    keras = start_keras()
    return {name: np.array(keras.ops.convert_to_numpy(weight.value)) for name, weight in _weights(layers)}


def _evidence(network: keras.Model, values: NDArray[Any]) -> Evidence:
    """Features (n, d) in parts of few shapes, the last one padded: backends compile for every shape."""
    keras = start_keras()
    parts = [np.empty((0, network.output_shape[-1]))]
    for start in range(0, len(values), MOST_ROWS):
        part = values[start : start + MOST_ROWS]
        padded = np.zeros((max(LEAST_ROWS, 1 << (len(part) - 1).bit_length()), part.shape[1]), dtype=part.dtype)
        padded[: len(part)] = part
        parts.append(keras.ops.convert_to_numpy(network(padded, training=False))[: len(part)].astype(np.float64))
    whole = np.concatenate(parts)
    return Evidence(whole[:, 0], whole[:, 1:])


class _Program:
    """What `fit` trains: a step is a batch of bags, an epoch every training patient."""

    def __init__(self, table: AttentionTable, train: Rows, valid: Rows, standard: Arrays, seed: int) -> None:
        keras = start_keras()
        self.epochs, self.patience = table.epochs, table.patience
        self.layers = attention_layers(table, train.outcome.n_outputs, seed=seed)
        self._objective = objective_of(train.outcome, standard)
        self._bags = ShuffledBags(train, table, seed=seed)
        self._valid, self._valid_bags = valid, bags_of(valid)
        self._model = bag_network(self.layers, standard, self._bags.tiles, train.dtype.name)
        self._tiles = _tile_network(self.layers, standard, train.dtype.name)
        self._model.compile(
            optimizer=keras.optimizers.AdamW(table.learning_rate, weight_decay=table.weight_decay),
            loss=self._objective.keras_loss(),
            metrics=self._objective.metrics(),
            jit_compile=compiler(xla=False) == "xla",
        )
        self._model.optimizer.build(self._model.trainable_variables)

    def variables(self) -> Sequence[keras.Variable]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def steps(self, epoch: int, first: int) -> Generator[BagBatch, None, None]:
        return self._bags.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: BagBatch) -> Logs:
        self._model.reset_metrics()  # the loop takes the mean over the epoch
        logs = self._model.train_on_batch(
            [batch.values, batch.mask], self._objective.targets(batch.labels), batch.weights, return_dict=True
        )
        return {name: float(value) for name, value in logs.items()}

    def end_epoch(self, epoch: int) -> Logs:
        if not self._valid_bags:
            return {}
        logits = np.array([self._logits(bag) for bag in self._valid_bags])
        return self._objective.measured(logits, np.array([bag.label for bag in self._valid_bags]))

    def _logits(self, bag: Bag) -> Float64Array:
        """Of a patient, over all its tiles."""
        parts = [
            _evidence(self._tiles, read_rows(self._valid, bag, rows))
            for rows in np.split(np.arange(bag.n), range(MOST_ROWS, bag.n, MOST_ROWS))
        ]
        attention = np.concatenate([part.attention_logit for part in parts])
        weights = np.exp(attention - attention.max())
        logits: Float64Array = weights @ np.concatenate([part.logits for part in parts]) / weights.sum()
        return logits
