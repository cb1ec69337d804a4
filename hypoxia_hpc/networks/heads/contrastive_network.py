"""Contrastive clustering from pixels: network and heads trained together, as the study of small cell lung cancer does.

Two views of each tile go through the network, one after the other, and all that it has learnt of a batch is in three
losses (`contrastive_losses`). BatchNormalization goes by the batch, each view by itself, and keeps its moving mean for
predictions; that follows as fast as PyTorch's own, so that it has caught up at the end of a short training too.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypoxia_hpc.config import ContrastiveNetworkTable, ExtractTable
from hypoxia_hpc.networks.backbones.preprocessing import Preprocess
from hypoxia_hpc.networks.backbones.resolve import build_inner, resolve_backbone
from hypoxia_hpc.networks.backbones.work import core_seconds_a_tile, output_bytes
from hypoxia_hpc.networks.data.augmentation import resize
from hypoxia_hpc.networks.data.tile_stream import (
    RUN_TILES,
    WINDOW_RUNS,
    TileBatch,
    TileSource,
    TileStream,
)
from hypoxia_hpc.networks.data.views import VIEW_SHAPES, ViewStrengths, view_draws, view_of
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cluster_parts import largest_first, require_enough_tiles
from hypoxia_hpc.networks.heads.contrastive_losses import (
    barlow_loss,
    cluster_head,
    cluster_loss,
    instance_head,
    instance_loss,
    total_loss,
)
from hypoxia_hpc.networks.heads.cost import LOAD_SECONDS, MOST_CORES, CohortSize, Cost, HeadCost
from hypoxia_hpc.networks.heads.finetuning import (
    COMPILE_SECONDS,
    KEPT_UNFROZEN,
    NETWORK_BYTES,
    PIXEL_COPIES,
    THERE_AND_BACK,
    TILE_FACTOR,
    WEIGHT_DECAY,
    Curves,
)
from hypoxia_hpc.networks.heads.loop import Logs, OnEpoch, fit
from hypoxia_hpc.networks.heads.result import Arrays, TrainedHead, check_said
from hypoxia_hpc.networks.heads.saved import damaged, load_model
from hypoxia_hpc.networks.heads.schedules import learning_rate
from hypoxia_hpc.networks.heads.tile_network import predict, set_weights, weights_of
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Float32Array, Int64Array

if TYPE_CHECKING:
    import keras

BATCH_MOMENTUM = 0.9  # of moving means and variances
VIEWS = ("a", "b")


@dataclass(frozen=True, slots=True)
class ContrastiveNetwork:
    """One set of weights, two ways in. ``base``: preprocessed pixels -> (b, d). ``training``: pixels uint8 (b, tile_px,
    tile_px, 3) and random numbers by name -> the loss, once for each tile, (b, 1). ``predicting``: pixels ->
    probabilities of the clusters, float32 (b, k)."""

    base: keras.Model
    training: keras.Model
    predicting: keras.Model


def build_contrastive(
    table: ContrastiveNetworkTable, base: keras.Model, preprocess: Preprocess, tile_px: int, seed: int
) -> ContrastiveNetwork:
    """``base`` with an instance head and a cluster head behind it; their weights, and the noise of views, come from
    ``seed``."""
    keras = start_keras()
    _follow_faster(base)
    heads = heads_of(table, int(base.output_shape[-1]), seed)
    pixels = keras.Input((tile_px, tile_px, 3), dtype="uint8", name="pixels")
    drawn = [{name: keras.Input(shape, name=f"{view}_{name}") for name, shape in VIEW_SHAPES.items()} for view in VIEWS]
    resized = resize(pixels, tile_px, table.input_px)

    def seen(view: Any) -> Any:
        return heads(keras.ops.cast(base(preprocess(keras, view)), "float32"))

    views = [
        _noisy(view_of(resized, numbers), noise, seed + 10 + number)
        for number, (numbers, noise) in enumerate(zip(drawn, table.noise, strict=True))
    ]
    inputs = {"pixels": pixels, **{one.name: one for numbers in drawn for one in numbers.values()}}
    training = keras.Model(inputs, loss_layer()(*(seen(view) for view in views)))
    predicting = keras.Model(pixels, seen(resized)["cluster"])
    predicting.compile(jit_compile=compiler(xla=False) != "none")
    return ContrastiveNetwork(base, training, predicting)


def train_contrastive_network(
    table: ContrastiveNetworkTable,
    network: ContrastiveNetwork,
    train: Sequence[TileSource],
    *,
    seed: int,
    checkpoints: Checkpoints,
    curves: Curves,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Train a network on the tiles of training patients; labels are not used. Clusters are numbered by their training
    tiles, the largest first. Raises InputError where there are fewer tiles than clusters, and as ``fit``."""
    n_tiles = sum(source.n for source in train)
    require_enough_tiles("contrastive_network", table.clusters, n_tiles)
    program = ContrastiveTraining(table, network, train, seed, curves)
    history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
    found = (_clusters_of(network, source, program.batch_size) for source in train)
    _number_anew(network, largest_first(found, table.clusters))
    return TrainedHead(weights_of(network), history)


