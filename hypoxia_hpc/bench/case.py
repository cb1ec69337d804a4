"""One row of the table of cases: work, what no implementation of it can beat, and how its answer is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hypoxia_hpc.bench.comparison import LeftOut
from hypoxia_hpc.bench.rounds import Work, do_nothing
from hypoxia_hpc.errors import NotReadyError


class WrongAnswerError(NotReadyError):
    """What is timed gives another answer than its check: its time means nothing."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A case that is ready to be timed.

    ``work`` processes ``amount`` units. ``bounds`` are what has to be done for as many units in any case, by name;
    where there are several they overlap at best, so that the slowest counts. ``peers`` do the same as ``work``, each
    with ``how`` its answer compares; ``left_out``: why other packages are not timed. ``check`` compares the answer with
    another way to get it, says how it agrees, and raises WrongAnswerError. ``tidy`` is done after each of them,
    untimed. ``on_gpu``: the work has a GPU.
    """

    amount: float
    work: Work
    bounds: Mapping[str, Work]
    check: Callable[[], str]
    peers: Mapping[str, Work] = field(default_factory=dict)
    how: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    tidy: Work = do_nothing
    on_gpu: bool = False


class Place(NamedTuple):
    """Where a case works: in ``scratch``, which is deleted; ``slides`` keeps what takes long to make."""

    scratch: Path
    slides: Path


@dataclass(frozen=True, slots=True)
class Case:
    """``name`` is given to ``--only``. ``unit`` is what is counted, ``bound`` says against what. ``prepare`` makes it
    ready, in a place. ``all_cores``: it may use all of them; else it stays on one.
    ``is_quick``: done without being asked for by name. ``is_steady``: its share of the bound depends on the code and
    not on the disk, so that the developers' comparison holds it. ``missing`` says what it needs that is not here."""

    name: str
    topic: str
    summary: str
    unit: str
    bound: str
    prepare: Callable[[Place], AbstractContextManager[Prepared]]
    all_cores: bool = False
    is_quick: bool = True
    is_steady: bool = False
    missing: Callable[[], str] = lambda: ""


def require(agrees: bool, problem: str) -> None:
    """Raises WrongAnswerError with the problem, unless it agrees."""
    if not agrees:
        raise WrongAnswerError(problem, remedy="its speed means nothing; report this as a bug, with the machine")
