"""Batches of rows in the order of a plan: a window of rows is used while threads read the next one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import Balance
from hypoxia_hpc.networks.data.rows import Rows
from hypoxia_hpc.networks.data.shuffling import EpochPlan, chunks_of, epoch_plan, part_of, rows_of
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.records import AnyArray, Int64Array

# Rows in a window that is read in order, of which two are in memory: 2 x 34 MB of 2,048 x float16. Smaller windows take
# more turns of the readers, larger ones more memory, and the first batch comes later.
IN_ORDER_ROWS = 8192
_HELD = (-1, -1)


class RowBatch(NamedTuple):
    """``values`` float16 or float32 (b, d) as stored, ``labels`` as of `Rows` (b, ...); the receiver may keep and
    change the arrays."""

    values: NDArray[Any]
    labels: AnyArray


class ShuffledRows:
    """The batches of every epoch over rows, all of one size: a function of the rows, ``balance``, ``batch_size`` and
    ``seed``. Holds two windows of rows in buffers that are used again and again or, where they fit, all rows.

    Reading raises SlideError (damaged-store), MachineError.
    """

    def __init__(self, rows: Rows, balance: Balance, batch_size: int, *, seed: int, epochs: int) -> None:
        self._rows = rows
        self._balance: Balance = balance if isinstance(rows.outcome, NamedClasses) else "none"
        self._batch_size = batch_size
        self._seed = seed
        self._epochs = epochs
        self._windows = _Windows(rows)

    def plan(self, epoch: int) -> EpochPlan:
        """The order of an epoch."""
        rows = self._rows
        return epoch_plan(rows.counts, rows.labels, self._balance, self._batch_size, seed=self._seed, epoch=epoch)

    def batches(self, epoch: int, first: int) -> Generator[RowBatch, None, None]:
        """The batches of an epoch from number ``first`` on."""
        plan = self.plan(epoch)
        for number in range(len(plan.windows)):
            skipped = min(first, plan.n_batches(number))
            first -= skipped
            if skipped < plan.n_batches(number):
                yield from self._of_window(plan, number, skipped)

    def _of_window(self, plan: EpochPlan, number: int, skipped: int) -> Generator[RowBatch, None, None]:
        stretches = plan.windows[number]
        values = self._windows.read(_name(plan, number), stretches)
        self._read_ahead(plan, number + 1)
        labels, order, size = self._rows.labels_of(stretches), plan.order(number), plan.batch_size
        for batch in range(skipped, plan.n_batches(number)):
            chosen = order[batch * size : (batch + 1) * size]
            yield RowBatch(values[chosen], labels[chosen])

    def _read_ahead(self, plan: EpochPlan, number: int) -> None:
        if plan.is_held:
            return
        if number == len(plan.windows) or not plan.n_batches(number):
            if plan.epoch + 1 == self._epochs:
                return
            plan, number = self.plan(plan.epoch + 1), 0
        self._windows.read_ahead(_name(plan, number), plan.windows[number])


def rows_in_order(rows: Rows) -> Iterator[RowBatch]:
    """All rows in the order of their stores, the last batch smaller; ``values`` are valid only until the next batch."""
    chunks, windows = chunks_of(rows.counts), _Windows(rows)
    parts = [
        part_of(chunks, start, min(start + IN_ORDER_ROWS, len(rows))) for start in range(0, len(rows), IN_ORDER_ROWS)
    ]
    for number, part in enumerate(parts):
        values = windows.read((0, number), part)
        if number + 1 < len(parts):
            windows.read_ahead((0, number + 1), parts[number + 1])
        yield RowBatch(values, rows.labels_of(part))


def _name(plan: EpochPlan, number: int) -> tuple[int, int]:
    return _HELD if plan.is_held else (plan.epoch, number)


class _Slot:
    """A buffer, and the window that is in it or on its way there."""

    def __init__(self) -> None:
        self.name: tuple[int, int] | None = None
        self.buffer: NDArray[Any] = np.empty((0, 0))
        self.reads: list[Future[None]] = []


class _Windows:
    """Two buffers for windows of rows: one is used while the other is filled."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._used, self._spare = _Slot(), _Slot()

    def read(self, name: tuple[int, int], stretches: Int64Array) -> NDArray[Any]:
        """The rows of a window, which stay until another one is read."""
        if self._used.name != name:
            self.read_ahead(name, stretches)
            self._used, self._spare = self._spare, self._used
        for read in self._used.reads:
            read.result()
        values: NDArray[Any] = self._used.buffer[: rows_of(stretches)]
        return values

    def read_ahead(self, name: tuple[int, int], stretches: Int64Array) -> None:
        """Begin to read a window into the spare buffer, unless it is there already."""
        slot = self._spare
        if slot.name == name:
            return
        wait(slot.reads)
        n_rows = rows_of(stretches)
        if len(slot.buffer) < n_rows:
            slot.buffer = self._rows.empty(n_rows)
        slot.name, slot.reads = name, self._rows.start_reading(stretches, slot.buffer[:n_rows])
