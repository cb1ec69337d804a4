"""Has the queue room for a chain? Limits on jobs that an account or a quality of service lets a user have at once."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.slurm.associations import Association, query_associations
from hypoxia_hpc.slurm.chain import Job
from hypoxia_hpc.slurm.resources import table_of

QOS_FIELDS = "Name,MaxSubmitPU"
# Every element of an array is a line.
QUEUE_FORMAT = "%a|%q"


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What was answered: the user's accounts, the default one, ``sacctmgr show qos`` with `QOS_FIELDS`, ``squeue`` of
    the user's jobs in `QUEUE_FORMAT`; empty without an answer. And the account and quality of service that sbatch takes
    from the environment."""

    associations: tuple[Association, ...] = ()
    default_account: str = ""
    qos: str = ""
    queue: str = ""
    account: str = ""
    quality: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """``most`` jobs at once, of which ``used`` are in the queue; ``jobs`` of the chain come under it."""

    name: str
    most: int
    used: int
    jobs: tuple[Job, ...]

    @property
    def needed(self) -> int:
        return sum(job.n_elements for job in self.jobs)

    @property
    def elements_that_fit(self) -> int:
        """How many elements each array stage may have so that all fits; 0 where that does not help."""
        arrays = [job for job in self.jobs if job.request.elements is not None]
        rest = self.most - self.used - (len(self.jobs) - len(arrays))
        return max(0, rest // len(arrays)) if arrays else 0


def query_queue() -> QueueFacts:
    """Ask SLURM, where it enforces limits; nothing is known where it does not answer."""
    config, _ = query_program("scontrol", "show", "config")
    enforced = re.search(r"^AccountingStorageEnforce\s*=\s*(\S+)", config or "", re.MULTILINE)
    if enforced is None or not {"limits", "safe"} & set(enforced[1].lower().split(",")):
        return QueueFacts()
    user = getpass.getuser()
    shown = ("sacctmgr", "--noheader", "--parsable2", "show")
    account, _ = query_program(*shown, "user", user, "format=DefaultAccount")
    qos, _ = query_program(*shown, "qos", f"format={QOS_FIELDS}")
    queue, _ = query_program("squeue", "--noheader", "--array", f"--user={user}", f"--format={QUEUE_FORMAT}")
    asked = (os.environ.get(name, "") for name in ("SBATCH_ACCOUNT", "SBATCH_QOS"))
    return QueueFacts(query_associations(), (account or "").strip(), qos or "", queue or "", *asked)


def limits_on(jobs: Sequence[Job], facts: QueueFacts, table: SlurmTable) -> Iterator[Limit]:
    """Every limit that these jobs come under."""
    queue = [row for row in _rows(facts.queue) if len(row) == 2]
    most_of_qos = {row[0]: int(row[1]) for row in _rows(facts.qos) if len(row) == 2 and row[1].isdecimal()}
    by_account: dict[str, list[Job]] = {}
    by_qos: dict[str, list[Job]] = {}
    for job in jobs:
        own = table_of(job.request.stage, table)
        account = own.account or facts.account or facts.default_account
        by_account.setdefault(account, []).append(job)
        default = next(
            (one.default_qos or "".join(one.qos[:1]) for one in facts.associations if one.account == account), ""
        )
        by_qos.setdefault(own.qos or facts.quality or default, []).append(job)
    for account, its_jobs in by_account.items():
        found = [one.most_jobs for one in facts.associations if one.account == account]
        used = sum(row[0] == account for row in queue)
        yield from (Limit(f"account {account}", most, used, tuple(its_jobs)) for most in found if most is not None)
    for qos, its_jobs in by_qos.items():
        if qos in most_of_qos:
            yield Limit(f"qos {qos}", most_of_qos[qos], sum(row[1] == qos for row in queue), tuple(its_jobs))


def _rows(text: str) -> list[list[str]]:
    return [line.strip().split("|") for line in text.splitlines()]


def refuse_without_room(jobs: Sequence[Job], facts: QueueFacts, table: SlurmTable) -> None:
    """Raises InputError where not all of these jobs can be in the queue at once."""
    over = [one for one in limits_on(jobs, facts, table) if one.used + one.needed > one.most]
    if over:
        fewest = min(one.elements_that_fit for one in over)
        fewer = f"set [site.slurm] most_elements = {fewest}, or " if fewest else ""
        raise InputError(
            "the queue has no room for the whole chain, in which each element of an array is a job",
            offending=[
                f"{one.name}: {some(one.most, 'job')} at once, {one.used} there, {one.needed} more needed"
                for one in over
            ],
            remedy=f"{fewer}send a part (--upto STAGE), or wait until jobs of yours have ended",
        )
