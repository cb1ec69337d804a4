"""Memory that is kept from slide to slide: used again where it is large enough, never more than is said."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hypoxia_hpc.tiling.kernels.buffers import BufferPool

MOST_BYTES = 10_000


@pytest.fixture
def buffers() -> BufferPool:
    return BufferPool(MOST_BYTES)


def place(array: NDArray[np.uint8]) -> int:
    return array.ctypes.data


def test_what_was_given_back_is_taken_again(buffers: BufferPool) -> None:
    large, small = buffers.acquire(3000), buffers.acquire(2000)
    places = place(large), place(small)
    buffers.release(large)
    buffers.release(small)
    small, large = buffers.acquire(1500), buffers.acquire(2500)  # each the smallest that is large enough
    assert (place(large), place(small)) == places
    assert len(small) >= 1500
    assert len(large) >= 2500


def test_two_never_have_the_same_memory(buffers: BufferPool) -> None:
    buffers.release(buffers.acquire(1000))
    first, second = buffers.acquire(1000), buffers.acquire(1000)
    assert not np.shares_memory(first, second)


def test_what_is_too_small_is_not_kept_beside_what_is_larger(buffers: BufferPool) -> None:
    kept = buffers.acquire(1000)
    buffers.release(kept)
    buffers.release(buffers.acquire(2000))
    larger, fresh = buffers.acquire(1000), buffers.acquire(1000)
    assert len(larger) == 2000
    assert not np.shares_memory(fresh, kept)


def test_no_more_is_kept_than_is_said(buffers: BufferPool) -> None:
    half = MOST_BYTES // 2 + 1
    first, second = buffers.acquire(half), buffers.acquire(half)
    buffers.release(first)
    buffers.release(second)
    again = buffers.acquire(half)
    assert place(again) == place(first)
    assert place(buffers.acquire(half)) != place(second)


def test_forgotten_memory_is_not_given_out(buffers: BufferPool) -> None:
    kept = buffers.acquire(1000)
    buffers.release(kept)
    buffers.clear()
    assert not np.shares_memory(buffers.acquire(1000), kept)
