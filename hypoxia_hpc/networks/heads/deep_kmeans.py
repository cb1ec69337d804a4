"""Deep k-means: an autoencoder with k-means in its code space, both trained at once.

Fard, Thonet and Gaussier 2020, "Deep k-Means: jointly clustering with k-Means and learning representations", Pattern
Recognition Letters 138 (arXiv 1806.10069). For features x with code h(x), reconstruction A(x) and centres r_k it
minimises |x - A(x)|² + weight · sum_k G_k |h(x) - r_k|², where G = softmax(-s |h(x) - r_k|²) turns from a soft into a
hard assignment as s grows. As in the paper's variant with pretraining, the autoencoder is trained alone first, and
k-means on its codes gives the first centres. Ours: both squares are means over their dimensions, so that ``weight``
means the same for any widths; s is in units of one over the mean square to the nearest centre when k-means begins, so
that it suits codes of any size.
"""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import DeepKMeansTable
from hypoxia_hpc.networks.data.batches import RowBatch, ShuffledRows, rows_in_order
from hypoxia_hpc.networks.data.rows import Rows, TrainingData, opened_rows
from hypoxia_hpc.networks.data.shuffling import WINDOW_ROWS
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, standard_arrays, standard_shapes
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cluster_parts import (
    ClusterOf,
    largest_first,
    outputs_of_rows,
    require_enough_tiles,
)
from hypoxia_hpc.networks.heads.cost import MODEL_SECONDS, MOST_CORES, CohortSize, Cost, HeadCost, Layers
from hypoxia_hpc.networks.heads.loop import Logs, OnEpoch, fit
from hypoxia_hpc.networks.heads.result import Arrays, Shapes, TrainedHead
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float32Array, Float64Array, Int64Array

if TYPE_CHECKING:
    import keras

CENTRES = "centres"
# Codes from which centres are placed. Time and memory of k-means grow with them; with fewer a small cluster has fewer
# codes, or none.
SAMPLE_ROWS = 20_000
# k-means ends in the local optimum that its start leads to; the best of several is taken. Time grows with their number.
KMEANS_STARTS = 10
# The assignment is a softmax of the distances to the centres, each in units of the spread at the beginning, times this.
# At 1 a code belongs to all near centres, so that these can still move; at 100 all but wholly to the nearest, as in
# what is predicted. A larger end leaves no gradient between centres; a smaller one keeps soft what prediction makes
# hard.
FIRST_SHARPNESS, LAST_SHARPNESS = 1.0, 100.0
# Weights, two moments, gradients; of a checkpoint the first three, twice as it is written.
WEIGHT_COPIES = 10
# A code's distance to a centre, a dimension, over all iterations of a start.
KMEANS_SECONDS = 5e-8


