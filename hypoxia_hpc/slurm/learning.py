"""What the jobs of a run teach its next submission. Those that failed: more memory, more time, other nodes. Those that
ended well: memory as it was used, and what they left idle. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypoxia_hpc.slurm.queue import COMPLETED, Ended, FailedJob, Sent
from hypoxia_hpc.slurm.resources import JobRequest
from hypoxia_hpc.slurm.spent import spent_by_stage

# Of what the job had that failed. Twice the time: a job stops by itself before its limit, so that one which is ended at
# it was far too slow to do so.
MORE_MEMORY, MORE_TIME = 1.5, 2.0
# Times what would be asked for otherwise: who needs more has another fault.
MOST_MEMORY = 8.0
# Of what jobs that ended well have used: accounting looks only now and then, and misses the highest.
MEMORY_ROOM = 1.5
# Who came as close to what it had is given more. With fewer jobs than these, or for less of a gain, nothing is taken
# away, and never more than half: slides differ.
NEAR, LEAST_JOBS, LEAST_LEFT = 0.9, 3, 0.5
# Below these shares, in jobs of an hour together, a sentence says what lay idle.
IDLE_CORES, IDLE_GPU, LEAST_SECONDS = 0.5, 0.3, 3600
# A node is passed over after this number of failures on it, where jobs of the run have ended well on another.
FAILURES_OF_NODE = 2
# Exit codes that tell of the machine: it does not serve, the program or the image cannot be started.
OF_MACHINE = frozenset({"4", "126", "127", "255"})


def learned(
    request: JobRequest, failed: Sequence[FailedJob], ended: Sequence[Ended], sent: Sequence[Sent]
) -> tuple[JobRequest, tuple[str, ...]]:
    """What to ask for after what has happened, and a sentence for each change. ``failed`` are those that were not sent
    again since, ``ended`` the last attempts of all jobs of the run, as accounting has them."""
    usual, fitted = request, _fitted(request, ended, sent)
    request, said = (request, ()) if fitted is None else fitted
    mine = [one for one in failed if one.stage == request.stage]
    asked = {one.job_id: one for one in sent}
    memory = _most(mine, "OUT_OF_MEMORY", {job: one.memory_mb for job, one in asked.items()})
    minutes = _most(mine, "TIMEOUT", {job: one.minutes for job, one in asked.items()})
    most_memory = math.ceil(MOST_MEMORY * usual.memory_mb)
    changed = replace(
        request,
        memory_mb=max(request.memory_mb, min(most_memory, math.ceil(MORE_MEMORY * memory))),
        minutes=max(request.minutes, math.ceil(MORE_TIME * minutes)),
        exclude=bad_nodes(ended),
    )
    return changed, (*said, *_sentences(request, changed, memory, minutes), *_idle(request, ended, sent))


def _fitted(
    request: JobRequest, ended: Sequence[Ended], sent: Sequence[Sent]
) -> tuple[JobRequest, tuple[str, ...]] | None:
    """Memory as jobs of the stage have used it; None where they say nothing, where one of them ever ran out of it, or
    where [site.slurm] says how much. Only jobs with as many cores count: memory goes by them."""
    mine = [one for one in _of_stage(request.stage, ended, sent) if one.usage.cpus >= request.cpus * request.ranks]
    used = [one.usage for one in mine if one.state == COMPLETED and one.usage.memory]
    if (
        not used
        or request.is_memory_given
        or request.memory == "none"
        or any(one.state == "OUT_OF_MEMORY" for one in mine)
    ):
        return None
    most = max(used, key=lambda one: one.memory or 0)
    memory_mb = math.ceil(MEMORY_ROOM * (most.memory or 0) / 1e6)
    is_near = (most.memory or 0) > NEAR * most.memory_asked > 0 and memory_mb > request.memory_mb
    least = math.ceil(LEAST_LEFT * request.memory_mb)
    if not is_near and (request.elements is None or len(used) < LEAST_JOBS or memory_mb >= request.memory_mb):
        return None
    fitted = replace(request, memory_mb=max(memory_mb, least))
    return fitted, (
        f"{request.stage} has used at most {(most.memory or 0) / 1e9:.2g} GB of a node: {fitted.memory_mb / 1000:g} GB "
        f"are asked for, not {request.memory_mb / 1000:g} ([site.slurm] memory_gb sets it)",
    )


def _of_stage(stage: str, ended: Sequence[Ended], sent: Sequence[Sent]) -> list[Ended]:
    jobs = {job for one in sent if one.stage == stage for job in one.jobs()}
    return [one for one in ended if one.job in jobs]


def _idle(request: JobRequest, ended: Sequence[Ended], sent: Sequence[Sent]) -> Iterator[str]:
    """What the jobs of a stage left idle, and which entry asks for less."""
    entry = f"[site.slurm.{request.stage}]"
    for one in spent_by_stage([one for one in sent if one.stage == request.stage], ended, {}):
        cores, gpu = one.cpu_share, one.gpu_share
        if cores is not None and cores < IDLE_CORES and not one.gpu_seconds and one.core_seconds >= LEAST_SECONDS:
            yield f"{request.stage} kept {cores:.0%} of its cores busy: fewer {entry} cpus may serve as well"
        if gpu is not None and gpu < IDLE_GPU and one.gpu_seconds >= LEAST_SECONDS:
            yield (
                f"{request.stage} kept at most {gpu:.0%} of its GPU busy: a smaller one ({entry} gres) may serve as "
                "well, or a larger [extract] batch_size"
            )


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
