"""The table of cases for developers, under pytest-benchmark, which ``python benchmarks/compare.py BASE`` runs.

What is "timed" is a ratio. The clock of pytest-benchmark stands still but for one round of a case, in which the work
and its bound take turns, and then goes on by the processor's time of the work over that of the bound. So its seconds
are multiples of the bound, which bear a busy machine and another one better than seconds do.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypoxia_hpc.bench.case import Case, Place, Prepared
from hypoxia_hpc.bench.cases.registry import CASES
from hypoxia_hpc.bench.measuring import LAP_SECONDS, WORK
from hypoxia_hpc.bench.rounds import Laps, lap, on_one_core, paired
from hypoxia_hpc.bench.running import default_folder

# Those whose share of the bound depends on the code alone, and which stay on one core.
STEADY = [case for case in CASES if case.is_steady and case.is_quick]
ROUNDS, TURNS = 15, 4


class RatioClock:
    """A clock that is moved on by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = RatioClock()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, default_folder() / "slides")


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    with on_one_core():
        yield


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("case", STEADY, ids=lambda case: case.name)
def test_case(case: Case, place: Place, benchmark) -> None:
    with case.prepare(place) as prepared:
        prepared.check()
        works = {WORK: prepared.work, "bound": bound_of(prepared)}
        repeats = {name: repeats_of(work) for name, work in works.items()}

        def one_round() -> None:
            CLOCK.now += ratio_of(paired(works, TURNS, repeats=repeats))

        benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)


def bound_of(prepared: Prepared):
    [bound] = prepared.bounds.values()
    return bound


def repeats_of(work) -> int:
    """How often a work is done in a lap."""
    work()
    return max(1, round(LAP_SECONDS / lap(work).clock))


def ratio_of(laps: Laps) -> float:
    """The processor's time of the work over that of the bound, each the median of its turns."""
    mine, bound = (statistics.median(one.processor for one in laps[name]) for name in (WORK, "bound"))
    return mine / bound
