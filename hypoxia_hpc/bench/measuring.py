"""A case timed: paired rounds of work, bounds and peers, after its answer was checked."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np

from hypoxia_hpc.bench.case import Case, Place, Prepared
from hypoxia_hpc.bench.comparison import Guarded, LeftOut
from hypoxia_hpc.bench.costs import PAID
from hypoxia_hpc.bench.neighbours import look as look_around
from hypoxia_hpc.bench.neighbours import share_of_others
from hypoxia_hpc.bench.rounds import Lap, Laps, Work, busy, do_nothing, lap, on_one_core, paired
from hypoxia_hpc.machine.energy import look, spent

# A lap is as long as this at least, so that neither the clock nor a tick of the system matters.
LAP_SECONDS = 0.03
CASE_SECONDS = 6.0
# Energy is that of the work over and over for so long: the counter of a GPU is renewed every 0.1 s at worst.
ENERGY_SECONDS = 3.0
# Times that work is done before it counts; what takes long, once.
WARM, LONG_SECONDS = 2, 1.0
# With six rounds their least and largest value hold the median with 97 % confidence; with five it is 94 %.
LEAST_ROUNDS, MOST_ROUNDS = 6, 25
CONFIDENCE = 0.95
WORK = "work"


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over the rounds, and the interval that holds it with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a case has come to. ``rate`` in units a second; ``share`` of the rate that the bound has, ``bound_rate``;
    ``peers``: how many times as fast as each of them the work is. ``busy``: the share of the clock's time in which the
    processor worked for us, above 1 with several cores; ``others``: the share of the cores' time that others used.
    ``agreement``: how the answer was checked, ``how``: how that of each peer compares, ``left_out``: why other packages
    were not timed.
    ``missing``: why it was not measured.

    Of one unit: ``core_seconds`` that computed, ``gpu_seconds`` on the clock with a GPU (None without), ``joules`` by
    their source; ``no_energy``: why those of another source are not known."""

    case: Case
    missing: str = ""
    rounds: int = 0
    rate: Spread | None = None
    share: Spread | None = None
    bound_rate: float = math.nan
    peers: Mapping[str, Spread] = field(default_factory=dict)
    how: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    busy: float = math.nan
    others: float = 0.0
    agreement: str = ""
    core_seconds: float = math.nan
    gpu_seconds: float | None = None
    joules: Mapping[str, float] = field(default_factory=dict)
    no_energy: tuple[str, ...] = ()


def measure(case: Case, place: Place, seconds: float = CASE_SECONDS, go_on: Work = do_nothing) -> Measurement:
    """Check a case's answer, then time it, in a place, for about ``seconds``. ``go_on`` is called before each piece of
    work, and raises Stopped where it is to end. Raises WrongAnswerError."""
    if missing := case.missing():
        return Measurement(case, missing)
    with case.prepare(place) as made:
        prepared = replace(made, peers={name: Guarded(work) for name, work in made.peers.items()})
        go_on()
        agreement = prepared.check()
        with nullcontext() if case.all_cores else on_one_core():
            before = look_around()
            laps = timed(prepared, seconds, go_on)
            others = share_of_others(before, look_around())
        one = replace(found(case, prepared, laps, agreement), others=others)
        return with_energy(one, prepared, go_on=go_on) if case.topic in PAID else one


def with_energy(
    one: Measurement, prepared: Prepared, seconds: float = ENERGY_SECONDS, go_on: Work = do_nothing
) -> Measurement:
    """The measurement with what the work took of each counter that there is, while it was done for ``seconds``."""
    before = look(gpu=prepared.on_gpu)
    if not before.counters:
        return replace(one, no_energy=before.missing)
    until, times = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        go_on()
        prepared.work()
        prepared.tidy()
        times += 1
    joules = spent(before, look(gpu=prepared.on_gpu))
    a_unit = {source: found / (times * prepared.amount) for source, found in joules.items()}
    return replace(one, joules=a_unit, no_energy=before.missing)


def timed(prepared: Prepared, seconds: float, go_on: Work = do_nothing) -> Laps:
    """Paired rounds of the work, its bounds and its peers, without a peer that fails at first."""
    works = {WORK: prepared.work, **prepared.bounds, **prepared.peers}
    once = {}
    for name, work in works.items():
        for _ in range(WARM):  # compiled, and in the page cache
            go_on()
            once[name] = lap(work).clock
            prepared.tidy()
            if once[name] > LONG_SECONDS:
                break
    works = {name: work for name, work in works.items() if not failed(work)}
    once = {name: once[name] for name in works}
    may_repeat = prepared.tidy is do_nothing
    repeats = {name: max(1, math.ceil(LAP_SECONDS / took)) if may_repeat else 1 for name, took in once.items()}
    a_round = sum(repeats[name] * took for name, took in once.items())
    rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, int(seconds / a_round)))
    return paired(works, rounds, prepared.tidy, repeats, go_on)


def failed(work: Work) -> LeftOut | None:
    """Why a peer's work ended; None while it goes on, and for our own."""
    return work.left_out if isinstance(work, Guarded) else None


def found(case: Case, prepared: Prepared, laps: Laps, agreement: str) -> Measurement:
    """What the laps say. Of several bounds the slowest counts in each round."""
    own = laps[WORK]
    slowest = [max(laps[name][number].clock for name in prepared.bounds) for number in range(len(own))]
    ended = {name: why for name, work in prepared.peers.items() if (why := failed(work))}
    mine = {name: column for name, column in laps.items() if name == WORK}
    return Measurement(
        case,
        rounds=len(own),
        rate=spread([prepared.amount / one.clock for one in own]),
        share=spread([bound / one.clock for bound, one in zip(slowest, own, strict=True)]),
        bound_rate=prepared.amount / float(np.median(slowest)),
        peers={name: spread(times_as_fast(own, laps[name])) for name in prepared.peers if name not in ended},
        how={name: how for name, how in prepared.how.items() if name not in ended},
        left_out={**prepared.left_out, **ended},
        busy=busy(mine),
        agreement=agreement,
        core_seconds=float(np.median([one.processor for one in own])) / prepared.amount,
        gpu_seconds=float(np.median([one.clock for one in own])) / prepared.amount if prepared.on_gpu else None,
    )


def times_as_fast(own: list[Lap], other: list[Lap]) -> list[float]:
    """In each round, the other's time over our own."""
    return [theirs.clock / ours.clock for theirs, ours in zip(other, own, strict=True)]


def spread(values: list[float]) -> Spread:
    """The median and its interval by order statistics, which assumes nothing of the distribution (Conover, Practical
    Nonparametric Statistics, 3.2): how many of n values lie below the median is binomial, (n, 1/2)."""
    ordered = np.sort(values)
    n, place = len(ordered), 0
    while place < n // 2 - 1 and _outside(n, place + 1) <= 1 - CONFIDENCE:
        place += 1
    return Spread(float(np.median(ordered)), float(ordered[place]), float(ordered[n - 1 - place]))


def _outside(n: int, place: int) -> float:
    """The probability that the median lies outside of the values at ``place`` from either end (0: the outermost)."""
    return float(2 * sum(math.comb(n, below) for below in range(place + 1)) / 2**n)
