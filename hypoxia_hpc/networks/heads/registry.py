"""Top models on feature vectors, each in a module of its own: which table of run.toml is trained by which."""

from __future__ import annotations

import threading

from hypoxia_hpc.config import AttentionTable, FunnelTable, LogisticTable, TanhTable
from hypoxia_hpc.networks.data.rows import TrainingData, first_rows
from hypoxia_hpc.networks.heads.attention import attention_predictor, train_attention
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.dense import dense_predictor, train_dense
from hypoxia_hpc.networks.heads.logistic import logistic_predictor, train_logistic
from hypoxia_hpc.networks.heads.loop import OnEpoch
from hypoxia_hpc.networks.heads.result import Arrays, Predictor, TrainedHead, check_probabilities

SAMPLE_ROWS = 500
HeadTable = TanhTable | FunnelTable | LogisticTable | AttentionTable


def train_head(
    table: HeadTable,
    data: TrainingData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Train a head on the tiles of training patients; those of validation patients are only watched.

    A killed or stopped training goes on from ``checkpoints`` to the same bytes; the caller clears them when the model
    is safe. ``on_epoch`` is told the logs of each epoch (of logistic regression: nothing, once, at the end).

    Raises:
        NotReadyError: damaged stores, all of them named; SlideError where one is damaged while it is read.
        InputError: stores of other features than the most, features that are NaN or infinite, training tiles of one
            class, a loss that is no number, a trained model whose probabilities are none.
        Stopped: on request, after a checkpoint.
        MachineError: a checkpoint cannot be written.
    """
    if isinstance(table, LogisticTable):
        trained = train_logistic(table, data, checkpoints=checkpoints, stop=stop)
        on_epoch({})
    elif isinstance(table, AttentionTable):
        trained = train_attention(table, data, seed=seed, checkpoints=checkpoints, on_epoch=on_epoch, stop=stop)
    else:
        trained = train_dense(table, data, seed=seed, checkpoints=checkpoints, on_epoch=on_epoch, stop=stop)
    check_probabilities(predictor(table, trained.arrays, data.feature_length)(first_rows(data.train[0], SAMPLE_ROWS)))
    return trained


def predictor(table: HeadTable, arrays: Arrays, feature_length: int) -> Predictor:
    """A trained head as a function: feature vectors float32 (n, d) -> probability of class 1, float64 (n,) in 0..1."""
    if isinstance(table, LogisticTable):
        return logistic_predictor(arrays)
    if isinstance(table, AttentionTable):
        return attention_predictor(table, arrays)
    return dense_predictor(table, arrays, feature_length)
