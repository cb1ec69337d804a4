"""What the jobs of a run that failed teach its next submission: more memory, more time, other nodes. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypoxia_hpc.slurm.queue import COMPLETED, Ended, FailedJob, Sent
from hypoxia_hpc.slurm.resources import JobRequest

# Of what the job had that failed. Twice the time: a job stops by itself before its limit, so that one which is ended at
# it was far too slow to do so.
MORE_MEMORY, MORE_TIME = 1.5, 2.0
# Times what would be asked for otherwise: who needs more has another fault.
MOST_MEMORY = 8.0
# A node is passed over after this number of failures on it, where jobs of the run have ended well on another.
FAILURES_OF_NODE = 2
# Exit codes that tell of the machine: it does not serve, the program or the image cannot be started.
OF_MACHINE = frozenset({"4", "126", "127", "255"})


def learned(
    request: JobRequest, failed: Sequence[FailedJob], ended: Sequence[Ended], sent: Sequence[Sent]
) -> tuple[JobRequest, tuple[str, ...]]:
    """What to ask for after what has happened, and a sentence for each change. ``failed`` are those that were not sent
    again since, ``ended`` the last attempts of all jobs of the run, as accounting has them."""
    mine = [one for one in failed if one.stage == request.stage]
    asked = {one.job_id: one for one in sent}
    memory = _most(mine, "OUT_OF_MEMORY", {job: one.memory_mb for job, one in asked.items()})
    minutes = _most(mine, "TIMEOUT", {job: one.minutes for job, one in asked.items()})
    most_memory = math.ceil(MOST_MEMORY * request.memory_mb)
    changed = replace(
        request,
        memory_mb=max(request.memory_mb, min(most_memory, math.ceil(MORE_MEMORY * memory))),
        minutes=max(request.minutes, math.ceil(MORE_TIME * minutes)),
        exclude=bad_nodes(ended),
    )
    return changed, tuple(_sentences(request, changed, memory, minutes))


def _most(failed: Sequence[FailedJob], state: str, asked: dict[str, int]) -> int:
    """The most that any job which ended in this state had been given; 0 where there is none."""
    return max((asked[one.how.job.partition("_")[0]] for one in failed if one.how.state == state), default=0)


def bad_nodes(ended: Sequence[Ended]) -> tuple[str, ...]:
    """Nodes on which jobs failed for no fault of their own, again and again, while others served."""
    failures = Counter(one.node for one in ended if _is_of_machine(one))
    well = {one.node for one in ended if one.state == COMPLETED}
    bad = sorted(node for node, n in failures.items() if n >= FAILURES_OF_NODE and _is_one(node))
    return tuple(bad) if well - set(bad) else ()


def _is_of_machine(one: Ended) -> bool:
    return one.state == "NODE_FAIL" or (one.state == "FAILED" and one.exit_code.partition(":")[0] in OF_MACHINE)


def _is_one(node: str) -> bool:
    """A name of one node; SLURM writes several as ``n[1-2]`` or ``n1,n2``."""
    return bool(node) and not set(node) & set("[,")


def _sentences(before: JobRequest, after: JobRequest, memory: int, minutes: int) -> Iterator[str]:
    if after.memory_mb > before.memory_mb and after.memory != "none":
        is_most = after.memory_mb < MORE_MEMORY * memory
        yield (
            f"{after.stage} ran out of memory with {memory / 1000:g} GB a node: {after.memory_mb / 1000:g} GB are "
            f"asked for{', and never more ([site.slurm] memory_gb sets it)' if is_most else ''}"
        )
    if after.minutes > before.minutes:
        yield f"{after.stage} was ended at its limit of {minutes} min: {after.minutes} are asked for"
    if after.exclude:
        yield (
            f"{after.stage} passes over {', '.join(after.exclude)}, where jobs of this run failed "
            f"{FAILURES_OF_NODE} times or more; others served"
        )
