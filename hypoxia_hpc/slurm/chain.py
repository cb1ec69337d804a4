"""The chain of jobs that a submission sends: which stages, what waits for what, how many elements run at once. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.slurm.resources import Array, JobRequest
from hypoxia_hpc.slurm.script import sbatch_arguments


@dataclass(frozen=True, slots=True)
class Job:
    """A stage to send: what is asked for, and one array for each sbatch (None: no array). ``is_beside``: an array waits
    for the same parts of the job before it alone, not for all of that."""

    request: JobRequest
    arrays: tuple[Array | None, ...]
    is_beside: bool = False

    @property
    def calls_by_name(self) -> dict[str, Array | None]:
        """The name of each call of sbatch, and what it sends."""
        return {f"{self.request.stage}_{number}": array for number, array in enumerate(self.arrays)}

    @property
    def n_elements(self) -> int:
        """How many jobs the queue counts for it."""
        return sum(1 if array is None else len(array.indices) for array in self.arrays)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the stages, with both ends; "" for an open end. ``after``: the job that has to end well before the
    first of them begins, "" for none."""

    first: str = ""
    last: str = ""
    after: str = ""

    def of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of all stages, in their order, that it holds. Raises InputError for a name that is none of them, and
        for a last stage that comes before the first."""
        for option, name in (("--from", self.first), ("--upto", self.last)):
            if name and name not in names:
                raise InputError(f"{option} {name}: there is no such stage", remedy=f"choose one of {', '.join(names)}")
        start = names.index(self.first) if self.first else 0
        stop = names.index(self.last) + 1 if self.last else len(names)
        if start >= stop:
            raise InputError(
                f"--from {self.first} comes after --upto {self.last}", remedy=f"the order is {', '.join(names)}"
            )
        return tuple(names[start:stop])


WHOLE = Part()


@dataclass(frozen=True, slots=True)
class Call:
    """One sbatch: ``most`` of its elements run at once (None: no limit), and it begins after the calls ``before`` and
    the ``elements`` of others, by call and index."""

    name: str
    job: Job
    array: Array | None
    most: int | None
    before: tuple[str, ...]
    elements: tuple[tuple[str, int], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All calls that it waits for."""
        return (*self.before, *(name for name, _ in self.elements))


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs that a run still needs, in the order of the stages, the text of the script of them all, and what the
    user should know, a sentence each. ``submission`` names the folder of the logs, ``after`` is a job to wait for."""

    run: Path
    table: SlurmTable
    text: str
    jobs: tuple[Job, ...]
    notes: tuple[str, ...]
    submission: str
    after: str = ""

    @property
    def script(self) -> Path:
        return self.run / "slurm" / "job.sbatch"

    @property
    def logs(self) -> Path:
        return self.run / "slurm" / "logs" / self.submission

    def calls(self) -> Iterator[Call]:
        """Every sbatch, in the order in which they are sent."""
        return calls_of(self.jobs)

    def arguments(self, call: Call, ids: Mapping[str, str]) -> list[str]:
        """What follows ``sbatch``; ``ids`` are the jobs of earlier calls by their names."""
        waits = [ids[name] for name in call.before] + [f"{ids[name]}_{index}" for name, index in call.elements]
        if waits:
            return self._arguments(call, f"afterany:{':'.join(waits)}")
        return self._arguments(call, f"afterok:{self.after}" if self.after else None)

    def trial_arguments(self, job: Job) -> list[str]:
        """What follows ``sbatch`` to hear whether SLURM takes a job: nothing is sent, and it waits for nothing."""
        return ["--test-only", *self._arguments(Call("", job, job.arrays[0], None, ()), None)]

    def _arguments(self, call: Call, dependency: str | None) -> list[str]:
        return sbatch_arguments(
            call.job.request, call.array, call.most, self.run, self.submission, dependency, self.table
        )

    def commands(self) -> Iterator[str]:
        """The lines that send the jobs, as bash: each job's id in a variable of its stage's name."""
        for call in self.calls():
            words = ["sbatch", *self.arguments(call, {name: f"${{{name}}}" for name in call.names})]
            yield f"{call.name}=$({' '.join(map(_quoted, words))})"


def calls_of(jobs: Sequence[Job]) -> Iterator[Call]:
    """Every sbatch of a chain, in the order in which they are sent; the arrays of a stage that may not run side by side
    wait for each other."""
    before: tuple[str, ...] = ()
    for job, earlier in zip(jobs, (None, *jobs), strict=False):
        most = throttles(job.request.throttle, len(job.arrays))
        lanes, names = len(most), tuple(job.calls_by_name)
        for number, (name, array) in enumerate(job.calls_by_name.items()):
            own = own_elements(array, earlier) if job.is_beside else ()
            first = () if job.is_beside else before
            waits = first if number < lanes else (names[number - lanes],)
            yield Call(name, job, array, most[number % lanes], waits, own)
        before = names


def own_elements(array: Array | None, earlier: Job | None) -> tuple[tuple[str, int], ...]:
    """Those elements of an earlier job that do the same parts as this array, by call and index. A part that the earlier
    job has not is done already."""
    if array is None or earlier is None:
        return ()
    parts = {array.first + index for index in array.indices}
    return tuple(
        (name, index)
        for name, other in earlier.calls_by_name.items()
        if other is not None
        for index in other.indices
        if other.first + index in parts
    )


def throttles(throttle: int | None, n_arrays: int) -> list[int | None]:
    """How many elements of each array may run at once, for those arrays that may run side by side: ``throttle`` in all.
    A lower throttle than there are arrays leaves fewer side by side."""
    if throttle is None:
        return [None] * n_arrays
    lanes = min(throttle, n_arrays)
    return [throttle // lanes + (lane < throttle % lanes) for lane in range(lanes)]


def _quoted(word: str) -> str:
    """Of the arguments only the dependency names variables, and it holds nothing else that a shell would read."""
    return word if word.startswith("--dependency=") else shlex.quote(word)
