"""The exceptions. Each carries its exit code, and says value, rule, remedy and all offending items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

# Of the items that a message names. All of them are in `offending`; a command writes those of a longer list to a file.
MOST_SHOWN = 20


class HypoxiaError(Exception):
    """Something the user can mend.

    ``problem`` names the value and the rule it breaks, ``remedy`` what to do about it, ``offending`` every one of
    the slides, patients, files or keys concerned.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, remedy: str = "", offending: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.offending = tuple(offending)

    @property
    def has_more(self) -> bool:
        """Whether the message does not name all offending items."""
        return len(self.offending) > MOST_SHOWN

    def __str__(self) -> str:
        lines = [self.problem, *(f"  - {item}" for item in self.offending[:MOST_SHOWN])]
        if self.has_more:
            lines.append(f"  - and {len(self.offending) - MOST_SHOWN:,} more")
        if self.remedy:
            lines.append(f"remedy: {self.remedy}")
        return "\n".join(lines)


class InputError(HypoxiaError):
    """Bad usage, configuration or input table."""

    exit_code = 2


class MachineError(HypoxiaError):
    """Cannot go on here: disk, permission, image, device."""

    exit_code = 4


class NotReadyError(HypoxiaError):
    """An earlier stage is incomplete, or a check found something unsound."""

    exit_code = 5


def some(n: int, noun: str) -> str:
    """``1 slide``, ``1,300 slides``, ``2 entries``."""
    if n == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{n:,} {plural}"


def some_names(names: Sequence[str]) -> str:
    """The first `MOST_SHOWN` of them, and how many more there are."""
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def damaged_stores(kind: str, damaged: Sequence[str], remedy: str) -> NotReadyError:
    """The error for all stores of a kind ("feature", "tile") that are damaged, each with a sentence of its own."""
    stores_are = "store is" if len(damaged) == 1 else "stores are"
    return NotReadyError(f"{len(damaged)} {kind} {stores_are} damaged", offending=damaged, remedy=remedy)


class Stopped(HypoxiaError):  # noqa: N818 - a stop on request is no error
    """Stopped by a signal or a time limit; run the same command again to go on."""

    exit_code = 75


class SlideError(HypoxiaError):
    """One slide cannot be processed; it is quarantined with this reason and the run goes on.

    ``reason`` is a short word for tables (``no-mpp``), ``problem`` the sentence with the values. Where it meets a stage
    that sees the whole cohort, a store is not sound: exit code 5.
    """

    exit_code = 5

    def __init__(self, reason: str, problem: str, *, remedy: str = "") -> None:
        super().__init__(problem, remedy=remedy)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_slide_error, (type(self), self.reason, self.problem, self.remedy)


def missing_file(path: Path) -> SlideError:
    """The error for a slide whose file is not where slides.csv says."""
    remedy = "bring it back, or mend slides.csv; after a move of many: hypoxia-hpc init RUN --slides DIR --update"
    return SlideError("missing-file", f"{path} does not exist", remedy=remedy)


def _rebuild_slide_error(kind: type[SlideError], reason: str, problem: str, remedy: str) -> SlideError:
    return kind(reason, problem, remedy=remedy)
