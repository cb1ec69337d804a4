"""Asking another program: its answer or, in a sentence, why there is none. Never an error, never for long."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

PATIENCE_SECONDS = 10
# What an allocation (salloc, srun) tells of itself, and what changes how SLURM's programs print.
_TOLD = ("SLURM_", "SLURMD_", "SRUN_", "SQUEUE_", "SACCT_", "SINFO_")
_WHICH_CLUSTER = ("SLURM_CONF", "SLURM_CLUSTERS")
# What sbatch would take beside its arguments, and then refuse, send otherwise, or wait for.
_CONTRADICTING = frozenset(
    f"SBATCH_{name}"
    for name in ("ARRAY_INX", "CPUS_PER_GPU", "EXPORT", "MEM_PER_CPU", "MEM_PER_GPU", "MEM_PER_NODE", "WAIT")
)


def environment() -> dict[str, str]:
    """This process's environment for SLURM's programs: without what an allocation around it would make of them."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _WHICH_CLUSTER or not (name.startswith(_TOLD) or name in _CONTRADICTING)
    }


def run_program(
    command: Sequence[str], environment: Mapping[str, str], patience: float
) -> subprocess.CompletedProcess[str]:
    """What became of a program that may take ``patience`` seconds. Raises TimeoutExpired, OSError."""
    return subprocess.run(  # noqa: S603 - a list, no shell; every value is checked
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=patience,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def query_program(
    program: str, *arguments: str, also: tuple[int, ...] = (), patience: float = PATIENCE_SECONDS
) -> tuple[str | None, str]:
    """What a program prints; or None, and why not in one line. Exit codes in ``also`` count as an answer too."""
    found = shutil.which(program)
    if found is None:
        return None, f"{program} is not on this machine"
    try:
        done = run_program([found, *arguments], {**environment(), "LC_ALL": "C"}, patience)
    except subprocess.TimeoutExpired as error:
        printed = (error.stderr or b"").decode(errors="replace").strip().splitlines()  # bytes, in spite of text
        return None, ": ".join([f"{program} did not answer within {patience:g} s", *printed[:1]])
    except OSError as error:
        return None, f"{program}: {error.strerror}"
    if done.returncode and done.returncode not in also:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
        return None, said if said.startswith(program) else f"{program}: {said}"
    return done.stdout, ""


def container_program() -> str:
    """What starts images here: apptainer or, where only that is there, singularity, as jobs choose it."""
    return "singularity" if shutil.which("apptainer") is None and shutil.which("singularity") else "apptainer"
