"""cancel: the jobs of one run leave the queue, and no others."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.queue import sent_jobs

# Array job and folder: the last may hold anything.
WHERE_FORMAT = "%F|%Z"


@dataclass(frozen=True, slots=True)
class Found:
    """Ids of jobs in the queue, those sent last first: of this run, and others of the same number that are not."""

    own: tuple[str, ...]
    others: tuple[str, ...]


def cancel_jobs(run: RunDir) -> Found:
    """Cancel what is in the queue of a run. Raises MachineError where SLURM does not answer."""
    ids = list(dict.fromkeys(one.job_id for one in sent_jobs(run)))
    if not ids:
        return Found((), ())
    listed, why = query_program("squeue", "--noheader", f"--jobs={','.join(ids)}", f"--format={WHERE_FORMAT}")
    if listed is None and "Invalid job id" not in why:
        raise MachineError(f"it is not known what is in the queue: {why}", remedy="try again later")
    found = of_this_run(listed or "", ids, run.root)
    if found.own:
        _, why = query_program("scancel", *found.own)
        if why:
            raise MachineError(f"jobs could not be cancelled: {why}", remedy=f"scancel {' '.join(found.own)}")
    return found


def of_this_run(listed: str, ids: Collection[str], root: Path) -> Found:
    """Which of the jobs in ``squeue``'s lines of `WHERE_FORMAT` work in this run directory. A run that was copied, or
    comes from another cluster, has records of jobs that are not its own."""
    rows = [line.strip().partition("|")[::2] for line in listed.splitlines()]
    here = os.path.realpath(root)
    folders = {job: folder for job, folder in rows if job in ids}
    own = {job for job, folder in folders.items() if os.path.realpath(folder) == here}
    newest_first = sorted(folders, key=int, reverse=True)
    return Found(tuple(job for job in newest_first if job in own), tuple(job for job in newest_first if job not in own))
