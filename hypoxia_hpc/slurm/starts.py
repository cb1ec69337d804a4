"""When jobs and array elements were sent, began and ended, as accounting has it: in whole seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from hypoxia_hpc.machine.programs import query_program

START_FIELDS = ("JobID", "Submit", "Start", "End")


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a job or array element that has ended: seconds since 1970 at which it was sent, began, ended."""

    job: str
    sent: float
    began: float
    ended: float


def query_starts(job_ids: Sequence[str]) -> tuple[tuple[Start, ...] | None, str]:
    """Every start of the jobs of these ids that is over, also of those that were requeued; None where it is not known,
    and why."""
    answer, why = query_program(
        *("sacct", "--noheader", "--parsable2", "--allocations", "--duplicates"),
        *(f"--jobs={','.join(job_ids)}", f"--format={','.join(START_FIELDS)}"),
    )
    return (None, why) if answer is None else (tuple(parse_starts(answer)), "")


def parse_starts(text: str) -> Iterator[Start]:
    """``sacct``'s lines of `START_FIELDS`; left out: those of what has not begun, or not ended, and others."""
    for line in text.splitlines():
        row = line.strip().split("|")
        if len(row) == len(START_FIELDS) and all(one[:1].isdecimal() for one in row[1:]):
            yield Start(row[0], *(datetime.fromisoformat(one).timestamp() for one in row[1:]))
