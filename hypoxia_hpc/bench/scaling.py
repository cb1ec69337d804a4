"""Scaling, without running anything: which sizes, which slides each has, and what laps come to.

Efficiency is the work a second and core, over that of the base case in the same round. Work is the expected time of the
slides (``cost`` of slides.csv). In strong scaling every size has the same slides, and this is T(base) base / (T(n) n).
In weak scaling a size has as many slides for each worker, and with slides of equal cost this is T(base) / T(n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

from hypoxia_hpc.bench.environment import Environment
from hypoxia_hpc.bench.measuring import Spread, spread
from hypoxia_hpc.bench.scaling_records import By, Caches, Mode, ScaledSize, ScalingRecord, Split, Task, Within, Workload
from hypoxia_hpc.errors import InputError, MachineError, some
from hypoxia_hpc.records import Slide, ThreadSeconds

CACHES: Mapping[By, Caches] = {"workers": "warm", "ranks": "warm", "tasks": "unknown"}


@dataclass(frozen=True, slots=True)
class SizeLap:
    """One run of the command. Seconds: ``clock``; ``processor`` of all its processes (None: not known); ``busy`` and
    ``idle`` of its workers, summed; ``slides`` of the receipts, summed, and ``threads`` of the threads within them. Of
    array elements, from sbatch: ``queue`` until the last of them began, ``whole`` until all had ended."""

    clock: float
    processor: float | None
    busy: float
    idle: float
    slides: float
    threads: ThreadSeconds = field(default_factory=ThreadSeconds)
    queue: float | None = None
    whole: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What a size has to do: slides, their cost in all, and their tiles."""

    slides: int
    cost: int
    tiles: int


def load_of(slides: Sequence[Slide], rows: Mapping[str, int]) -> Load:
    """Of these slides, with their tiles by id. A table may give a slide no cost: it counts as the least there is."""
    return Load(len(slides), sum(max(1, slide.cost) for slide in slides), sum(rows[slide.slide_id] for slide in slides))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for: the slides that each size tiles. The smallest size is the base case. ``task``: the size of an
    array element, where sizes are numbers of them."""

    mode: Mode
    by: By
    workload: Workload
    rounds: int
    slides: Mapping[int, Sequence[Slide]]
    task: Task | None = None

    @property
    def base(self) -> int:
        return min(self.slides)

    @property
    def cores(self) -> int:
        """Those of a worker, a rank or an array element."""
        return 1 if self.task is None else self.task.workers


def sizes_up_to(cores: int) -> list[int]:
    """1, 2, 4 … and the number of cores. Raises MachineError for one core."""
    if cores < 2:
        raise MachineError(
            "scaling needs two cores, and this process may use one", remedy="run it where there are more"
        )
    return sorted({*(2**power for power in range(cores.bit_length())), cores})


def slides_of_sizes(mode: Mode, slides: Sequence[Slide], sizes: Sequence[int]) -> dict[int, list[Slide]]:
    """All slides for every size; or, weak, as many slides a worker for every size, of about the same cost: the slides
    by cost are cut into groups of the largest size, and each group gives each worker one. Raises InputError."""
    largest = max(sizes)
    if len(slides) < largest:
        raise InputError(
            f"{some(len(slides), 'slide')} cannot occupy {largest} workers", remedy=f"take {largest} slides or more"
        )
    if mode == "strong":
        return {size: list(slides) for size in sizes}
    ordered = sorted(slides, key=lambda slide: slide.cost, reverse=True)
    groups = [ordered[at : at + largest] for at in range(0, len(ordered) - largest + 1, largest)]
    return {size: [slide for group in groups for slide in evenly(group, size)] for size in sizes}


def evenly(slides: Sequence[Slide], n: int) -> list[Slide]:
    """``n`` of the slides, as far from each other in their order as can be."""
    return [slides[(2 * number + 1) * len(slides) // (2 * n)] for number in range(n)]


def efficiencies(size: int, base: int, loads: Mapping[int, Load], laps: Mapping[int, Sequence[SizeLap]]) -> list[float]:
    """In each round, the work a second and core of a size over that of the base case."""
    work = loads[size].cost / loads[base].cost
    pairs = zip(laps[base], laps[size], strict=True)
    return [work * (first.clock * base) / (one.clock * size) for first, one in pairs]


def split_of(size: int, laps: Sequence[SizeLap]) -> Split:
    """Where the time of ``size`` cores went, as the mean of the rounds."""
    every = [Split(size * one.clock - one.busy - one.idle, one.busy - one.slides, one.slides, one.idle) for one in laps]
    return Split(*(sum(getattr(one, part.name) for one in every) / len(every) for part in fields(Split)))


def within_slides(laps: Sequence[SizeLap], slides: float) -> Within | None:
    """``slides`` seconds, dealt to what the threads of these laps did; None where that is not known."""
    did = asdict(sum((one.threads for one in laps), ThreadSeconds()))
    del did["wait"]
    whole = sum(did.values())
    return Within(**{name: slides * seconds / whole for name, seconds in did.items()}) if whole else None


def curve(
    plan: Plan, loads: Mapping[int, Load], laps: Mapping[int, Sequence[SizeLap]], where: Environment
) -> ScalingRecord:
    """What the laps of all sizes, in rounds, come to."""
    sizes = [_scaled(size, plan, loads, laps) for size in sorted(laps)]
    busy, caches = busy_share(plan, laps[plan.base]), CACHES[plan.by]
    return ScalingRecord(
        "scaling", 1, plan.mode, plan.by, plan.workload, plan.base, sizes, plan.rounds, caches, busy, where, plan.task
    )


def _scaled(size: int, plan: Plan, loads: Mapping[int, Load], laps: Mapping[int, Sequence[SizeLap]]) -> ScaledSize:
    load, own = loads[size], laps[size]
    split = split_of(size * plan.cores, own)
    return ScaledSize(
        size,
        load.slides,
        load.cost,
        load.tiles,
        spread([one.clock for one in own]),
        spread(efficiencies(size, plan.base, loads, laps)),
        split,
        within_slides(own, split.slides),
        _spread_of([one.queue for one in own]),
        _spread_of([one.whole for one in own]),
    )


def busy_share(plan: Plan, first: Sequence[SizeLap]) -> float | None:
    """Of the time of the base case's cores, the share in which the processor worked for it."""
    used = [one.processor for one in first]
    known = [one for one in used if one is not None]
    whole = plan.base * plan.cores * sum(one.clock for one in first)
    return sum(known) / whole if len(known) == len(used) else None


def _spread_of(seconds: Sequence[float | None]) -> Spread | None:
    known = [one for one in seconds if one is not None]
    return spread(known) if known else None
