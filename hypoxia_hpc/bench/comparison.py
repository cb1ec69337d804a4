"""Other packages beside a case: which of them may be timed, and why the others are not. A package that fails is named
with its error, and the case goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hypoxia_hpc.bench.rounds import Work

# What ends a command. All else that another package raises is its own failure, also what is no Exception, as PyO3's
# panics are not.
ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Answer(NamedTuple):
    """``how`` a package's answer compares, and whether it is the same, so that its time counts."""

    is_same: bool
    how: str


class LeftOut(NamedTuple):
    """``why`` a package is not timed. ``detail`` is its own message, which may name files and stays out of
    records."""

    why: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.why}: {self.detail}" if self.detail else self.why


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that does the ``work`` of a case; ``missing``: what to install, if it is not; ``answer`` compares what
    it gives."""

    name: str
    missing: str
    answer: Callable[[], Answer]
    work: Work


class Compared(NamedTuple):
    """``works`` of those that give the same answer, by name, and ``how``; those that are ``left_out``."""

    works: Mapping[str, Work]
    how: Mapping[str, str]
    left_out: Mapping[str, LeftOut]


def compared(candidates: Iterable[Candidate]) -> Compared:
    """Ask each package for its answer."""
    works: dict[str, Work] = {}
    how: dict[str, str] = {}
    left_out: dict[str, LeftOut] = {}
    for one in candidates:
        found = _answer_of(one)
        if isinstance(found, LeftOut):
            left_out[one.name] = found
        else:
            works[one.name], how[one.name] = one.work, found.how
    return Compared(works, how, left_out)


def _answer_of(one: Candidate) -> Answer | LeftOut:
    if one.missing:
        return LeftOut(one.missing)
    try:
        found = one.answer()
    except BaseException as error:  # noqa: BLE001 - whatever another package raises
        return failure(error)
    return found if found.is_same else LeftOut(f"its answer differs: {found.how}")


def failure(error: BaseException) -> LeftOut:
    """Why a package is left out that raised this. Raises the error itself where it ends the command."""
    if isinstance(error, ENDS):
        raise error
    return LeftOut(f"failed with {type(error).__name__}", str(error).strip().partition("\n")[0])


class Guarded:
    """A package's work. After its first error, kept in ``left_out``, it does nothing more."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.left_out: LeftOut | None = None

    def __call__(self) -> None:
        if self.left_out is None:
            try:
                self.work()
            except BaseException as error:  # noqa: BLE001 - whatever another package raises
                self.left_out = failure(error)
