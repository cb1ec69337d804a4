"""In which order a training reads and uses the rows of its stores: a pure function of their numbers, seed and epoch.

Rows that do not fit in memory are shuffled twice: the chunks of all stores are put in random order, then the rows of a
window of as many chunks as fit in memory. A batch never crosses windows, so an epoch can begin at any batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.config import Balance
from hypoxia_hpc.records import Int64Array

# 256 MB of 2,048 x float16, from 256 chunks of the whole cohort: one window is used while the next one is read.
WINDOW_ROWS = 65_536
HELD_ROWS = 2 * WINDOW_ROWS  # rows that fit into this, two windows, stay in memory from the first epoch to the last
CHUNK_ROWS = 256  # rows of a chunk of a feature store, which is always read as a whole


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """``windows``: of each its stretches, int64 (k, 3): store, first row, row after the last. All their rows are used
    once, but where there is one window only ``drawn`` of them (indices of its rows, int64), when it is not None.
    ``batch_size`` divides what is used of every window but the last; the surplus of that comes in another epoch."""

    windows: tuple[Int64Array, ...]
    drawn: Int64Array | None
    batch_size: int
    seed: int
    epoch: int

    @property
    def is_held(self) -> bool:
        """Whether the window is the same in every epoch."""
        return self.drawn is not None

    def n_batches(self, window: int) -> int:
        """Whole batches of a window."""
        used = rows_of(self.windows[window]) if self.drawn is None else len(self.drawn)
        return used // self.batch_size

    def order(self, window: int) -> Int64Array:
        """Which rows of a window are used one after the other: their indices in it, in random order."""
        used = np.arange(rows_of(self.windows[window])) if self.drawn is None else self.drawn
        return np.random.default_rng([self.seed, self.epoch, 1 + window]).permutation(used)


def epoch_plan(
    counts: Int64Array, labels: Int64Array, balance: Balance, batch_size: int, *, seed: int, epoch: int
) -> EpochPlan:
    """The plan of one epoch over stores of ``counts`` rows with these ``labels``, both int64 (s,).

    With balance "sample" all rows of the larger class come once and those of the smaller are repeated evenly: none
    twice more often than another. Otherwise every row comes once. Where there are fewer rows than a batch needs, the
    batch is of all of them.
    """
    chunks = chunks_of(counts)
    groups = [labels == label for label in np.unique(labels)] if balance == "sample" else [np.full(len(labels), True)]
    each = max(int(counts[group].sum()) for group in groups)  # rows that are used of a group
    size = min(batch_size, each * len(groups))
    rng = np.random.default_rng([seed, epoch])
    if counts.sum() <= HELD_ROWS:
        members = [np.flatnonzero(np.repeat(group, counts)) for group in groups]
        drawn = np.concatenate([np.resize(rng.permutation(rows), each) for rows in members])
        return EpochPlan((chunks,), drawn, size, seed, epoch)
    sequences = [_repeated(chunks[group[chunks[:, 0]]], each, rng) for group in groups]
    step = max(size, WINDOW_ROWS // len(groups) // size * size)
    windows = tuple(
        np.concatenate([part_of(sequence, start, min(start + step, each)) for sequence in sequences])
        for start in range(0, each, step)
    )
    return EpochPlan(windows, None, size, seed, epoch)


def rows_of(stretches: Int64Array) -> int:
    """Number of rows in stretches, int64 (k, 3)."""
    return int((stretches[:, 2] - stretches[:, 1]).sum())


def chunks_of(counts: Int64Array) -> Int64Array:
    """All rows of stores with these numbers of rows, in order, as stretches of one chunk each."""
    per_store = -(-counts // CHUNK_ROWS)
    stores = np.repeat(np.arange(len(counts)), per_store)
    firsts = np.repeat(np.cumsum(per_store) - per_store, per_store)
    starts = (np.arange(len(stores)) - firsts) * CHUNK_ROWS
    return np.stack([stores, starts, np.minimum(starts + CHUNK_ROWS, counts[stores])], axis=1)


def part_of(stretches: Int64Array, start: int, stop: int) -> Int64Array:
    """Rows ``start`` to ``stop``, start < stop, of the sequence of rows that stretches make."""
    ends = np.cumsum(stretches[:, 2] - stretches[:, 1])
    first, last = np.searchsorted(ends, start, side="right"), np.searchsorted(ends, stop, side="left")
    part = stretches[first : last + 1].copy()
    part[-1, 2] -= ends[last] - stop
    part[0, 1] += start - (ends[first - 1] if first else 0)
    return part


def _repeated(chunks: Int64Array, n_rows: int, rng: np.random.Generator) -> Int64Array:
    """Chunks in random order, all of them again and again in other orders, ``n_rows`` rows in all."""
    cycles = -(-n_rows // rows_of(chunks))
    return part_of(np.concatenate([rng.permutation(chunks) for _ in range(cycles)]), 0, n_rows)