def train_deep_kmeans(
    table: DeepKMeansTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Cluster the training tiles; labels and validation tiles are not used. Clusters are numbered by their
    training tiles, the largest first; one that no tile is nearest to comes last.

    Raises InputError where there are fewer tiles than clusters, and what `opened_rows`, `standard_arrays` and `fit`
    raise.
    """
    start_keras().backend.clear_session()
    with opened_rows(TrainingData(data.train, (), data.feature_length)) as (train, none):
        require_enough_tiles("deep_kmeans", table.clusters, len(train))
        standard = standard_arrays(train, none)
        program = _Program(table, train, standard, seed)
        history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
        network = program.network
        centres = np.array(network.centres)
        codes = (outputs_of_rows(network.encoder, batch.values) for batch in rows_in_order(train))
        order = largest_first((nearest(some, centres) for some in codes), table.clusters)
    weights = {f"{index:03d}": np.asarray(weight) for index, weight in enumerate(network.encoder.get_weights())}
    return TrainedHead({**standard, **weights, CENTRES: centres[order]}, history)


def deep_kmeans_shapes(table: DeepKMeansTable, feature_length: int, _: Outcome) -> Shapes:
    """Kernel and bias of each layer of the encoder, and the centres."""
    widths = (feature_length, *table.units, table.code)
    encoder = [shape for before, width in itertools.pairwise(widths) for shape in ((before, width), (width,))]
    numbered = {f"{index:03d}": (shape, "float32") for index, shape in enumerate(encoder)}
    centres = {CENTRES: ((table.clusters, table.code), "float32")}
    return {**standard_shapes(feature_length), **numbered, **centres}


def deep_kmeans_cost(table: DeepKMeansTable, size: CohortSize) -> HeadCost:
    """Of one clustering: the autoencoder's epochs, k-means once, a sample of codes before each joint epoch."""
    encoder = Layers(size.feature_length, *table.units, table.code)
    whole = Layers(size.feature_length, *table.units, table.code, *table.units[::-1], size.feature_length)
    rows, sample = size.train_tiles, min(size.train_tiles, SAMPLE_ROWS)
    epoch = whole.epoch_seconds(rows, table.batch_size) + size.reading_seconds(rows)
    codes = encoder.forward_seconds(sample) + size.reading_seconds(min(rows, WINDOW_ROWS))
    seconds = (table.pretrain_epochs + table.epochs) * epoch + table.epochs * codes
    seconds += sample * KMEANS_STARTS * table.clusters * table.code * KMEANS_SECONDS
    seconds += size.standard_seconds(rows) + encoder.forward_seconds(rows) + size.reading_seconds(rows)
    peak = size.window_bytes + whole.training_bytes(table.batch_size, WEIGHT_COPIES)
    return HeadCost(Cost(MODEL_SECONDS + seconds, MOST_CORES, peak), encoder.predicting(size.tiles))


def cluster_predictor(table: DeepKMeansTable, arrays: Arrays, feature_length: int) -> ClusterOf:
    """A trained clustering as a function of feature vectors."""
    encoder = _encoder(table, arrays, feature_length, "float32", seed=0)
    encoder.set_weights([arrays[name] for name in sorted(arrays) if name not in (MEAN, SCALE, CENTRES)])
    return lambda values: nearest(outputs_of_rows(encoder, values), arrays[CENTRES])


def n_clusters(table: DeepKMeansTable) -> int:
    """The number of clusters, empty ones included."""
    return table.clusters


def nearest(codes: Float32Array, centres: NDArray[Any]) -> Int64Array:
    """Number of the nearest centre (k, c) of each code (n, c), int64 (n,); the first of equals."""
    numbers: Int64Array = _squares(codes, centres).argmin(axis=1).astype(np.int64)
    return numbers


def _squares(codes: Float32Array, centres: NDArray[Any]) -> Float64Array:
    """Squared distances, mean over dimensions, float64 (n, k)."""
    columns = [((codes - centre) ** 2).mean(axis=1, dtype=np.float64) for centre in centres]
    return np.stack(columns, axis=1)


@dataclass(frozen=True, slots=True)
class _Network:
    """``encoder``: features as stored (b, d) -> codes (b, c). ``training``: features, sharpness (b, 1), weight (b, 1)
    -> what each row adds to both losses, (b, 1) each. ``centres`` (k, c) and ``spread`` () are its variables."""

    encoder: keras.Model
    training: keras.Model
    centres: keras.Variable
    spread: keras.Variable


def _encoder(table: DeepKMeansTable, standard: Arrays, feature_length: int, dtype: str, *, seed: int) -> keras.Model:
    keras = start_keras()
    features = keras.Input((feature_length,), dtype=dtype, name="features")
    standardised = (keras.ops.cast(features, "float32") - standard[MEAN]) / standard[SCALE]
    encoder = keras.Model(features, _dense(standardised, table.units, table.code, seed))
    encoder.compile(jit_compile=compiler(xla=False) == "xla")
    return encoder


def _dense(hidden: Any, units: Sequence[int], width: int, seed: int) -> Any:
    """Dense layers with ReLU, a linear one of ``width`` last."""
    keras = start_keras()
    for number, one in enumerate((*units, width)):
        draw = keras.initializers.GlorotUniform(seed=seed + number)
        activation = "relu" if number < len(units) else None
        hidden = keras.layers.Dense(one, activation=activation, kernel_initializer=draw)(hidden)
    return hidden


def _new_centres(table: DeepKMeansTable) -> Any:
    """The layer of the clusters' centres: of codes and sharpness, the loss of soft k-means for each code."""
    keras = start_keras()
    ops = keras.ops

    class Centres(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.centres = self.add_weight(shape=(table.clusters, table.code), initializer="zeros", name="centres")
            self.spread = self.add_weight(shape=(), initializer="ones", trainable=False, name="spread")

        def call(self, codes: Any, sharpness: Any) -> Any:
            squares = ops.mean((codes[:, None] - self.centres) ** 2, axis=-1)
            assigned = ops.softmax(-sharpness / self.spread * squares, axis=-1)
            return ops.sum(assigned * squares, axis=-1, keepdims=True)

    return Centres()


def _network(table: DeepKMeansTable, standard: Arrays, feature_length: int, dtype: str, seed: int) -> _Network:
    keras = start_keras()
    ops = keras.ops
    encoder = _encoder(table, standard, feature_length, dtype, seed=seed)
    features, sharpness, weight = encoder.input, keras.Input((1,), name="sharpness"), keras.Input((1,), name="weight")
    codes, centres = encoder.output, _new_centres(table)
    standardised = (ops.cast(features, "float32") - standard[MEAN]) / standard[SCALE]
    decoded = _dense(codes, table.units[::-1], feature_length, seed + 100)
    losses = {
        "reconstruction": ops.mean((decoded - standardised) ** 2, axis=-1, keepdims=True),
        "clustering": weight * centres(codes, sharpness),
    }
    training = keras.Model({"features": features, "sharpness": sharpness, "weight": weight}, losses)
    training.compile(
        optimizer=keras.optimizers.Adam(table.learning_rate),
        loss=dict.fromkeys(losses, _as_it_is),
        jit_compile=compiler(xla=False) == "xla",
    )
    training.optimizer.build(training.trainable_variables)
    return _Network(encoder, training, centres.centres, centres.spread)


def _as_it_is(_: Any, loss: Any) -> Any:
    return loss


class _Program:
    """What `fit` trains: epochs of reconstruction alone, then k-means on the codes of a sample, then epochs of both."""

    patience = None

    def __init__(self, table: DeepKMeansTable, train: Rows, standard: Arrays, seed: int) -> None:
        self._table = table
        self._seed = seed
        self.epochs = table.pretrain_epochs + table.epochs
        self.network = _network(table, standard, train.feature_length, train.dtype.name, seed)
        self._rows = ShuffledRows(train, "none", table.batch_size, seed=seed, epochs=self.epochs)
        plan = self._rows.plan(0)
        self._n_steps = sum(plan.n_batches(window) for window in range(len(plan.windows)))

    def variables(self) -> Sequence[keras.Variable]:
        return [*self.network.training.variables, *self.network.training.optimizer.variables]

    def steps(self, epoch: int, first: int) -> Generator[RowBatch, None, None]:
        return self._rows.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: RowBatch) -> Logs:
        joint = epoch - self._table.pretrain_epochs
        done = max(joint, 0) * self._n_steps + number
        n = len(batch.labels)
        inputs = {
            "features": batch.values,
            "sharpness": np.full((n, 1), sharpness(done, self._table.epochs * self._n_steps), dtype=np.float32),
            "weight": np.full((n, 1), self._table.weight if joint >= 0 else 0, dtype=np.float32),
        }
        self.network.training.reset_metrics()  # the loop takes the mean over the epoch
        targets = {name: np.zeros((n, 1), dtype=np.float32) for name in ("reconstruction", "clustering")}
        logs = self.network.training.train_on_batch(inputs, targets, return_dict=True)
        return {name.removesuffix("_loss"): float(value) for name, value in logs.items()}

    def end_epoch(self, epoch: int) -> Logs:
        """No validation loss; the centres are placed for the next epoch."""
        joint = epoch + 1 - self._table.pretrain_epochs
        if joint == 0:
            self._begin(self._sample(epoch + 1))
        elif 0 < joint < self._table.epochs:
            self.network.centres.assign(without_empty(self._sample(epoch + 1), np.array(self.network.centres)))
        return {}

    def _sample(self, epoch: int) -> Float32Array:
        """Codes of the first tiles of an epoch, which come in random order."""
        n_batches = -(-SAMPLE_ROWS // self._table.batch_size)
        batches = itertools.islice(self._rows.batches(epoch, 0), n_batches)
        return np.concatenate([outputs_of_rows(self.network.encoder, batch.values) for batch in batches])

    def _begin(self, sample: Float32Array) -> None:
        centres = kmeans(sample, self._table.clusters, self._seed)
        self.network.centres.assign(centres)
        spread = float(_squares(sample, centres).min(axis=1).mean())
        self.network.spread.assign(spread or 1.0)


def sharpness(step: int, n_steps: int) -> float:
    """Of the assignments in a joint step, from soft to hard, each step by the same factor."""
    return float(FIRST_SHARPNESS * (LAST_SHARPNESS / FIRST_SHARPNESS) ** (step / n_steps))


def kmeans(codes: Float32Array, k: int, seed: int) -> Float32Array:
    """Centres float32 (k, c) of codes (n, c) by Lloyd's algorithm, the best of ten k-means++ starts. With fewer than k
    different codes some centres are equal."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # With more threads the order of its sums, and so their last bits, vary from run to run.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(k, n_init=KMEANS_STARTS, random_state=seed).fit(codes.astype(np.float64))
    return np.asarray(found.cluster_centers_, dtype=np.float32)


def without_empty(codes: Float32Array, centres: Float32Array) -> Float32Array:
    """The centres (k, c); each that no code (n, c) is nearest to is put on one of the codes farthest from theirs."""
    squares = _squares(codes, centres)
    empty = np.setdiff1d(np.arange(len(centres)), squares.argmin(axis=1))
    farthest = np.argsort(-squares.min(axis=1), kind="stable")
    filled = centres.copy()
    filled[empty] = codes[farthest[: len(empty)]]
    return filled
