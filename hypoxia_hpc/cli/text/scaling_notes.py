"""What bench scaling says beside its curve: the base case, what starting the command takes of it, the queue."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple

from hypoxia_hpc.bench.measuring import Spread
from hypoxia_hpc.bench.scaling_records import ScaledSize, ScalingRecord, Task
from hypoxia_hpc.cli.text.words import table
from hypoxia_hpc.errors import some

ONE_OF = {"workers": "worker", "ranks": "rank", "tasks": "array element"}
# Of the base case's time start and end of the command should take no more than this: they are the same for any number
# of slides, and no number of cores makes them shorter.
MOST_START = 0.1
# Accounting's times are off by so much, begin and end together.
CLOCK_SECONDS = 1.0


def base_text(found: ScalingRecord) -> str:
    """``1 worker``, ``1 array element of 4 cores on 1 node``."""
    base = some(found.base, ONE_OF[found.by])
    return base if found.task is None else f"{base} of {task_text(found.task)}"


def task_text(task: Task) -> str:
    """``2 ranks of 4 cores on 2 nodes``."""
    cores = some(task.cpus, "core")
    return f"{cores if task.ranks == 1 else f'{task.ranks} ranks of {cores}'} on {some(task.nodes, 'node')}"


def start_text(found: ScalingRecord) -> Iterator[str]:
    """What start and end of the command take of the base case's time, where that is more than `MOST_START`."""
    base = found.sizes[0]
    start, rest = base.split.command, sum(astuple(base.split)) - base.split.command
    share = start / (start + rest)
    if share > MOST_START:
        enough = math.ceil(base.slides * start / rest * (1 - MOST_START) / MOST_START)
        enough *= found.sizes[-1].slides // base.slides if found.mode == "weak" else 1
        whose = " without RUN, for a generated cohort," if found.workload == "run" else ""
        yield (
            f"start and end of the command take {share * 100:.0f} % of the base case's time, and more cores make them\n"
            f"no shorter: --slides {enough}{whose} would make it {MOST_START * 100:.0f} %"
        )


def queue_text(found: ScalingRecord) -> Iterator[str]:
    """Of array elements: how long the queue kept them, apart from their work, and how exact their times are."""
    rows = [_queue_row(one, one.queue, one.whole) for one in found.sizes if one.queue and one.whole]
    if not rows:
        return
    yield "\nseconds from sbatch, which efficiency leaves out: the queue of this cluster, as it was\n"
    yield table((found.by, "until the last element began", "until all had ended"), rows)
    shortest = min(one.seconds.value for one in found.sizes)
    yield (
        "\nthe time of a size is that of its longest element, from its begin to its end; accounting counts whole "
        f"seconds,\nso the shortest of them is known to {CLOCK_SECONDS / shortest * 100:.0f} %"
    )


def _queue_row(one: ScaledSize, queue: Spread, whole: Spread) -> tuple[str, ...]:
    return str(one.size), seconds_text(queue), seconds_text(whole)


def seconds_text(found: Spread) -> str:
    """``7.0 (6.9 - 7.2)``."""
    return f"{found.value:.1f} ({found.low:.1f} - {found.high:.1f})"
