"""Fine-tuning: a network with a new top trained on tiles; first the top alone on the frozen base, then everything."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hypoxia_hpc.config import FinetuneTable
from hypoxia_hpc.networks.backbones.work import core_seconds_a_tile, output_bytes
from hypoxia_hpc.networks.data.augmentation import draws
from hypoxia_hpc.networks.data.classes import class_weights
from hypoxia_hpc.networks.data.tile_stream import RUN_TILES, WINDOW_RUNS, TileBatch, TileSource, TileStream
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.cost import LOAD_SECONDS, MOST_CORES, CohortSize, Cost, HeadCost
from hypoxia_hpc.networks.heads.loop import Logs, OnEpoch, fit
from hypoxia_hpc.networks.heads.result import TrainedHead, check_said
from hypoxia_hpc.networks.heads.schedules import learning_rate
from hypoxia_hpc.networks.heads.tile_network import TileNetwork, predict, standardise, strengths, watched, weights_of
from hypoxia_hpc.networks.runtime import compiler, start_keras
from hypoxia_hpc.outcomes.registry import BINARY

if TYPE_CHECKING:
    import keras

MOMENTUM = 0.9  # of SGD, its usual value
WEIGHT_DECAY = 0.01  # of AdamW, as PyTorch has it
# Tiles from which mean and spread of the features are taken: with fewer these depend on which tiles came first; each
# one takes a pass through the network, and all are in memory at once (268 MB at 299 px).
SAMPLE_TILES = 1000
# Of all gradients together, once the base is trained too: through features of small spread they are large, and a base
# that keeps its statistics has nothing to hold it (ResNet50 on the demo: NaN in the 10th step without).
MOST_NORM = 1.0
# Two phases are built and traced, and the network for predictions.
COMPILE_SECONDS = 25.0
# A tile with augmentation and resizing, on the processor that was measured: 0.081 s of a core for ResNet50 at 224 px,
# where `core_seconds_a_tile`, of a newer one, says 0.058.
TILE_FACTOR = 1.2
# There and back with nothing frozen, clipped gradients and all weights moved: ResNet50, batches of 8 and 16 tiles.
THERE_AND_BACK = 7
# Outputs of convolutions that are there at once: of a few layers where nothing is trained, else all, with what
# normalisation and activation make of them and with gradients (85 MB a tile of 224 px of ResNet50; the frozen figure is
# reckoned, not measured).
KEPT_FROZEN, KEPT_UNFROZEN = 0.5, 2.2
# Of a batch of pixels as float32, through augmentation and resizing.
PIXEL_COPIES = 4
# Weights of the network, of its optimizers, of the best epoch and a checkpoint.
NETWORK_BYTES = 1.0e9


class Curves(Protocol):
    """A record of the course of a training, step by step."""

    def begin(self, step: int) -> None:
        """Training continues at this step: delete the records of it and of later steps."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values by name after a step."""


def train_finetuned(
    table: FinetuneTable,
    network: TileNetwork,
    train: Sequence[TileSource],
    valid: Sequence[TileSource],
    *,
    seed: int,
    checkpoints: Checkpoints,
    curves: Curves,
    on_epoch: OnEpoch,
    stop: threading.Event,
) -> TrainedHead:
    """Train a network on tiles of training patients; those of validation patients are only measured. Raises as ``fit``.

    Features are first standardised by mean and spread of a sample of training tiles, as the heads do; this is ours, not
    the study's. (Pooled features of H&E tiles have a mean far larger than their spread, of which steps that suit the
    mean learn little: ResNet50 on the demo, the study's 4 epochs, patients' AUC 0.42 without and 0.95 with it.)
    """
    program = _Finetuning(table, network, train, valid, seed, curves)
    history = fit(program, checkpoints, on_epoch=on_epoch, stop=stop)
    # Probabilities are those of two classes or of more: all of them in 0..1.
    check_said(predict(network, train[0].read, min(train[0].n, table.batch_size), table.batch_size), BINARY)
    return TrainedHead(weights_of(network), history)


def finetune_cost(table: FinetuneTable, size: CohortSize) -> HeadCost | None:
    """Of a network that is trained through all its epochs and then, in the same command, predicts all tiles, so that
    later predictions cost nothing. None for a network whose operations are not known."""
    forward, outputs = (of(table.backbone, table.input_px) for of in (core_seconds_a_tile, output_bytes))
    if forward is None or outputs is None:
        return None
    rows, epochs = size.train_tiles * size.drawn(table.balance), table.frozen_epochs + table.unfrozen_epochs
    passes = rows * (table.frozen_epochs + THERE_AND_BACK * table.unfrozen_epochs) + size.valid_tiles * epochs
    seconds = COMPILE_SECONDS + TILE_FACTOR * forward * (passes + min(SAMPLE_TILES, rows) + size.tiles)
    pixels = 3 * (size.tile_px**2 + table.input_px**2)
    a_tile = 4.0 * PIXEL_COPIES * pixels + (KEPT_UNFROZEN if table.unfrozen_epochs else KEPT_FROZEN) * outputs
    windows = 3 * size.tile_px**2 * (2 * min(RUN_TILES * WINDOW_RUNS, rows) + min(SAMPLE_TILES, rows))
    train = Cost(seconds, MOST_CORES, NETWORK_BYTES + table.batch_size * a_tile + windows)
    return HeadCost(train, Cost(LOAD_SECONDS, 1, 0.0))