def clusters_said(probabilities: Float32Array) -> Int64Array:
    """The cluster of each tile, int64 (n,), of what the network says of it, (n, k)."""
    clusters: Int64Array = probabilities.argmax(axis=1).astype(np.int64)
    return clusters


def n_network_clusters(table: ContrastiveNetworkTable) -> int:
    """The number of clusters, empty ones included."""
    return table.clusters


def load_contrastive(folder: Path, tile_px: int) -> keras.Model:
    """The network of a model's folder: tiles uint8 (b, tile_px, tile_px, 3) -> probabilities float32 (b, k).

    The weights that it began with need not exist any more. Raises NotReadyError where the folder holds no sound
    model."""
    found = load_model(folder)
    table = ContrastiveNetworkTable.model_validate(found.record.settings)
    try:
        network = restored(table, found.arrays, tile_px)
    except ValueError as error:
        raise damaged(folder, error) from None
    network.predicting.trainable = False
    return network.predicting


def restored(table: ContrastiveNetworkTable, arrays: Arrays, tile_px: int) -> ContrastiveNetwork:
    """A network with trained weights in it. Raises ValueError where they are those of another network."""
    any_weights = ExtractTable(backbone=table.backbone, weights="random", precision=table.precision)
    base, preprocess = build_inner(resolve_backbone(any_weights, table.input_px, None))
    network = build_contrastive(table, base, preprocess, tile_px, seed=0)
    set_weights(network, arrays)
    return network


def contrastive_network_cost(table: ContrastiveNetworkTable, size: CohortSize) -> HeadCost | None:
    """Of a network that is trained on two views of every tile and then, in the same command, says the cluster of all
    tiles. None for a network whose operations are not known."""
    forward, outputs = (of(table.backbone, table.input_px) for of in (core_seconds_a_tile, output_bytes))
    if forward is None or outputs is None:
        return None
    passes = size.train_tiles * (2 * THERE_AND_BACK * table.epochs + 1) + size.tiles
    pixels = 3 * (size.tile_px**2 + 2 * table.input_px**2)
    a_tile = 4.0 * PIXEL_COPIES * pixels + 2 * KEPT_UNFROZEN * outputs
    windows = 2 * 3 * size.tile_px**2 * min(RUN_TILES * WINDOW_RUNS, size.train_tiles)
    peak = NETWORK_BYTES + table.batch_size * a_tile + windows
    train = Cost(COMPILE_SECONDS + TILE_FACTOR * forward * passes, MOST_CORES, peak)
    return HeadCost(train, Cost(LOAD_SECONDS, 1, 0.0))


def heads_of(table: ContrastiveNetworkTable, length: int, seed: int) -> keras.Model:
    """Features (b, d) -> themselves, "instance" (b, 128) and "cluster" (b, k)."""
    features = start_keras().Input((length,))
    instance = instance_head(features, table.units, seed, table.precision)
    cluster = cluster_head(features, table.units, table.clusters, seed + 2, table.precision)
    return start_keras().Model(features, {"features": features, "instance": instance, "cluster": cluster})


