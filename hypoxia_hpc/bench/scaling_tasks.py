"""Scaling over array elements, without running anything: what [site.slurm] says of them, and what a lap of them is.

The time of a lap is that of its longest element, from its begin to its end: all elements could begin at once, and how
long the queue keeps them is another question. Accounting counts whole seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypoxia_hpc.bench.scaling import SizeLap
from hypoxia_hpc.bench.scaling_records import Task
from hypoxia_hpc.config import RunConfig, SlurmTable
from hypoxia_hpc.errors import InputError, NotReadyError, some
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.runs.device_time import threads_of
from hypoxia_hpc.slurm.queue import Ended
from hypoxia_hpc.slurm.resources import table_of
from hypoxia_hpc.slurm.starts import Start
from hypoxia_hpc.stages.tile import STAGE
from hypoxia_hpc.workers.heartbeat import Heartbeat

# As [site.slurm.tile] hours: so few that submit cuts the slides into as many parts as it may.
LEAST_HOURS = 1e-6


def sizes_to(n: int) -> list[int]:
    """1, 2, 4 … and ``n``."""
    return sorted({*(2**power for power in range(n.bit_length())), n})


def task_of(table: SlurmTable) -> Task:
    """What [site.slurm] asks for of an element of tile."""
    own = table_of(STAGE, table)
    return Task(own.nodes, own.ranks, own.cpus)


def refuse_too_many(n: int, table: SlurmTable) -> None:
    """Raises InputError where [site.slurm] does not let ``n`` elements run at once."""
    own = table_of(STAGE, table)
    limits = {"most_elements": own.most_elements, "throttle": own.throttle}
    if low := [f"{name} = {most}" for name, most in limits.items() if most is not None and most < n]:
        raise InputError(
            f"--tasks {n}: [site.slurm] lets fewer elements of {STAGE} run at once",
            offending=low,
            remedy="ask for fewer, or raise these entries in run.toml or the site file",
        )


def refuse_too_few(n_slides: int, size: int, task: Task) -> None:
    """Raises InputError where not every worker of ``size`` elements has a slide."""
    if n_slides < size * task.workers:
        raise InputError(
            f"{some(n_slides, 'slide')} cannot occupy {some(size, 'element')} of {some(task.workers, 'worker')} each",
            remedy=f"take {size * task.workers} slides or more, or ask for fewer --tasks",
        )


def config_of_tasks(config: RunConfig, size: int) -> RunConfig:
    """The run.toml with which submit sends ``size`` elements of tile."""
    table = config.site.slurm
    tile = table.tile.model_copy(update={"most_elements": size, "hours": LEAST_HOURS})
    site = config.site.model_copy(update={"slurm": table.model_copy(update={"tile": tile})})
    return config.model_copy(update={"site": site})


def requeued(starts: Sequence[Start]) -> list[str]:
    """The elements that began more than once."""
    jobs = [one.job for one in starts]
    return sorted({job for job in jobs if jobs.count(job) > 1})


def lap_of_tasks(
    task: Task,
    starts: Sequence[Start],
    ended: Sequence[Ended],
    heartbeats: Sequence[Heartbeat],
    receipts: Mapping[str, Receipt],
) -> SizeLap:
    """A lap from what is known of its elements, each of which began once. What an element had left to the end of the
    longest counts as idle. Raises NotReadyError where accounting, which counts whole seconds, has counted none."""
    times = [one.usage.seconds for one in ended]
    longest = max(times)
    if not longest:
        raise NotReadyError(
            "every element ended within a second, and accounting counts whole seconds",
            remedy="measure with a workload of more slides",
        )
    rest = task.workers * sum(longest - seconds for seconds in times)
    used = [one.usage.cpu_seconds for one in ended]
    sent = min(one.sent for one in starts)
    return SizeLap(
        clock=longest,
        processor=None if None in used else sum(filter(None, used)),
        busy=sum(sum(one.busy_seconds) for one in heartbeats),
        idle=sum(sum(one.idle_seconds) for one in heartbeats) + rest,
        slides=sum(one.seconds for one in receipts.values()),
        threads=threads_of(receipts.values()),
        queue=max(one.began for one in starts) - sent,
        whole=max(one.ended for one in starts) - sent,
    )
