"""What ``submit`` shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.terminal import table
from hypoxia_hpc.cli.text.words import ranges

if TYPE_CHECKING:
    from hypoxia_hpc.slurm.resources import Ask
    from hypoxia_hpc.stages.submit import Plan


def asked_table(asks: Sequence[Ask], ids: Mapping[str, Sequence[str]]) -> str:
    """What was asked for, a line for each stage; ``ids`` are those of its jobs, none where it was not sent."""
    rows = []
    for ask in asks:
        part = f"{ranges(ask.elements)} of {ask.of}" if ask.elements is not None else "1 job"
        most = f", {ask.throttle} at once" if ask.throttle is not None and ask.elements is not None else ""
        where = f"{ask.ranks} ranks x {ask.cpus} cores on {ask.nodes} nodes" if ask.ranks > 1 else f"{ask.cpus} cores"
        gres = f", {ask.gres}" if ask.gres else ""
        memory = f"{ask.memory_mb / 1000:.1f} GB{' a node' if ask.nodes > 1 else ''}"
        jobs = " ".join(ids.get(ask.stage, ()))
        rows.append(
            [ask.stage, jobs, part + most, where + gres, memory, f"{ask.minutes // 60} h {ask.minutes % 60:02d} min"]
        )
    return table(["stage", "job", "elements", "each: cores", "memory", "time limit"], rows)


def dry_run_text(plan: Plan) -> Iterator[str]:
    """The script, and the lines that send it, as bash: each job's id in a variable of its stage's name."""
    yield f"# {plan.script}\n{plan.text}"
    lines: list[str] = []
    before: list[str] = []
    for job in plan.jobs:
        names = [f"{job.ask.stage}_{number}" for number, _ in enumerate(job.arrays)]
        for name, array in zip(names, job.arrays, strict=True):
            arguments = plan.arguments(job, array, [f"${other}" for other in before])
            # Of the arguments only the dependency names variables, and it holds nothing else that a shell would read.
            words = [one if one.startswith("--dependency=") else shlex.quote(one) for one in ["sbatch", *arguments]]
            lines.append(f"{name}=$({' '.join(words)})")
        before = names
    yield "\n".join(lines)
