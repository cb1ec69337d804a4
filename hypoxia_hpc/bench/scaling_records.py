"""How a curve of scaling is kept: a line of its own kind in the history file, without names of slides or paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import ConfigDict

from hypoxia_hpc.bench.environment import Environment
from hypoxia_hpc.bench.measuring import Spread

Mode = Literal["strong", "weak"]
By = Literal["workers", "ranks", "tasks"]
Caches = Literal["warm", "unknown"]
Workload = Literal["run", "generated"]


@dataclass(frozen=True, slots=True)
class Task:
    """One element of an array: ``nodes``, ``ranks`` on them, and ``cpus`` (cores, a worker each) of a rank."""

    nodes: int
    ranks: int
    cpus: int

    @property
    def workers(self) -> int:
        """Those of all its ranks."""
        return self.ranks * self.cpus


@dataclass(frozen=True, slots=True)
class Split:
    """Where the time of the cores went, in seconds of one core a round; the four are the whole. ``command``: before its
    workers are dealt slides and after the last one (Python, MPI, the end). ``around``: workers begin, look at keys and
    write receipts. ``slides``: from opening a slide to its committed store. ``waiting``: workers without a slide."""

    command: float
    around: float
    slides: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Within:
    """What the seconds of slides went to; these are the whole of it, and named as in ThreadSeconds. Threads of a slide
    work at the same time, so that seconds are dealt by the share of each in what the threads did. Time in which one
    waited for another is left out: that one was at something else."""

    read: float
    decode: float
    kernel: float
    encode: float
    write: float
    other: float


@dataclass(frozen=True, slots=True)
class ScaledSize:
    """One size of a curve: ``size`` workers or ranks, a core each, or array elements, on ``slides`` of ``cost``
    (expected milliseconds of one core) in all, with ``tiles``. ``seconds`` by the clock, of array elements those of the
    longest; ``efficiency`` against the base case, 1: ideal. ``within``: of ``split.slides``, None in lines of before it
    was measured. Of array elements also, in seconds from sbatch: ``queue`` until the last of them began, ``whole``
    until all had ended."""

    size: int
    slides: int
    cost: int
    tiles: int
    seconds: Spread
    efficiency: Spread
    split: Split
    within: Within | None = None
    queue: Spread | None = None
    whole: Spread | None = None


def parts_of(sizes: Sequence[ScaledSize]) -> list[dict[str, float]]:
    """Where the time of the cores of each size went, in seconds by name, in the order of a slide's way: the same names
    for all; slides as a whole where it is not known of all what is within them."""
    is_within = all(one.within for one in sizes)
    return [
        {
            "start, end": one.split.command,
            "around slides": one.split.around,
            **(asdict(one.within) if one.within and is_within else {"slides": one.split.slides}),
            "waiting": one.split.waiting,
        }
        for one in sizes
    ]


@dataclass(frozen=True, slots=True)
class ScalingRecord:
    """One curve of `tile`. ``base``: the size that the others are held against. ``busy``: the share of the base case's
    time in which the processor worked for it, a core at a time; None where accounting does not say. ``caches``: of
    array elements it is not known whether the files were in the page cache of their nodes. ``task``: the size of an
    array element."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["scaling"]
    schema: Literal[1]
    mode: Mode
    by: By
    workload: Workload
    base: int
    sizes: list[ScaledSize]
    rounds: int
    caches: Caches
    busy: float | None
    environment: Environment
    task: Task | None = None
