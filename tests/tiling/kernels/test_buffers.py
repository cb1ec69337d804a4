"""Memory that is kept from slide to slide: used again where it is large enough, never more than is said."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from hypoxia_hpc.tiling.kernels import buffers


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    buffers.forget()
    yield
    buffers.forget()


def place(array: NDArray[np.uint8]) -> int:
    return array.ctypes.data


def test_what_was_given_back_is_taken_again() -> None:
    large, small = buffers.take(3000), buffers.take(2000)
    places = place(large), place(small)
    buffers.give_back(large)
    buffers.give_back(small)
    small, large = buffers.take(1500), buffers.take(2500)  # each the smallest that is large enough
    assert (place(large), place(small)) == places
    assert len(small) >= 1500
    assert len(large) >= 2500


def test_two_never_have_the_same_memory() -> None:
    buffers.give_back(buffers.take(1000))
    first, second = buffers.take(1000), buffers.take(1000)
    assert not np.shares_memory(first, second)


def test_what_is_too_small_is_not_kept_beside_what_is_larger() -> None:
    kept = buffers.take(1000)
    buffers.give_back(kept)
    buffers.give_back(buffers.take(2000))
    larger, fresh = buffers.take(1000), buffers.take(1000)
    assert len(larger) == 2000
    assert not np.shares_memory(fresh, kept)


def test_no_more_is_kept_than_is_said() -> None:
    half = buffers.MOST_KEPT_BYTES // 2 + 1
    first, second = buffers.take(half), buffers.take(half)
    buffers.give_back(first)
    buffers.give_back(second)
    again = buffers.take(half)
    assert place(again) == place(first)
    assert place(buffers.take(half)) != place(second)


def test_forgotten_memory_is_not_given_out() -> None:
    kept = buffers.take(1000)
    buffers.give_back(kept)
    buffers.forget()
    assert not np.shares_memory(buffers.take(1000), kept)
