"""GPUs of a node, one for each worker process; which were given to this one."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypoxia_hpc.errors import MachineError

VISIBLE = "CUDA_VISIBLE_DEVICES"
# What SLURM sets where it gave GPUs to a job or a step, and what AMD's go by; the last is a count.
GIVEN = (VISIBLE, "ROCR_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE")
# How each of them says that there is none; the last is what older versions of SLURM set.
NONE_GIVEN = ("", "-1", "none", "NoDevFiles")
_DEVICES = Path("/dev")
_DEVICE = re.compile(r"nvidia[0-9]+")


def gpus_of_node(environment: Mapping[str, str], devices: Path = _DEVICES) -> list[str]:
    """The GPUs that this process may use, as CUDA calls them: those that SLURM (or the user) lists, else all."""
    listed = environment.get(VISIBLE)
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()]
    return [str(number) for number in range(sum(1 for path in devices.iterdir() if _DEVICE.fullmatch(path.name)))]


def given_gpus(environment: Mapping[str, str]) -> str:
    """Where this process was given GPUs, by SLURM or the user: what says so, as ``NAME=value``; empty where not. What
    this process may see counts before what its job has."""
    said = {name: environment[name].strip() for name in GIVEN if name in environment}
    name = next(iter(said), "")
    is_given = bool(name) and said[name] not in NONE_GIVEN and (name, said[name]) != (GIVEN[-1], "0")
    return f"{name}={said[name]}" if is_given else ""


def first_gpus(wanted: int, there: Sequence[str]) -> tuple[str, ...]:
    """The first ``wanted`` of the GPUs that are there. Raises MachineError where there are fewer."""
    if len(there) < wanted:
        raise MachineError(
            f"[site] gpus = {wanted}, and {platform.node()} has {len(there)} for this process: "
            f"{', '.join(there) or 'none'}",
            remedy="ask SLURM for as many ([site.slurm] gres), or lower [site] gpus; leave it out where there is none",
        )
    return tuple(there[:wanted])


def use_gpu(gpus: Sequence[str], place: int) -> None:
    """Let this process see one GPU alone, that of its place; before anything starts CUDA."""
    os.environ[VISIBLE] = gpus[place]
