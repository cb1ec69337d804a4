"""Fine-tuning: a network with a new top, trained on tiles; first the top alone, then everything.

Augmentation and preprocessing are inside the network that is trained. The base runs in inference mode in both phases:
its BatchNormalization keeps the statistics that it came with, so that what is trained is what predicts, also where
batches are small (https://keras.io/guides/transfer_learning).
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hypoxia_hpc.config import ExtractTable, FinetuneTable
from hypoxia_hpc.networks.augmentation import SHAPES, Strengths, augment, draws, resize
from hypoxia_hpc.networks.backbones import build_inner, resolve_backbone
from hypoxia_hpc.networks.checkpoints import Checkpoints
from hypoxia_hpc.networks.frozen import load_model
from hypoxia_hpc.networks.loop import Logs, OnEpoch, fit
from hypoxia_hpc.networks.preprocessing import Preprocess
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.networks.schedules import learning_rate
from hypoxia_hpc.networks.tilestream import ReadTiles, TileBatch, TileSource, TileStream, one_after_another
from hypoxia_hpc.networks.trained import Arrays, TrainedHead
from hypoxia_hpc.records import Float32Array

if TYPE_CHECKING:
    import keras

MOMENTUM = 0.9
WEIGHT_DECAY = 0.01  # of AdamW, as PyTorch has it
LEAST_PROBABILITY = 1e-7


class Curves(Protocol):
    """Where the course of a training is written down, step by step."""

    def begin(self, step: int) -> None:
        """Training goes on from this step: forget what was said of it and of later ones."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values by name after a step."""


@dataclass(frozen=True, slots=True)
class Network:
    """``base``: preprocessed pixels -> float (b, d). ``training``: pixels uint8 (b, tile_px, tile_px, 3) and random
    numbers by name -> logits float32 (b, 2); ``predicting``: pixels -> probabilities float32 (b, 2). One set of
    weights."""

    base: keras.Model
    training: keras.Model
    predicting: keras.Model

    @property
    def top(self) -> list[keras.Variable]:
        """Weights that are trained in the first phase."""
        self.base.trainable = False
        return list(self.training.trainable_variables)

    @property
    def everything(self) -> list[keras.Variable]:
        """Weights that are trained in the second phase."""
        self.base.trainable = True
        return list(self.training.trainable_variables)


def build_network(table: FinetuneTable, base: keras.Model, preprocess: Preprocess, tile_px: int, seed: int) -> Network:
    """Augmentation, ``base``, and a new Dense 2 behind it, its weights drawn by ``seed``."""
    keras = start_keras()
    top = keras.layers.Dense(
        2, dtype="float32", kernel_initializer=keras.initializers.GlorotUniform(seed=seed), name="top"
    )

    inferring = _in_inference_mode(base)

    def logits(resized: Any) -> Any:
        return top(inferring(preprocess(keras, resized)))

    pixels = keras.Input((tile_px, tile_px, 3), dtype="uint8", name="pixels")
    drawn = {name: keras.Input(SHAPES[name], name=name) for name in draws(_strengths(table), 1, 0, 0)}
    resized = resize(pixels, tile_px, table.input_px)
    predicting = keras.Model(pixels, keras.ops.softmax(logits(resized)))
    predicting.compile(jit_compile=compiler(xla=False) != "none")
    return Network(
        base,
        keras.Model({"pixels": pixels, **drawn}, logits(augment(resized, drawn) if drawn else resized)),
        predicting,
    )