@dataclass(frozen=True, slots=True)
class _Phase:
    first_epoch: int
    epochs: int
    learning_rate: float
    unfrozen: bool
    optimizer: keras.optimizers.Optimizer


class _Finetuning:
    """The program of both phases. Optimizers of both are there from the start, so that a checkpoint has one form."""

    def __init__(
        self,
        table: FinetuneTable,
        network: TileNetwork,
        train: Sequence[TileSource],
        valid: Sequence[TileSource],
        seed: int,
        curves: Curves,
    ) -> None:
        self.epochs, self.patience = table.frozen_epochs + table.unfrozen_epochs, table.patience
        self._table = table
        self._network = network
        self._valid = valid
        self._seed = seed
        self._curves = curves
        self._strengths = strengths(table)
        self._stream = TileStream(train, network.tile_px, balance=table.balance, batch_size=table.batch_size, seed=seed)
        self._class_weight = tile_weights(train) if table.balance == "weight" else None
        self._phases = _phases(table, network)
        self._phase: _Phase | None = None

    def variables(self) -> list[keras.Variable]:
        optimizers = [variable for phase in self._phases for variable in phase.optimizer.variables]
        return [*self._network.training.variables, *optimizers]

    def steps(self, epoch: int, first: int) -> Generator[TileBatch, None, None]:
        if self._phase is None:
            self._curves.begin(self._steps_before(epoch) + first)
        if (epoch, first) == (0, 0):
            self._standardise()
        return self._stream.batches(epoch, first)

    def step(self, epoch: int, number: int, batch: TileBatch) -> Logs:
        phase = self._enter(epoch)
        step = self._steps_before(epoch) + number
        in_phase = step - self._steps_before(phase.first_epoch)
        n_steps = self._steps_before(phase.epochs)
        rate = learning_rate(self._table.schedule, phase.learning_rate, in_phase, n_steps)
        phase.optimizer.learning_rate = rate
        pixels, labels = batch
        self._network.training.reset_metrics()  # the loop takes the mean over the epoch
        logs = self._network.training.train_on_batch(
            {"pixels": pixels, **draws(self._strengths, len(labels), self._seed, step)},
            labels,
            class_weight=self._class_weight,
            return_dict=True,
        )
        values = {"loss": float(logs["loss"]), "accuracy": float(logs["accuracy"]), "learning_rate": rate}
        self._curves.add(step, values)
        return values

    def end_epoch(self, epoch: int) -> Logs:
        if not self._valid:
            return {}
        logs = watched(self._network, self._valid, self._stream.batch_size)
        self._curves.add(self._steps_before(epoch + 1) - 1, logs)
        return logs

    def _steps_before(self, epoch: int) -> int:
        return epoch * self._stream.steps_per_epoch

    def _standardise(self) -> None:
        """By the first tiles of the first epoch, which come in random order."""
        size = self._stream.batch_size
        batches = itertools.islice(self._stream.batches(0, 0), -(-SAMPLE_TILES // size))
        standardise(self._network, np.concatenate([pixels for pixels, _ in batches])[:SAMPLE_TILES], size)

    def _enter(self, epoch: int) -> _Phase:
        phase = next(one for one in self._phases if epoch < one.first_epoch + one.epochs)
        if phase is not self._phase:
            self._phase = phase
            self._network.trained(unfrozen=phase.unfrozen)
            self._network.training.compile(
                optimizer=phase.optimizer,
                loss=start_keras().losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
                jit_compile=compiler(xla=False) != "none",
            )
        return phase


def _phases(table: FinetuneTable, network: TileNetwork) -> list[_Phase]:
    """The phases that have epochs, their optimizers built."""
    frozen = (0, table.frozen_epochs, table.learning_rate, False)
    unfrozen = (table.frozen_epochs, table.unfrozen_epochs, table.unfrozen_learning_rate, True)
    phases = [_Phase(*one, _optimizer(table, unfrozen=one[-1])) for one in (frozen, unfrozen) if one[1]]
    for phase in phases:
        phase.optimizer.build(network.trained(unfrozen=phase.unfrozen))
    return phases


def _optimizer(table: FinetuneTable, *, unfrozen: bool) -> keras.optimizers.Optimizer:
    """Each step sets its own learning rate."""
    optimizers = start_keras().optimizers
    most = MOST_NORM if unfrozen else None
    if table.optimizer == "sgd":
        return optimizers.SGD(momentum=MOMENTUM, nesterov=True, global_clipnorm=most)
    return optimizers.AdamW(weight_decay=WEIGHT_DECAY, global_clipnorm=most)


def tile_weights(sources: Sequence[TileSource]) -> dict[int, float]:
    """The weight of a tile of each class: equal totals for every class, 1 on average."""
    labels = sorted({source.label for source in sources})
    tiles = [sum(source.n for source in sources if source.label == label) for label in labels]
    return dict(enumerate(class_weights(np.array(tiles)).tolist()))
