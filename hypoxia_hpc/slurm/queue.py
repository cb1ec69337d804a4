"""What SLURM says of the jobs of a run: ``squeue`` of those that wait and run, ``sacct`` of those that have ended.

Both are asked with fixed fields, for a few seconds, and may not be there: then a sentence stands for the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.reading import listed, read_counts
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.logs import is_submission
from hypoxia_hpc.slurm.usage import USAGE_FIELDS, Usage, usage_of

# Array job, index ("N/A" without an array), job, state, nodes, reason: the last may hold anything.
SQUEUE_FORMAT = "%F|%K|%A|%T|%N|%r"
SACCT_FIELDS = ("JobID", "State", "ExitCode", "Elapsed", "NodeList", *USAGE_FIELDS)
# What a job says while it holds no place on a node but will.
_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
_UNENDED = frozenset({"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED", "CONFIGURING", "COMPLETING"})
NEVER_STARTED, COMPLETED = "CANCELLED before it started", "COMPLETED"
MOST_ASKED = 10**9  # MB or minutes: what is beyond is no record of ours
_JOB_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_JOB = re.compile(r"[0-9]{1,18}(_[0-9]{1,9})?", re.ASCII)
_TOGETHER = re.compile(
    r"([0-9]{1,18})_\[([0-9]{1,7}(?:-[0-9]{1,7})?(?:,[0-9]{1,7}(?:-[0-9]{1,7})?)*)(?:%[0-9]+)?\]", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One submission, as a file in RUN/slurm/jobs has it: ``elements`` are the parts that it does of ``of``, None for a
    job that is no array; the array's ``index`` does part ``first + index``. ``logs`` is the folder of its logs in
    RUN/slurm/logs, "" for that itself. ``memory_mb`` of a node and ``minutes`` are what was asked for; 0: not known."""

    stage: str
    job_id: str
    elements: tuple[int, ...] | None
    of: int = 1
    first: int = 0
    logs: str = ""
    memory_mb: int = 0
    minutes: int = 0

    def jobs(self) -> dict[str, int | None]:
        """Every job of it by name, and its part."""
        if self.elements is None:
            return {self.job_id: None}
        return {f"{self.job_id}_{part - self.first}": part for part in self.elements}


@dataclass(frozen=True, slots=True)
class Queued:
    """A job or array element in the queue. ``job`` is its name as tasks know it: ``123_4``, or ``123``."""

    job: str
    state: str
    reason: str
    node: str

    @property
    def phase(self) -> Literal["running", "pending", "held"]:
        """A held job starts only after a person releases it."""
        if self.state not in _WAITING:
            return "running"
        return "held" if "held" in self.reason.lower() or self.reason == "JobHoldMaxRequeue" else "pending"


@dataclass(frozen=True, slots=True)
class Ended:
    """The last attempt of a job or array element that is over: SLURM's state, exit code and signal as ``4:0``, what it
    had and used, and its node or nodes, as ``n[1-2]``."""

    job: str
    state: str
    exit_code: str = ""
    elapsed: str = ""
    usage: Usage = field(default_factory=Usage)
    node: str = ""


@dataclass(frozen=True, slots=True)
class Accounted:
    """What accounting knows of jobs: how those ended that did, and those that wait or run as far as it has heard."""

    ended: tuple[Ended, ...]
    living: tuple[Queued, ...]


@dataclass(frozen=True, slots=True)
class FailedJob:
    """What was sent for a stage and did not complete: ``part`` of ``of``, None for a job that is no array. ``logs`` as
    of `Sent`."""

    stage: str
    part: int | None
    of: int
    how: Ended
    logs: str = ""


def sent_jobs(run: RunDir) -> list[Sent]:
    """What was submitted for a run, oldest first; files that describe no job are left out. Raises OSError for what may
    not be read."""
    entries = [_entry(file) for file in listed(run.root / "slurm" / "jobs") if file.suffix == ".json"]
    dated = [(str(entry.get("submitted")), one) for entry in entries if (one := _sent(entry)) is not None]
    return [one for _, one in sorted(dated, key=lambda pair: (pair[0], int(pair[1].job_id)))]


def earlier_count(run: RunDir, stage: str) -> int | None:
    """Into how many parts the last submission cut the slides: elements go on meaning the same slides."""
    counts = [one.of for one in sent_jobs(run) if one.stage == stage and 0 < one.of <= 999_999]
    return counts[-1] if counts else None


