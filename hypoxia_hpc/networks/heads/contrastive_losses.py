"""The losses of contrastive clustering, and the two heads that they train. Pure operations of Keras 3, any backend.

Li, Hu, Liu, Peng, Zhou and Peng 2021, "Contrastive Clustering", AAAI 35 (arXiv 2009.09687), of which the study of small
cell lung cancer takes the instance and the cluster loss with their temperatures; and Zbontar, Jing, Misra, LeCun and
Deny 2021, "Barlow Twins", ICML (arXiv 2103.03230). All is computed in float32, whatever type comes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypoxia_hpc.networks.runtime import start_keras

if TYPE_CHECKING:
    import keras

INSTANCE_TEMPERATURE, CLUSTER_TEMPERATURE = 0.5, 1.0
# The study's alpha and lambda: the share of the Barlow Twins term, and what counts off the diagonal in it.
BARLOW_SHARE, OFF_DIAGONAL = 0.005, 0.005
HEAD_UNITS, INSTANCE_WIDTH = 2048, 128
BATCH_EPSILON = 1e-5  # added to the variance of a feature over a batch, as batch normalisation does
LEAST_SHARE = 1e-12  # of a cluster, in its logarithm: p log p of an empty one is 0
LEAST_SQUARE = 1e-12  # of a vector's length, where it is divided by it


def total_loss(instance: Any, cluster: Any, barlow: Any) -> Any:
    """The study's sum of the three: (instance + cluster) (1 - alpha) + barlow alpha."""
    return (instance + cluster) * (1 - BARLOW_SHARE) + barlow * BARLOW_SHARE


def instance_loss(one: Any, other: Any, temperature: float = INSTANCE_TEMPERATURE) -> Any:
    """NT-Xent (Chen et al. 2020, SimCLR) of two views (b, d) of the same tiles, each vector taken at length 1: the mean
    over 2 b vectors of -log of the share that the other view of its tile has among all other vectors."""
    return _twins_found(one, other, temperature)


def cluster_loss(one: Any, other: Any, temperature: float = CLUSTER_TEMPERATURE) -> Any:
    """Of the probabilities (b, k) of two views: NT-Xent of their 2 k columns, and log k + sum p log p of both, p being
    the share of each cluster; it is 0 where all clusters have the same share and log k where one has all tiles."""
    ops = start_keras().ops
    return (
        _twins_found(ops.transpose(one), ops.transpose(other), temperature)
        + _missing_entropy(one)
        + _missing_entropy(other)
    )


def barlow_loss(one: Any, other: Any, off_diagonal: float = OFF_DIAGONAL) -> Any:
    """Of the features (b, d) of two views, each feature normalised over the batch: their cross-correlation (d, d)
    against the identity, squared; what is not on the diagonal times ``off_diagonal``."""
    ops = start_keras().ops
    n_tiles = ops.cast(ops.shape(one)[0], "float32")
    crossed = ops.matmul(ops.transpose(_normalised(one)), _normalised(other)) / n_tiles
    diagonal = ops.diagonal(crossed)
    on_diagonal = ops.sum((diagonal - 1) ** 2)
    return on_diagonal + off_diagonal * (ops.sum(crossed**2) - ops.sum(diagonal**2))


def instance_head(features: Any, units: int, seed: int, precision: str = "float32") -> keras.KerasTensor:
    """Features (b, d) -> vectors of length 1, float32 (b, 128): one hidden layer with ReLU, at "float32" or
    "bfloat16"."""
    keras = start_keras()
    return keras.layers.UnitNormalization(dtype="float32")(
        _head(features, units, INSTANCE_WIDTH, "instance", seed, precision)
    )


def cluster_head(features: Any, units: int, clusters: int, seed: int, precision: str = "float32") -> keras.KerasTensor:
    """Features (b, d) -> probabilities of the clusters, float32 (b, k): one hidden layer with ReLU, at "float32" or
    "bfloat16"."""
    said = _head(features, units, clusters, "cluster", seed, precision)
    return start_keras().layers.Softmax(dtype="float32")(said)


def _head(features: Any, units: int, width: int, name: str, seed: int, precision: str) -> Any:
    keras = start_keras()
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    draws = [keras.initializers.GlorotUniform(seed=seed + number) for number in (0, 1)]
    dense = keras.layers.Dense
    hidden = dense(units, activation="relu", kernel_initializer=draws[0], name=f"{name}_hidden", dtype=policy)(features)
    return dense(width, kernel_initializer=draws[1], name=f"{name}_output", dtype="float32")(hidden)


def _twins_found(one: Any, other: Any, temperature: float) -> Any:
    """Of 2 n vectors, row i of ``one`` and of ``other`` being twins: the mean of -log of the softmax of the cosines,
    each by ``temperature``, at its twin; a vector is not compared with itself."""
    ops = start_keras().ops
    vectors = _of_length_one(ops.concatenate([one, other], axis=0))
    n = ops.shape(one)[0]
    cosines = ops.matmul(vectors, ops.transpose(vectors)) / temperature
    itself = ops.eye(2 * n, dtype="float32")
    twins = ops.sum(vectors[:n] * vectors[n:], axis=-1) / temperature
    others = ops.logsumexp(ops.where(itself > 0, -1e9, cosines), axis=-1)
    return ops.mean(others) - ops.mean(twins)


def _of_length_one(vectors: Any) -> Any:
    ops = start_keras().ops
    vectors = ops.cast(vectors, "float32")
    return vectors / ops.sqrt(ops.maximum(ops.sum(vectors**2, axis=-1, keepdims=True), LEAST_SQUARE))


def _missing_entropy(probabilities: Any) -> Any:
    """log k + sum p log p of the shares of the k clusters."""
    ops = start_keras().ops
    shares = ops.mean(ops.cast(probabilities, "float32"), axis=0)
    n_clusters = float(probabilities.shape[-1])
    return ops.log(n_clusters) + ops.sum(shares * ops.log(ops.maximum(shares, LEAST_SHARE)))


def _normalised(features: Any) -> Any:
    ops = start_keras().ops
    features = ops.cast(features, "float32")
    centred = features - ops.mean(features, axis=0, keepdims=True)
    return centred / ops.sqrt(ops.mean(centred**2, axis=0, keepdims=True) + BATCH_EPSILON)
