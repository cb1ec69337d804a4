"""Memory that is kept from slide to slide: used again where it is large enough, never more than is said."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from hypoxia_hpc.tiling import memory


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    memory.forget()
    yield
    memory.forget()


def place(array: NDArray[np.uint8]) -> int:
    return array.ctypes.data


def test_what_was_given_back_is_taken_again() -> None:
    large, small = memory.take(3000), memory.take(2000)
    places = place(large), place(small)
    memory.give_back(large)
    memory.give_back(small)
    small, large = memory.take(1500), memory.take(2500)  # each the smallest that is large enough
    assert (place(large), place(small)) == places
    assert len(small) >= 1500
    assert len(large) >= 2500


def test_two_never_have_the_same_memory() -> None:
    memory.give_back(memory.take(1000))
    first, second = memory.take(1000), memory.take(1000)
    assert not np.shares_memory(first, second)


def test_what_is_too_small_is_not_kept_beside_what_is_larger() -> None:
    kept = memory.take(1000)
    memory.give_back(kept)
    memory.give_back(memory.take(2000))
    larger, fresh = memory.take(1000), memory.take(1000)
    assert len(larger) == 2000
    assert not np.shares_memory(fresh, kept)


def test_no_more_is_kept_than_is_said() -> None:
    half = memory.MOST_KEPT_BYTES // 2 + 1
    first, second = memory.take(half), memory.take(half)
    memory.give_back(first)
    memory.give_back(second)
    again = memory.take(half)
    assert place(again) == place(first)
    assert place(memory.take(half)) != place(second)


def test_forgotten_memory_is_not_given_out() -> None:
    kept = memory.take(1000)
    memory.give_back(kept)
    memory.forget()
    assert not np.shares_memory(memory.take(1000), kept)