def _entry(file: Path) -> Json:
    try:
        entry = read_counts(file)
    except (FileNotFoundError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _sent(entry: Json) -> Sent | None:
    stage, job_id, elements = entry.get("stage"), entry.get("job_id"), entry.get("elements")
    if not isinstance(stage, str) or not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        return None
    logs = str(entry["logs"]) if is_submission(entry.get("logs")) else ""
    memory_mb, minutes = (_count(entry.get(name)) for name in ("memory_mb", "minutes"))
    if elements is None:
        return Sent(stage, job_id, None, logs=logs, memory_mb=memory_mb, minutes=minutes)
    of, first = entry.get("of", 0), entry.get("first", 0)
    sound = isinstance(elements, list) and all(type(one) is int for one in (of, first, *elements))
    return Sent(stage, job_id, tuple(elements), of, first, logs, memory_mb, minutes) if sound else None


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MOST_ASKED else 0


def query_squeue(job_ids: Sequence[str]) -> tuple[list[Queued] | None, str]:
    """The jobs of these ids that are in the queue, each array element by itself; None where not known, and why."""
    answer, why = query_program(
        "squeue", "--noheader", "--array", f"--jobs={','.join(job_ids)}", f"--format={SQUEUE_FORMAT}"
    )
    if answer is None and "Invalid job id" in why:
        return [], ""  # the controller has forgotten them all
    return (None, why) if answer is None else (parse_squeue(answer), "")


def query_sacct(job_ids: Sequence[str]) -> tuple[Accounted | None, str]:
    """What accounting knows of the jobs of these ids; None where not known, and why."""
    answer, why = query_program(
        "sacct", "--noheader", "--parsable2", f"--jobs={','.join(job_ids)}", f"--format={','.join(SACCT_FIELDS)}"
    )
    return (None, why) if answer is None else (parse_accounted(answer), "")


def parse_accounted(text: str) -> Accounted:
    """``sacct``'s lines of `SACCT_FIELDS`; others are left out."""
    return Accounted(tuple(parse_sacct(text)), tuple(parse_living(text)))


def parse_squeue(text: str) -> list[Queued]:
    """The lines of ``squeue`` in `SQUEUE_FORMAT`; others are left out."""
    rows = [line.strip().split("|", 5) for line in text.splitlines()]
    return [
        Queued(f"{array}_{index}" if index.isdigit() else job, state, "" if reason == "None" else reason, node)
        for array, index, job, state, node, reason in (row for row in rows if len(row) == 6)
    ]


def parse_living(text: str) -> list[Queued]:
    """The jobs in ``sacct``'s lines of `SACCT_FIELDS` that are not over."""
    return [
        Queued(job, row["State"], "", _on(row["NodeList"]))
        for row in _sacct_rows(text)
        if row["State"] in _UNENDED
        for job in _jobs_of(row["JobID"])
    ]


def _sacct_rows(text: str) -> list[dict[str, str]]:
    rows = (line.strip().split("|") for line in text.splitlines())
    return [dict(zip(SACCT_FIELDS, row, strict=True)) for row in rows if len(row) == len(SACCT_FIELDS)]


def parse_sacct(text: str) -> list[Ended]:
    """The jobs in ``sacct``'s lines of `SACCT_FIELDS` that are over; the lines of a job's steps know what it used."""
    rows = _sacct_rows(text)
    steps: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        job, dot, _ = row["JobID"].partition(".")
        steps.setdefault(job, []).extend([row] if dot else [])
    return [
        Ended(job, state, row["ExitCode"], row["Elapsed"], usage_of(row, steps[row["JobID"]]), _on(row["NodeList"]))
        for row in rows
        if (state := row["State"].partition(" ")[0]) not in _UNENDED  # "CANCELLED by 1000"
        for job in _jobs_of(row["JobID"])
    ]


def _jobs_of(name: str) -> list[str]:
    """The jobs that a line of sacct is about: elements that never started stand together, as ``7_[2-9,12%4]``; a step,
    as ``7.batch``, is none."""
    if _JOB.fullmatch(name):
        return [name]
    match = _TOGETHER.fullmatch(name)
    if match is None:
        return []
    spans = [span.partition("-") for span in match[2].split(",")]
    return [f"{match[1]}_{index}" for low, _, high in spans for index in range(int(low), int(high or low) + 1)]


def _on(nodes: str) -> str:
    return "" if nodes == "None assigned" else nodes


def failed_ones(ended: Iterable[Ended], queued: Iterable[Queued] | None, sent: Sequence[Sent]) -> list[FailedJob]:
    """What did not complete, is not in the queue (again), and was not sent again since. An element that was cancelled
    before it started leaves no trace in either: it is said to have been, unless it is not known what is in the queue
    (``queued`` None)."""
    over, waiting = {one.job: one for one in ended}, {one.job for one in queued or ()}
    traceless = NEVER_STARTED if queued is not None else COMPLETED
    failed = [
        FailedJob(stage, part, one.of, over.get(job, Ended(job, traceless)), one.logs)
        for (stage, part), (job, one) in _latest(sent).items()
        if job not in waiting
    ]
    return [one for one in failed if one.how.state != COMPLETED]


def n_unknown(accounted: Accounted, sent: Sequence[Sent]) -> int:
    """How many jobs and elements accounting has not heard of; each as it was sent last."""
    known = {one.job for one in accounted.ended} | {one.job for one in accounted.living}
    return sum(job not in known for job, _ in _latest(sent).values())


def _latest(sent: Sequence[Sent]) -> dict[tuple[str, int | None], tuple[str, Sent]]:
    """The job that does a part of a stage, by both: the one that was sent last."""
    return {(one.stage, part): (job, one) for one in sent for job, part in one.jobs().items()}
