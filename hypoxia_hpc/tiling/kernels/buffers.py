"""Large memory that a process keeps from slide to slide, since fresh memory is paid for page by page, on a virtual
machine perhaps twice: slides of half a second took 5 % longer, and 7 % into a store (medians of 12 rounds)."""

from __future__ import annotations

import threading

import numpy as np

from hypoxia_hpc.records import UInt8Array

# What the next slide may find in the way of its own peak: a slide with more has its pages for longer, too.
MOST_KEPT_BYTES = 96 * 2**20

_kept: list[UInt8Array] = []
_lock = threading.Lock()


def take(n_bytes: int) -> UInt8Array:
    """uint8 (at least n_bytes,), of undefined content."""
    with _lock:
        fitting = [number for number, memory in enumerate(_kept) if len(memory) >= n_bytes]
        if fitting:
            return _kept.pop(min(fitting, key=lambda number: len(_kept[number])))
        _kept.clear()
    return np.empty(n_bytes, dtype=np.uint8)


def give_back(memory: UInt8Array) -> None:
    """Keep what was taken, and is used no more, for whoever takes next."""
    with _lock:
        if sum(map(len, _kept)) + len(memory) <= MOST_KEPT_BYTES:
            _kept.append(memory)


def forget() -> None:
    """Keep nothing: before something that needs much memory of its own."""
    with _lock:
        _kept.clear()
