"""What a model takes: seconds of cores and bytes of memory, from its table and the size of the cohort. Pure.

Beside each head stands a function that adds up the terms below. Their constants are fitted to what
`benchmarks/resources.py` measured (`resources.json`: TensorFlow, no GPU, two cores of an Intel Xeon with AVX-512), and
tests hold them to it: within a factor of 1.5 for time, never below for memory. A core with vectors half as wide may
take twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypoxia_hpc.config import Balance
from hypoxia_hpc.networks.data.batches import IN_ORDER_ROWS
from hypoxia_hpc.networks.data.shuffling import HELD_ROWS

# A core reads features from the page cache, compares their checksum and copies them.
READ_BYTES_A_SECOND = 1.0e9
# Mean and spread of a feature: a copy in float64 and two passes.
MOMENTS_SECONDS = 2e-8
# Matrix products in float32, multiply and add. Forward one for each weight, backward two; none for the features.
PRODUCTS_A_SECOND = 6e10
# BatchNormalization, activation, dropout and their gradients, a unit.
UNIT_SECONDS = 8e-9
# To pick a value of a batch and hand it to Keras.
PICK_SECONDS = 2e-9
# A step of Keras, and to move a weight by its gradient.
STEP_SECONDS, UPDATE_SECONDS = 0.004, 1e-9
# To build a model, to trace it, to save it; and to load one.
MODEL_SECONDS, LOAD_SECONDS = 3.0, 1.0
# To open a slide's store, once by the stage and once for its rows: seconds, and bytes that stay.
STORE_SECONDS, STORE_BYTES = 0.001, 12_000
# On more cores than these nothing is said to be faster: two were measured.
MOST_CORES = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """``core_seconds`` of cores as they were measured, of which at most ``cores`` share the work; ``peak_bytes`` of
    memory beside what a process has once everything is imported."""

    core_seconds: float
    cores: int
    peak_bytes: float

    def seconds(self, cores: int) -> float:
        """Seconds by the clock, on a number of cores."""
        return self.core_seconds / min(cores, self.cores)

    def times(self, n: float) -> Cost:
        """The same ``n`` times, one after the other."""
        return Cost(self.core_seconds * n, self.cores, self.peak_bytes)


@dataclass(frozen=True, slots=True)
class HeadCost:
    """Of one model: to train it once, and to put all tiles of the cohort through it (its ``peak_bytes`` are then there
    beside those of other models)."""

    train: Cost
    predict: Cost


@dataclass(frozen=True, slots=True)
class CohortSize:
    """What a model is made for.

    ``tiles``, ``slides`` and ``patients`` of all that have features; ``train`` and ``valid``: shares of them, 0..1,
    that a model of one fold is trained on and watched by; ``repeats``: how often an epoch uses a patient where classes
    are drawn equally often, on average, 1 or more. A vector has ``feature_length`` values of ``value_bytes``; tiles
    have ``tile_px``.
    """

    tiles: float
    slides: int
    patients: int
    train: float
    valid: float
    repeats: float
    feature_length: int
    value_bytes: int
    tile_px: int

    @property
    def row_bytes(self) -> int:
        """Of a feature vector as stored."""
        return self.feature_length * self.value_bytes

    @property
    def train_tiles(self) -> float:
        return self.tiles * self.train

    @property
    def valid_tiles(self) -> float:
        return self.tiles * self.valid

    def drawn(self, balance: Balance) -> float:
        """How often an epoch uses a training tile or patient, on average: with "sample" all classes come as often."""
        return self.repeats if balance == "sample" else 1.0

    def reading_seconds(self, rows: float) -> float:
        """To read rows of feature stores once."""
        return rows * self.row_bytes / READ_BYTES_A_SECOND

    def standard_seconds(self, rows: float) -> float:
        """The pass over rows that learns mean and spread, the stores opened for it."""
        arithmetic = rows * self.feature_length * MOMENTS_SECONDS
        return arithmetic + self.reading_seconds(rows) + self.slides * STORE_SECONDS

    @property
    def window_bytes(self) -> float:
        """What `ShuffledRows` holds of the training tiles, `rows_in_order` of those of validation, and readers of
        both."""
        held = min(self.train_tiles, HELD_ROWS) + min(self.valid_tiles, 2 * IN_ORDER_ROWS)
        return held * self.row_bytes + self.reader_bytes

    @property
    def reader_bytes(self) -> float:
        """Of open stores."""
        return self.slides * STORE_BYTES


class Layers:
    """Dense layers of a network: ``widths`` from the features' to that of the output."""

    def __init__(self, *widths: int) -> None:
        self._widths = widths
        self.weights = sum(one * other for one, other in pairwise(widths))

    def forward_seconds(self, rows: float) -> float:
        """Rows through them."""
        return rows * (self.weights / PRODUCTS_A_SECOND + sum(self._widths) * PICK_SECONDS)

    def epoch_seconds(self, rows: float, batch_size: int) -> float:
        """Rows through them and back, in steps of a batch."""
        first, *others = self._widths
        there_and_back = (3 * self.weights - first * others[0]) / PRODUCTS_A_SECOND
        a_row = there_and_back + first * PICK_SECONDS + sum(others) * UNIT_SECONDS
        return rows * a_row + rows / batch_size * (STEP_SECONDS + self.weights * UPDATE_SECONDS)

    def training_bytes(self, batch_size: int, copies: int) -> float:
        """A batch on its way there and back, float32: before and after normalisation, activation and dropout, and the
        gradient of each. And ``copies`` of the weights."""
        return 4.0 * (batch_size * 6 * sum(self._widths) + copies * self.weights)

    def predicting(self, tiles: float) -> Cost:
        """Tiles through a model that is loaded."""
        return Cost(LOAD_SECONDS + self.forward_seconds(tiles), MOST_CORES, 4.0 * 2 * self.weights)
