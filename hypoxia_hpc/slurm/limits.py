"""What the SLURM of this place allows: sizes of arrays, time limits of partitions, ways to start MPI ranks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.runs.stages import stages_of
from hypoxia_hpc.slurm.resources import (
    JobRequest,
    max_array_size,
    most_minutes,
    mpi_types,
    table_of,
    time_limits,
    within,
)

# What mends what sbatch says, by words of it.
REMEDIES = {
    "submit limit|MaxSubmit": "lower [site.slurm] most_elements, send a part (--upto STAGE), or wait until jobs end",
    "artition.*(not available|inactive|drain|down)": "mend [site.slurm] partition, or wait until it is up (see sinfo)",
    "": "mend [site.slurm] in run.toml (see sinfo for partitions, sacctmgr show assoc for accounts)",
}


def remedy_for(said: str) -> str:
    """What to do where sbatch refuses a job with these words."""
    return next(remedy for words, remedy in REMEDIES.items() if re.search(words, said))


def slurm_limits() -> tuple[int, dict[str, float]]:
    """MaxArraySize, and the time limit of each partition; none where SLURM is not here or does not answer."""
    config, _ = query_program("scontrol", "show", "config")
    if config is None:
        return max_array_size(""), {}
    partitions, _ = query_program("scontrol", "--all", "--oneliner", "show", "partition")
    return max_array_size(config), time_limits(partitions or "")


def in_time(request: JobRequest, limits: Mapping[str, float], table: SlurmTable) -> JobRequest:
    """What is asked for, within the limit of its partition. Raises InputError where that leaves no time to work."""
    partition = request.partition or os.environ.get("SBATCH_PARTITION")
    limit = most_minutes(partition, limits)
    if 60 * limit <= table.stop_seconds:
        raise InputError(
            f"{_named(partition)} lets a job of {request.stage} run for {limit:g} min, and [site.slurm] stop_seconds = "
            f"{table.stop_seconds} leaves nothing of them",
            remedy="choose another partition, or fewer stop_seconds",
        )
    return within(request, limit)


def cut_short(wanted: int, request: JobRequest, table: SlurmTable) -> str:
    """A sentence on a job that asks for less time than wanted."""
    where = _named(request.partition or os.environ.get("SBATCH_PARTITION"))
    return (
        f"{request.stage} may take {wanted} min, and {where} allows {request.minutes}: it is stopped in time and "
        f"requeued, at most {some(table.most_requeues, 'time')}; what is done stays done"
    )


def _named(partition: str | None) -> str:
    return f"partition {partition}" if partition else "the default partition"


def refuse_unknown_mpi(table: SlurmTable) -> None:
    """Raises InputError where srun is here and cannot start ranks in the way of [site.slurm] mpi."""
    has_ranks = any(table_of(stage.name, table).ranks > 1 for stage in stages_of("slide"))
    printed, _ = query_program("srun", "--mpi=list") if has_ranks else (None, "")
    known = mpi_types(printed or "")
    if known and table.mpi not in known:
        raise InputError(
            f"[site.slurm] mpi = {table.mpi!r} is none of those that srun knows here",
            offending=sorted(known),
            remedy="choose one of these, pmi2 or pmix if they are there",
        )