def loss_layer() -> keras.layers.Layer:
    """What both views gave -> the loss, once for each tile."""
    keras = start_keras()

    class Loss(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def call(self, one: Any, other: Any) -> Any:
            losses = (("instance", instance_loss), ("cluster", cluster_loss), ("features", barlow_loss))
            total = total_loss(*(loss(one[name], other[name]) for name, loss in losses))
            return total * keras.ops.ones_like(one["cluster"][:, :1])

    return Loss()


def _noisy(pixels: Any, noise: float, seed: int) -> Any:
    """Keras takes no noise above 1, so pixels of 0..255 become 0..1 for it."""
    keras = start_keras()
    return keras.ops.clip(keras.layers.GaussianNoise(noise, seed=seed)(pixels / 255.0), 0.0, 1.0) * 255.0


def _follow_faster(base: keras.Model) -> None:
    for layer in base._flatten_layers():
        if isinstance(layer, start_keras().layers.BatchNormalization):
            layer.momentum = BATCH_MOMENTUM


def _clusters_of(network: ContrastiveNetwork, source: TileSource, batch_size: int) -> Int64Array:
    said = predict(network, source.read, source.n, batch_size)
    check_said(said, BINARY)  # probabilities, whatever the outcome of the run is
    return clusters_said(said)


def _number_anew(network: ContrastiveNetwork, order: Int64Array) -> None:
    """Put the clusters in this order: kernel and bias of the last layer have a column for each."""
    output = next(layer for layer in network.predicting._flatten_layers() if layer.name == "cluster_output")
    output.set_weights([weight[..., order] for weight in output.get_weights()])


class ContrastiveTraining:
    """What `fit` trains."""

    patience = None

    def __init__(
        self,
        table: ContrastiveNetworkTable,
        network: ContrastiveNetwork,
        train: Sequence[TileSource],
        seed: int,
        curves: Curves,
    ) -> None:
        keras = start_keras()
        tile_px = int(network.predicting.input_shape[1])
        self.epochs = table.epochs
        self._table, self._seed, self._curves = table, seed, curves
        self._training = network.training
        self._stream = TileStream(train, tile_px, balance="none", batch_size=table.batch_size, seed=seed)
        self._strengths = view_strengths(table)
        self._begun = False
        self._training.compile(
            optimizer=keras.optimizers.AdamW(table.learning_rate, weight_decay=WEIGHT_DECAY),
            loss=lambda _, loss: loss,
            jit_compile=compiler(xla=False) != "none",
        )
        self._training.optimizer.build(self._training.trainable_variables)

    @property
    def batch_size(self) -> int:
        return self._stream.batch_size

    def variables(self) -> list[keras.Variable]:
        return [*self._training.variables, *self._training.optimizer.variables]

    def steps(self, epoch: int, first: int) -> Generator[TileBatch, None, None]:
        if not self._begun:
            self._curves.begin(epoch * self._stream.steps_per_epoch + first)
            self._begun = True
        return self._stream.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: TileBatch) -> Logs:
        pixels, _ = batch
        an_epoch = self._stream.steps_per_epoch
        step, n_steps = epoch * an_epoch + number, self.epochs * an_epoch
        rate = learning_rate("warm-cosine", self._table.learning_rate, step, n_steps)
        self._training.optimizer.learning_rate = rate
        self._training.reset_metrics()  # the loop takes the mean over the epoch
        inputs = {"pixels": pixels, **self._drawn(len(pixels), step)}
        loss = float(self._training.train_on_batch(inputs, np.zeros((len(pixels), 1), dtype=np.float32)))
        self._curves.add(step, {"loss": loss, "learning_rate": rate})
        return {"loss": loss}

    def end_epoch(self, epoch: int) -> Logs:
        """There is no validation loss."""
        return {}

    def _drawn(self, n: int, step: int) -> dict[str, Float32Array]:
        px = self._table.input_px
        return {
            f"{view}_{name}": values
            for number, view in enumerate(VIEWS)
            for name, values in view_draws(self._strengths[number], n, px, self._seed, step, number).items()
        }


def view_strengths(table: ContrastiveNetworkTable) -> tuple[ViewStrengths, ...]:
    """Of view A and of view B."""
    both = zip(table.contrast, table.saturation, table.hue, table.crop, table.rotation, strict=True)
    return tuple(ViewStrengths(*one) for one in both)
