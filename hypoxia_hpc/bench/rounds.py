"""Paired rounds: everything takes its turn in every round, so that what disturbs the machine disturbs all alike.

A lap has two times: by the clock, which is what counts, and of the processor. On a quiet machine they are equal for
work on one core; where others compute on the same cores, the clock's is the larger, and ratios of it are noisy.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.bench.neighbours import busy_seconds

LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Lap:
    """Seconds of one piece of work: by the clock, and of the processor (all threads of this process)."""

    clock: float
    processor: float


Laps = dict[str, list[Lap]]
Work = Callable[[], object]


def do_nothing() -> None:
    """No work."""


def lap(work: Work, repeats: int = 1) -> Lap:
    """Seconds of the work, done ``repeats`` times one after the other: of one of them."""
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        work()
    return Lap((time.perf_counter() - clock) / repeats, (time.process_time() - processor) / repeats)


def paired(
    works: Mapping[str, Work],
    rounds: int,
    tidy: Work = do_nothing,
    repeats: Mapping[str, int] | None = None,
    go_on: Work = do_nothing,
) -> Laps:
    """Laps of all works, one a round; another one is first in each round. ``tidy`` comes after each, untimed; short
    works are done ``repeats`` times in a lap. ``go_on`` comes before each, and raises Stopped where it is to end."""
    names, often = list(works), repeats or {}
    laps: Laps = {name: [] for name in works}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            go_on()
            laps[name].append(lap(works[name], often.get(name, 1)))
            tidy()
    return laps


def median_seconds(laps: list[Lap]) -> float:
    return statistics.median(one.clock for one in laps)


def busy(laps: Laps) -> float:
    """Share of the clock's time in which the processor worked for us: 1 on a quiet machine, for work on one core."""
    every = [one for column in laps.values() for one in column]
    return sum(one.processor for one in every) / sum(one.clock for one in every)


def usable_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def on_one_core() -> AbstractContextManager[None]:
    """This process with all its threads, and what it starts meanwhile, on one core alone: the one that others use least
    just now."""
    return on_cores(1)


@contextmanager
def on_cores(n: int) -> Iterator[None]:
    """The same with ``n`` cores."""
    cores = os.sched_getaffinity(0)
    before = busy_seconds()
    time.sleep(LOOK_SECONDS)
    after = busy_seconds()
    _keep_to(sorted(cores, key=lambda core: after[core] - before[core])[:n])
    try:
        yield
    finally:
        _keep_to(cores)


def _keep_to(cores: Collection[int]) -> None:
    """All threads of this process: Linux takes the number of a process for its first thread alone, and the pools of
    other packages have threads before they are timed."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread.name), cores)
