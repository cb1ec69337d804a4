"""Large memory that a process keeps from slide to slide.

The system sets up fresh memory page by page, on a virtual machine perhaps twice: without this pool, slides of half a
second took 5 % longer, and 7 % longer with writing into a store (medians of 12 rounds).
"""

from __future__ import annotations

import threading

import numpy as np

from hypoxia_hpc.records import UInt8Array

# Kept buffers add to the peak of the next slide, so they are few; on a larger slide fresh pages matter less.
MOST_KEPT_BYTES = 96 * 2**20


class BufferPool:
    """Buffers that are not in use, ``most_bytes`` of them together at most. Threads may share a pool."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: list[UInt8Array] = []
        self._lock = threading.Lock()

    def acquire(self, n_bytes: int) -> UInt8Array:
        """uint8 (at least n_bytes,), of undefined content: the smallest kept buffer that is large enough, or a new one.
        Where none is large enough, what was kept is dropped, so that memory does not pile up."""
        with self._lock:
            fitting = [number for number, buffer in enumerate(self._kept) if len(buffer) >= n_bytes]
            if fitting:
                return self._kept.pop(min(fitting, key=lambda number: len(self._kept[number])))
            self._kept.clear()
        return np.empty(n_bytes, dtype=np.uint8)

    def release(self, buffer: UInt8Array) -> None:
        """Keep a buffer for the next caller of ``acquire``, if there is room; the present one uses it no more."""
        with self._lock:
            if sum(map(len, self._kept)) + len(buffer) <= self._most_bytes:
                self._kept.append(buffer)

    def clear(self) -> None:
        """Keep nothing: before something that needs much memory of its own."""
        with self._lock:
            self._kept.clear()


BUFFERS = BufferPool(MOST_KEPT_BYTES)
