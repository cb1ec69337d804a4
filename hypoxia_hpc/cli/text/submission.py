"""What ``submit`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import duration, ranges, table
from hypoxia_hpc.errors import some
from hypoxia_hpc.slurm.resources import table_of

if TYPE_CHECKING:
    from hypoxia_hpc.monitoring.status import StageStatus
    from hypoxia_hpc.slurm.cancel import Found
    from hypoxia_hpc.slurm.chain import Plan
    from hypoxia_hpc.slurm.resources import JobRequest


def requests_table(requests: Sequence[JobRequest], ids: Mapping[str, Sequence[str]]) -> str:
    """What was asked for, a line for each stage; ``ids`` are those of its jobs, none where it was not sent."""
    rows = []
    for request in requests:
        part = f"{ranges(request.elements)} of {request.of}" if request.elements is not None else "1 job"
        most = f", {request.throttle} at once" if request.throttle is not None and request.elements is not None else ""
        where = (
            f"{request.ranks} ranks x {some(request.cpus, 'core')} on {some(request.nodes, 'node')}"
            if request.ranks > 1
            else some(request.cpus, "core")
        )
        gres = f", {request.gres}" if request.gres else ""
        memory = (
            ""
            if request.memory == "none"
            else f"{request.memory_mb / 1000:.1f} GB{' a node' if request.nodes > 1 else ''}"
        )
        jobs = ranges([int(job_id) for job_id in ids.get(request.stage, ())])
        rows.append(
            [
                request.stage,
                jobs,
                part + most,
                where + gres,
                memory,
                f"{request.minutes // 60} h {request.minutes % 60:02d} min",
            ]
        )
    return table(["stage", "job", "elements", "each: cores", "memory", "time limit"], rows)


def hours_text(plan: Plan) -> Iterator[str]:
    """What makes elements as long as they are; nothing where no stage has any."""
    hours = {
        job.request.stage: table_of(job.request.stage, plan.table).hours for job in plan.jobs if job.request.elements
    }
    if hours:
        each = ", ".join(f"{duration(3600 * one)} of {stage}" for stage, one in hours.items())
        yield f"an element is made for {each}, or less: hours in [site.slurm] sets that, as far as most_elements allows"


def dry_run_text(plan: Plan) -> Iterator[str]:
    """The script, and the lines that send it, as bash: each job's id in a variable of its stage's name. Then what they
    ask for, and what sizes their elements."""
    yield f"# {plan.script}\n{plan.text}"
    yield "\n".join(plan.commands())
    yield requests_table([job.request for job in plan.jobs], {})
    yield from hours_text(plan)


def sent_text(plan: Plan, ids: Mapping[str, Sequence[str]], run: str) -> Iterator[str]:
    """What was sent, and where to look. ``run`` is a word of bash."""
    yield requests_table([job.request for job in plan.jobs], ids)
    yield f"\nlook: hypoxia-hpc status {run} · logs: {plan.logs} · take back: hypoxia-hpc cancel {run}"


def cancelled_text(found: Found, stages: Sequence[StageStatus], run: str) -> Iterator[str]:
    """What was cancelled, what is left alone, and what of the run is done and stays. ``run`` is a word of bash."""
    jobs = " ".join(found.own)
    yield (
        f"cancelled: {jobs}; what runs has some seconds to end" if found.own else "nothing of this run is in the queue"
    )
    if found.others:
        yield f"left alone, for they work in another folder than this run: {' '.join(found.others)}"
    done = [f"{stage.stage} {stage.done} of {stage.done + stage.quarantined + stage.todo}" for stage in stages]
    yield f"done, and stays: {', '.join(done)}; what sends the rest: hypoxia-hpc submit {run}"
