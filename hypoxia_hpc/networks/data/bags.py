"""Bags of tiles, one a patient: which patients and which of their rows a step takes, and how they are read.

All of it is a pure function of numbers, seed, epoch and step, so that a training can go on in the middle of an epoch.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import AttentionTable, Balance
from hypoxia_hpc.networks.data.classes import class_weights
from hypoxia_hpc.networks.data.rows import Rows
from hypoxia_hpc.networks.data.shuffling import CHUNK_ROWS
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.records import AnyArray, Float32Array, Int64Array, Label

# Tiles are drawn from all over a patient, so nearly every chunk is read for them. Of a patient with more than 16,384
# tiles that number is drawn first, so that no step reads more than 64 MB of 2,048 x float16 for one bag.
MOST_CHUNKS = 64
BAG_READERS, AHEAD = 4, 4  # threads that read batches; batches that are read or wait


@dataclass(frozen=True, slots=True)
class Bag:
    """The stores of one patient by their numbers, rows in each, and the patient's label."""

    stores: tuple[int, ...]
    counts: Int64Array
    label: Label

    @property
    def n(self) -> int:
        return int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class BagBatch:
    """Features as stored (patients, tiles, d), 0 where ``mask`` float32 (patients, tiles) is: padding. Labels
    as of `Rows` (patients, ...), weights float32 (patients,)."""

    values: NDArray[Any]
    mask: Float32Array
    labels: AnyArray
    weights: Float32Array


def bags_of(rows: Rows) -> tuple[Bag, ...]:
    """The patients of stores, in the order in which they first come."""
    members: dict[str, list[int]] = {}
    for number, store in enumerate(rows.stores):
        members.setdefault(store.patient_id, []).append(number)
    return tuple(
        Bag(tuple(numbers), rows.counts[numbers], rows.stores[numbers[0]].label) for numbers in members.values()
    )


def patient_order(labels: AnyArray, balance: Balance, rng: np.random.Generator) -> Int64Array:
    """Indices of the patients of one epoch, int64, in random order. With balance "sample" all of the largest class come
    once and those of the others are repeated evenly, otherwise every patient comes once."""
    if balance != "sample":
        return rng.permutation(len(labels))
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    most = max(len(part) for part in members)
    order: Int64Array = rng.permutation(np.concatenate([np.resize(rng.permutation(part), most) for part in members]))
    return order


def bag_weights(labels: AnyArray, balance: Balance) -> Float32Array:
    """The weight of each patient's loss by class, float32 (n,): with balance "weight" all classes have equal
    totals."""
    if balance != "weight":
        return np.ones(len(labels), dtype=np.float32)
    return class_weights(np.bincount(labels))[labels].astype(np.float32)


def drawn_rows(n: int, most: int, rng: np.random.Generator) -> Int64Array:
    """``most`` of a patient's ``n`` rows, or all of them, int64, rising; each as likely as another."""
    if n <= most:
        return np.arange(n)
    n_chunks = -(-n // CHUNK_ROWS)
    if n_chunks <= MOST_CHUNKS or most > (MOST_CHUNKS - 1) * CHUNK_ROWS:
        return np.sort(rng.choice(n, most, replace=False))
    chunks = np.sort(rng.choice(n_chunks, MOST_CHUNKS, replace=False))
    rows = (chunks[:, None] * CHUNK_ROWS + np.arange(CHUNK_ROWS)).ravel()
    return np.sort(rng.choice(rows[rows < n], most, replace=False))


def read_rows(rows: Rows, bag: Bag, chosen: Int64Array) -> NDArray[Any]:
    """The features of these rows of a patient (rising; its stores one behind the other), (k, d) as stored. Every chunk
    that has one of them is read once. Raises SlideError (damaged-store), MachineError."""
    values = rows.empty(len(chosen))
    for store, begin, end in zip(bag.stores, np.cumsum(bag.counts) - bag.counts, np.cumsum(bag.counts), strict=True):
        first, last = np.searchsorted(chosen, [begin, end])
        _read_of_store(rows, store, chosen[first:last] - begin, values[first:last])
    return values


def _read_of_store(rows: Rows, store: int, chosen: Int64Array, out: NDArray[Any]) -> None:
    for chunk in np.unique(chosen // CHUNK_ROWS).tolist():
        begin, end = chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, int(rows.counts[store]))
        held = rows.empty(end - begin)
        rows.readers[store].read_into(begin, end, held)
        low, high = np.searchsorted(chosen, [begin, end])
        out[low:high] = held[chosen[low:high] - begin]


class ShuffledBags:
    """The batches of every epoch over the patients of ``rows``: ``size`` patients, and ``tiles`` of each (no more than
    the largest has), all of one shape, read ahead in threads. Whole batches only: patients that are left over come
    in another epoch."""

    def __init__(self, rows: Rows, table: AttentionTable, *, seed: int) -> None:
        self._rows = rows
        self._seed = seed
        self._balance: Balance = table.balance if isinstance(rows.outcome, NamedClasses) else "none"
        self.bags = bags_of(rows)
        self._labels: AnyArray = np.array([bag.label for bag in self.bags])
        self._weights = bag_weights(self._labels, self._balance)
        self.tiles = min(table.bag_tiles, max(bag.n for bag in self.bags))
        self.size = min(table.batch_size, len(self._order(0)))

    def batches(self, epoch: int, first: int) -> Generator[BagBatch, None, None]:
        """The batches of an epoch from number ``first`` on. Raises as `read_rows`."""
        order = self._order(epoch)
        numbers = iter(range(first, len(order) // self.size))
        with ThreadPoolExecutor(BAG_READERS, "bags") as pool:
            waiting: deque[Future[BagBatch]] = deque()
            try:
                for number in itertools.islice(numbers, AHEAD):
                    waiting.append(pool.submit(self._batch, epoch, number, order))
                while waiting:
                    yield waiting.popleft().result()
                    for number in itertools.islice(numbers, 1):
                        waiting.append(pool.submit(self._batch, epoch, number, order))
            finally:
                pool.shutdown(cancel_futures=True)

    def _order(self, epoch: int) -> Int64Array:
        return patient_order(self._labels, self._balance, np.random.default_rng([self._seed, epoch]))

    def _batch(self, epoch: int, number: int, order: Int64Array) -> BagBatch:
        chosen = order[number * self.size : (number + 1) * self.size]
        values = np.zeros((self.size, self.tiles, self._rows.feature_length), dtype=self._rows.dtype)
        mask = np.zeros((self.size, self.tiles), dtype=np.float32)
        for place, patient in enumerate(chosen):
            bag = self.bags[patient]
            rng = np.random.default_rng([self._seed, epoch, 1 + number, place])
            drawn = read_rows(self._rows, bag, drawn_rows(bag.n, self.tiles, rng))
            values[place, : len(drawn)] = drawn
            mask[place, : len(drawn)] = 1
        return BagBatch(values, mask, self._labels[chosen], self._weights[chosen])
