"""Medians, their intervals, and cases timed in paired rounds."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from needed import NEEDS_TWO_CORES

from hypoxia_hpc.bench import measuring
from hypoxia_hpc.bench.case import Case, Place, Prepared, WrongAnswerError, require
from hypoxia_hpc.bench.comparison import LeftOut
from hypoxia_hpc.bench.measuring import CONFIDENCE, LEAST_ROUNDS, MOST_ROUNDS, Measurement, measure, spread, with_energy
from hypoxia_hpc.bench.rounds import do_nothing, on_one_core, usable_cores
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.machine.energy import Counter, Look

PLACE = Place(Path(), Path())


@pytest.mark.parametrize("n", range(LEAST_ROUNDS, 13))
def test_an_interval_holds_the_median_as_often_as_it_says(n: int) -> None:
    """Over all ways in which n values may lie below or above the median, each as likely as the other."""
    held = 0
    for signs in itertools.product((-1.0, 1.0), repeat=n):
        found = spread([sign * (1 + number) for number, sign in enumerate(signs)])
        held += found.low <= 0 <= found.high
    assert held / 2**n >= CONFIDENCE


@NEEDS_TWO_CORES
def test_a_pool_that_was_started_before_is_kept_to_the_core_and_gets_all_back() -> None:
    cores, both = set(usable_cores()), threading.Barrier(2)

    def seen(_: int) -> set[int]:
        both.wait(10)  # so that either thread of the pool looks
        return os.sched_getaffinity(threading.get_native_id())

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(seen, range(2))] == [cores, cores]
        with on_one_core():
            (first, second), late = pool.map(seen, range(2)), ThreadPoolExecutor(2)
            assert first == second == os.sched_getaffinity(0)
            assert len(first) == 1
            assert [*late.map(seen, range(2))] == [first, first], "what is started meanwhile"
        assert [*pool.map(seen, range(2))] == [cores, cores]
        assert [*late.map(seen, range(2))] == [cores, cores]
        late.shutdown()


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
    assert found.agreement == "right"


@pytest.mark.parametrize("after", [0, 4])
def test_a_peer_that_fails_is_left_out_and_the_case_goes_on(after: int) -> None:
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError("gone")
        time.sleep(0.03)

    @contextmanager
    def prepare(_: Place) -> Iterator[Prepared]:
        peers = {"good": lambda: time.sleep(0.03), "bad": fail}
        how = dict.fromkeys(peers, "the same")
        left_out = {"absent": LeftOut("not installed")}
        yield Prepared(1, lambda: time.sleep(0.03), {"b": do_nothing}, lambda: "right", peers, how, left_out)

    found = measure(Case("x", "topic", "s", "u", "b", prepare), PLACE, seconds=0.1)
    assert list(found.peers) == list(found.how) == ["good"]
    assert found.left_out == {"absent": LeftOut("not installed"), "bad": LeftOut("failed with OSError", "gone")}
    assert calls == after + 1


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


@pytest.mark.parametrize("on_gpu", [True, False])
def test_core_seconds_are_those_that_computed_and_gpu_seconds_those_that_passed(on_gpu: bool) -> None:
    @contextmanager
    def prepare(_: Place) -> Iterator[Prepared]:
        def work() -> None:
            end = time.process_time() + 0.03
            while time.process_time() < end:
                pass
            time.sleep(0.06)

        yield Prepared(10, work, {"bound": lambda: time.sleep(0.001)}, lambda: "right", on_gpu=on_gpu)

    found = measure(Case("half", "topic", "s", "u", "b", prepare), PLACE, seconds=0.1)
    assert 0.003 <= found.core_seconds < 0.008
    assert (found.gpu_seconds is not None) == on_gpu
    assert found.gpu_seconds is None or found.gpu_seconds >= 0.009
    assert (found.joules, found.no_energy) == ({}, ())  # of a topic whose energy is not asked for


def counted(work: Callable[[], None], *, on_gpu: bool) -> Measurement:
    """The energy of a work of ten units."""
    case = Case("x", "stages", "s", "u", "b", sleeping(1, 1, 1).prepare)
    return with_energy(Measurement(case), Prepared(10, work, {}, lambda: "right", on_gpu=on_gpu), seconds=0.5)


def test_energy_is_that_of_the_counters_over_the_work_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter of 7 J each time that the work is done."""
    times = 0

    def work() -> None:
        nonlocal times
        times += 1
        time.sleep(0.01)

    def look(*, gpu: bool) -> Look:
        assert gpu
        return Look({"x": Counter("NVML", 100 + 7.0 * times)}, ("RAPL: not here",))

    monkeypatch.setattr(measuring, "look", look)
    found = counted(work, on_gpu=True)
    assert times >= 2
    assert found.joules == {"NVML": pytest.approx(0.7)}
    assert found.no_energy == ("RAPL: not here",)


def test_where_there_is_no_counter_nothing_is_done_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        raise AssertionError

    monkeypatch.setattr(measuring, "look", lambda *, gpu: Look(missing=("RAPL: not here",)))
    found = counted(work, on_gpu=False)
    assert (found.joules, found.no_energy) == ({}, ("RAPL: not here",))


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


def test_a_stop_ends_a_case_between_two_rounds_of_it() -> None:
    left = iter([None] * 9)  # before the check, six times warming, two laps

    def go_on() -> None:
        if next(left, "none") == "none":
            raise Stopped("stopped", remedy="again")

    done: list[str] = []

    @contextmanager
    def prepare(_: Place) -> Iterator[Prepared]:
        works = {name: lambda name=name: done.append(name) for name in ("work", "bound", "peer")}
        yield Prepared(1, works["work"], {"bound": works["bound"]}, lambda: "right", {"peer": works["peer"]}, tidy=int)
        done.append("the case was left as it is after its end")

    with pytest.raises(Stopped):
        measure(Case("short", "topic", "s", "u", "b", prepare), PLACE, seconds=0.1, go_on=go_on)
    assert done == [*("work", "work", "bound", "bound", "peer", "peer"), "work", "bound"]
