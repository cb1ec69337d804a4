"""Medians, their intervals, and cases timed in paired rounds."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.bench.case import Case, Place, Prepared, WrongAnswerError, require
from hypoxia_hpc.bench.measuring import CONFIDENCE, LEAST_ROUNDS, MOST_ROUNDS, measure, spread

PLACE = Place(Path(), Path())


@pytest.mark.parametrize("n", range(LEAST_ROUNDS, 13))
def test_an_interval_holds_the_median_as_often_as_it_says(n: int) -> None:
    """Over all ways in which n values may lie below or above the median, each as likely as the other."""
    held = 0
    for signs in itertools.product((-1.0, 1.0), repeat=n):
        found = spread([sign * (1 + number) for number, sign in enumerate(signs)])
        held += found.low <= 0 <= found.high
    assert held / 2**n >= CONFIDENCE


def test_an_interval_of_many_rounds_is_narrower_than_their_range() -> None:
    found = spread(list(map(float, range(MOST_ROUNDS))))
    assert (found.value, found.low, found.high) == (12, 7, 17)


def sleeping(work_ms: float, bound_ms: float, peer_ms: float, *, is_right: bool = True) -> Case:
    def sleep(ms: float) -> None:
        time.sleep(ms / 1e3)

    def check() -> str:
        require(is_right, "seven is not eight")
        return "right"

    @contextmanager
    def prepare(_: Place) -> Iterator[Prepared]:
        bounds = {"short": lambda: sleep(bound_ms / 2), "long": lambda: sleep(bound_ms)}
        peers = {"peer": lambda: sleep(peer_ms)}
        yield Prepared(10, lambda: sleep(work_ms), bounds, check, peers, {"peer": "the same"})

    return Case("sleep", "topic", "sleeps", "naps", "sleeping less", prepare)


def test_a_case_has_its_rate_its_share_of_the_slowest_bound_and_its_peers() -> None:
    found = measure(sleeping(40, 20, 80), PLACE, seconds=0.1)
    assert found.rate is not None
    assert found.share is not None
    assert found.rounds == LEAST_ROUNDS
    assert found.rate.low <= found.rate.value <= found.rate.high <= 10 / 0.040
    assert found.share.value == pytest.approx(0.5, abs=0.2)
    assert found.peers["peer"].value == pytest.approx(2, abs=0.8)
    assert found.lowest_bound == "long"
    assert found.agreement == "right"


def test_short_work_is_repeated_within_a_lap() -> None:
    calls = 0

    @contextmanager
    def prepare(_: Place) -> Iterator[Prepared]:
        def work() -> None:
            nonlocal calls
            calls += 1
            time.sleep(0.001)

        yield Prepared(1, work, {"bound": lambda: time.sleep(0.01)}, lambda: "right")

    found = measure(Case("short", "topic", "s", "u", "b", prepare), PLACE, seconds=0.1)
    assert calls > 5 * found.rounds
    assert found.rate is not None
    assert 1 < found.rate.value < 1000


def test_a_wrong_answer_is_not_timed() -> None:
    with pytest.raises(WrongAnswerError, match="seven is not eight"):
        measure(sleeping(1, 1, 1, is_right=False), PLACE)


def test_a_case_says_what_it_lacks_and_is_not_prepared() -> None:
    case = sleeping(1, 1, 1, is_right=False)
    lacking = Case("x", "topic", "s", "u", "b", case.prepare, missing=lambda: "pip install it")
    found = measure(lacking, PLACE)
    assert (found.missing, found.rate) == ("pip install it", None)
    assert math.isnan(found.busy)
    assert np.isnan(found.bound_rate)
