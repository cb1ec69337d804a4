"""The heads and clusterings of run.toml with their code, by the names of ``hypoxia_hpc/config/heads/registry.py``.

To add one: its table there, its code in a module of this room, and a line here. Those that installed packages add bring
table and code in one; see that registry.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from hypoxia_hpc.config import CLUSTERINGS, HEADS, Table
from hypoxia_hpc.config.heads.registry import declared
from hypoxia_hpc.networks.data.rows import TrainingData, first_rows
from hypoxia_hpc.networks.heads.attention import (
    attention_cost,
    attention_outputs,
    attention_predictor,
    attention_shapes,
    train_attention,
)
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.contrastive import (
    contrastive_cost,
    contrastive_predictor,
    contrastive_shapes,
    n_contrastive_clusters,
    train_contrastive,
)
from hypoxia_hpc.networks.heads.contrastive_network import (
    contrastive_network_cost,
    n_network_clusters,
    train_contrastive_network,
)
from hypoxia_hpc.networks.heads.deep_kmeans import (
    cluster_predictor,
    deep_kmeans_cost,
    deep_kmeans_shapes,
    n_clusters,
    train_deep_kmeans,
)
from hypoxia_hpc.networks.heads.dense import dense_cost, dense_predictor, dense_shapes, train_dense
from hypoxia_hpc.networks.heads.finetuning import finetune_cost, train_finetuned
from hypoxia_hpc.networks.heads.head import Clustering, Head
from hypoxia_hpc.networks.heads.kmeans import (
    kmeans_cost,
    kmeans_predictor,
    kmeans_shapes,
    mini_batch_kmeans_cost,
    n_kmeans_clusters,
    train_kmeans,
    train_mini_batch_kmeans,
)
from hypoxia_hpc.networks.heads.linear import linear_cost, linear_predictor, linear_shapes, train_linear
from hypoxia_hpc.networks.heads.logistic import logistic_cost, logistic_predictor, logistic_shapes, train_logistic
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.result import (
    Arrays,
    Predictor,
    TileOutputs,
    TrainedHead,
    check_said,
    named_outputs,
)
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY

# Rows on which a trained head has to give probabilities: weights that are no numbers show on
# any row, and more rows only take longer.
SAMPLE_ROWS = 500
HeadTable = Table  # of a head on features
_Code = TypeVar("_Code", Head, Clustering)


def _joined(kind: type[_Code], name: str, **code: Any) -> _Code:
    """A head or clustering of this package: what is declared of it, and its code."""
    one = declared(name)
    return kind(**{field.name: getattr(one, field.name) for field in fields(one)}, **code)


_DENSE: Mapping[str, Any] = {
    "train": train_dense,
    "predictor": dense_predictor,
    "shapes": dense_shapes,
    "cost": dense_cost,
}
_HEADS = {
    "tanh": _joined(Head, "tanh", **_DENSE),
    "funnel": _joined(Head, "funnel", **_DENSE),
    "relu": _joined(Head, "relu", **_DENSE),
    "logistic": _joined(
        Head, "logistic", train=train_logistic, predictor=logistic_predictor, shapes=logistic_shapes, cost=logistic_cost
    ),
    "linear": _joined(
        Head, "linear", train=train_linear, predictor=linear_predictor, shapes=linear_shapes, cost=linear_cost
    ),
    "attention": _joined(
        Head,
        "attention",
        train=train_attention,
        predictor=attention_predictor,
        outputs=attention_outputs,
        shapes=attention_shapes,
        cost=attention_cost,
    ),
    "finetune": _joined(Head, "finetune", train=train_finetuned, cost=finetune_cost),
}
_KMEANS: Mapping[str, Any] = {
    "predictor": kmeans_predictor,
    "n_clusters": n_kmeans_clusters,
    "shapes": kmeans_shapes,
}
_CLUSTERINGS = {
    "deep_kmeans": _joined(
        Clustering,
        "deep_kmeans",
        train=train_deep_kmeans,
        predictor=cluster_predictor,
        n_clusters=n_clusters,
        shapes=deep_kmeans_shapes,
        cost=deep_kmeans_cost,
    ),
    "contrastive": _joined(
        Clustering,
        "contrastive",
        train=train_contrastive,
        predictor=contrastive_predictor,
        n_clusters=n_contrastive_clusters,
        shapes=contrastive_shapes,
        cost=contrastive_cost,
    ),
    "contrastive_network": _joined(
        Clustering,
        "contrastive_network",
        train=train_contrastive_network,
        n_clusters=n_network_clusters,
        cost=contrastive_network_cost,
    ),
    "kmeans": _joined(Clustering, "kmeans", train=train_kmeans, cost=kmeans_cost, **_KMEANS),
    "mini_batch_kmeans": _joined(
        Clustering, "mini_batch_kmeans", train=train_mini_batch_kmeans, cost=mini_batch_kmeans_cost, **_KMEANS
    ),
}


def find_head(name: str) -> Head:
    """The head of this name, of this package or another. Raises KeyError."""
    added = HEADS[name]
    return added if isinstance(added, Head) else _HEADS[name]


def head_of(table: Table) -> Head:
    """The head that has such a table. Raises KeyError."""
    names = {head.table: name for name, head in HEADS.items()}
    return find_head(names[type(table)])


def find_clustering(name: str) -> Clustering:
    """The clustering of this name, of this package or another. Raises KeyError."""
    added = CLUSTERINGS[name]
    return added if isinstance(added, Clustering) else _CLUSTERINGS[name]


def train_head(
    table: Table,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Train a head on the tiles of training patients; those of validation patients are only measured.

    A killed or stopped training goes on from ``checkpoints`` to the same bytes; the caller clears them when the model
    is safe. ``on_epoch`` gets the logs of each epoch (of logistic regression: nothing, once, at the end).

    Raises:
        NotReadyError: damaged stores, all of them named; SlideError where one is damaged while it is read.
        InputError: stores of other features than the most, features that are NaN or infinite, training tiles of one
            class, a loss that is no number, a trained model whose outputs are no probabilities or no numbers.
        Stopped: on request, after a checkpoint.
        MachineError: a checkpoint cannot be written.
    """
    train = head_of(table).train
    trained = train(table, data, seed=seed, checkpoints=checkpoints, on_epoch=on_epoch, stop=stop)
    predict = predictor(table, trained.arrays, data.feature_length, data.outcome)
    check_said(predict(first_rows(data.train[0], SAMPLE_ROWS)), data.outcome)
    return trained


def head_outputs(table: Table, arrays: Arrays, feature_length: int, outcome: Outcome = BINARY) -> TileOutputs:
    """A top model as a function of feature vectors float32 (n, d): what it says of each tile, `outcome.outputs`,
    float64 (n,) each, and what `pool_tiles` needs beside it."""
    outputs = head_of(table).outputs
    if outputs is not None:
        return outputs(table, arrays, feature_length, outcome)
    predict = predictor(table, arrays, feature_length, outcome)
    return lambda values: named_outputs(predict(values), outcome)


def predictor(table: Table, arrays: Arrays, feature_length: int, outcome: Outcome = BINARY) -> Predictor:
    """A trained head as a function: feature vectors float32 (n, d) -> what ``outcome.outputs`` names, float64 (n,): the
    probability of class 1 in 0..1, say; of more classes than two (n, k).
    Raises ValueError for a head on pixels, whose probabilities are kept as features are."""
    make = head_of(table).predictor
    if make is None:
        raise ValueError(f"a head with {type(table).__name__} predicts from pixels, not from feature vectors")
    return make(table, arrays, feature_length, outcome)