def _in_inference_mode(base: keras.Model) -> keras.layers.Layer:
    """``base`` as a layer that never hears that it is being trained. A functional network does not pass on a
    ``training=False`` that it was built with, whatever the guide says (Keras 3.15)."""
    keras = start_keras()

    class InferenceMode(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__(autocast=False)
            self.base = base

        def call(self, pixels: Any) -> Any:
            return self.base(pixels, training=False)

    return InferenceMode()


def train_finetuned(
    table: FinetuneTable,
    network: Network,
    train: Sequence[TileSource],
    valid: Sequence[TileSource],
    *,
    seed: int,
    checkpoints: Checkpoints,
    curves: Curves,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Train a network on tiles of training patients; those of validation patients are watched. Raises as ``fit``."""
    program = _Finetuning(table, network, train, valid, seed, curves)
    history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
    return TrainedHead(weights_of(network), history)


def weights_of(network: Network) -> Arrays:
    """All weights of the network, base and top, by their number."""
    return {f"{index:05d}": np.asarray(weight) for index, weight in enumerate(network.predicting.get_weights())}


def set_weights(network: Network, arrays: Arrays) -> None:
    """Put trained weights in. Raises ValueError where they are those of another network."""
    network.predicting.set_weights([arrays[name] for name in sorted(arrays)])


def load_finetuned(folder: Path, tile_px: int) -> keras.Model:
    """The network of a model's folder: tiles uint8 (b, tile_px, tile_px, 3) -> probabilities float32 (b, 2).

    The weights that it began with need not be there. Raises NotReadyError where the folder holds no sound model."""
    found = load_model(folder)
    table = FinetuneTable.model_validate(found.record.settings)
    any_weights = ExtractTable(backbone=table.backbone, weights="random", precision=table.precision)
    base, preprocess = build_inner(resolve_backbone(any_weights, table.input_px, None))
    network = build_network(table, base, preprocess, tile_px, seed=0)
    set_weights(network, found.arrays)
    network.predicting.trainable = False
    return network.predicting


class _Finetuning:
    """The program of both phases. Optimizers of both are there from the start, so that a checkpoint has one form."""

    def __init__(
        self,
        table: FinetuneTable,
        network: Network,
        train: Sequence[TileSource],
        valid: Sequence[TileSource],
        seed: int,
        curves: Curves,
    ) -> None:
        self._table = table
        self._network = network
        self._valid = valid
        self._seed = seed
        self._curves = curves
        self._strengths = _strengths(table)
        tile_px = network.predicting.input_shape[1]
        self._stream = TileStream(train, tile_px, balance=table.balance, batch_size=table.batch_size, seed=seed)
        self._class_weight = _class_weight(train) if table.balance == "weight" else None
        self._phases = _phases(table, network)
        self._begun: _Phase | None = None

    @property
    def epochs(self) -> int:
        return self._table.frozen_epochs + self._table.unfrozen_epochs

    @property
    def patience(self) -> int | None:
        return self._table.patience

    def variables(self) -> list[keras.Variable]:
        optimizers = [variable for phase in self._phases for variable in phase.optimizer.variables]
        return [*self._network.training.variables, *optimizers]

    def steps(self, epoch: int, first: int) -> Generator[TileBatch, None, None]:
        if self._begun is None:
            self._curves.begin(epoch * self._stream.steps_per_epoch + first)
        return self._stream.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: TileBatch) -> Logs:
        phase = self._enter(epoch)
        step = epoch * self._stream.steps_per_epoch + number
        done = step - phase.first_epoch * self._stream.steps_per_epoch
        rate = learning_rate(
            self._table.schedule, phase.learning_rate, done, phase.epochs * self._stream.steps_per_epoch
        )
        phase.optimizer.learning_rate = rate
        self._network.training.reset_metrics()  # the loop takes the mean over the epoch
        pixels, labels = batch
        logs = self._network.training.train_on_batch(
            {"pixels": pixels, **draws(self._strengths, len(labels), self._seed, step)},
            labels,
            class_weight=self._class_weight,
            return_dict=True,
        )
        told = {"loss": float(logs["loss"]), "accuracy": float(logs["accuracy"]), "learning_rate": rate}
        self._curves.add(step, told)
        return told

    def end_epoch(self, epoch: int) -> Logs:
        if not self._valid:
            return {}
        logs = watched(self._network, self._valid, self._stream.batch_size)
        self._curves.add((epoch + 1) * self._stream.steps_per_epoch - 1, logs)
        return logs

    def _enter(self, epoch: int) -> _Phase:
        phase = next(one for one in self._phases if epoch < one.first_epoch + one.epochs)
        if phase is not self._begun:
            self._begun = phase
            self._network.base.trainable = phase.is_unfrozen
            keras = start_keras()
            self._network.training.compile(
                optimizer=phase.optimizer,
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
                jit_compile=compiler(xla=False) != "none",
            )
        return phase


@dataclass(frozen=True, slots=True)
class _Phase:
    first_epoch: int
    epochs: int
    learning_rate: float
    is_unfrozen: bool
    optimizer: keras.optimizers.Optimizer


def _phases(table: FinetuneTable, network: Network) -> list[_Phase]:
    """The phases that have epochs, their optimizers built."""
    frozen = (0, table.frozen_epochs, table.learning_rate, False)
    unfrozen = (table.frozen_epochs, table.unfrozen_epochs, table.unfrozen_learning_rate, True)
    phases = [_Phase(*one, _optimizer(table)) for one in (frozen, unfrozen) if one[1]]
    for phase in phases:
        phase.optimizer.build(network.everything if phase.is_unfrozen else network.top)
    return phases


def _optimizer(table: FinetuneTable) -> keras.optimizers.Optimizer:
    """Each step sets its own learning rate."""
    optimizers = start_keras().optimizers
    if table.optimizer == "sgd":
        return optimizers.SGD(momentum=MOMENTUM, nesterov=True)
    return optimizers.AdamW(weight_decay=WEIGHT_DECAY)


def watched(network: Network, sources: Sequence[TileSource], batch_size: int) -> Logs:
    """Mean cross-entropy ``valid_loss`` and ``valid_accuracy`` over all tiles of these sources."""
    labels = np.repeat([source.label for source in sources], [source.n for source in sources])
    probabilities = predict(network, one_after_another(sources), len(labels), batch_size)
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "valid_loss": float(-np.log(np.maximum(right, LEAST_PROBABILITY)).mean()),
        "valid_accuracy": float((right > 0.5).mean()),
    }


def predict(network: Network, read: ReadTiles, n: int, batch_size: int) -> Float32Array:
    """Probabilities of both classes, float32 (n, 2), of the ``n`` tiles that ``read(start, stop)`` gives."""
    px = network.predicting.input_shape[1]
    batch = np.zeros((batch_size, px, px, 3), dtype=np.uint8)
    parts = []
    for start in range(0, n, batch_size):
        stop = min(start + batch_size, n)
        batch[: stop - start] = read(start, stop)
        parts.append(np.asarray(network.predicting.predict_on_batch(batch))[: stop - start])
    return np.concatenate(parts)


def _strengths(table: FinetuneTable) -> Strengths:
    return Strengths(table.flips, table.colour_jitter, table.stain_jitter)


def _class_weight(sources: Sequence[TileSource]) -> dict[int, float]:
    """So that both classes weigh the same, 1 on average."""
    tiles = [sum(source.n for source in sources if source.label == label) for label in (0, 1)]
    return {label: sum(tiles) / (2 * n) for label, n in enumerate(tiles)}
