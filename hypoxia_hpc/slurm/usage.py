"""What a job had and what it used of it, from the fields of ``sacct``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Fields that every SLURM since 18.08 has.
USAGE_FIELDS = ("MaxRSS", "ElapsedRaw", "AllocTRES", "TotalCPU", "TRESUsageInTot", "ConsumedEnergyRaw")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)", re.ASCII)
_TIME = re.compile(r"(?:(?:([0-9]+)-)?([0-9]+):)?([0-9]+):([0-9]+(?:\.[0-9]+)?)", re.ASCII)
# Beyond it numbers stand for "not measured": SLURM prints 2^64 - 2.
MOST_COUNT = 2**53


@dataclass(frozen=True, slots=True)
class Usage:
    """``seconds`` on the clock, with ``cpus``, ``gpus`` and ``memory_asked`` bytes of each of ``nodes`` (0: not known).
    What was used is None where accounting does not say: ``cpu_seconds``, ``memory`` bytes of a node, of its GPUs the
    highest utilisation seen (``gpu_share``, 0..1) and most bytes, and ``joules`` of its whole nodes."""

    seconds: int = 0
    cpus: int = 0
    nodes: int = 1
    gpus: int = 0
    memory_asked: int = 0
    cpu_seconds: float | None = None
    memory: int | None = None
    gpu_share: float | None = None
    gpu_memory: int | None = None
    joules: int | None = None


def usage_of(job: Mapping[str, str], steps: Sequence[Mapping[str, str]]) -> Usage:
    """Of the line of a job and those of its steps, by `USAGE_FIELDS`."""
    had, used = _tres(job["AllocTRES"]), [_tres(step["TRESUsageInTot"]) for step in steps]
    nodes, gpus = max(1, _count(had.get("node", ""))), _gpus(had)
    return Usage(
        seconds=_count(job["ElapsedRaw"]),
        cpus=_count(had.get("cpu", "")),
        nodes=nodes,
        gpus=gpus,
        memory_asked=memory_bytes(had.get("mem", "")) // nodes,
        cpu_seconds=seconds_of(job["TotalCPU"]) or None,
        memory=_most_memory([job, *steps], nodes),
        gpu_share=_gpu_share(used, gpus),
        gpu_memory=max((memory_bytes(one.get("gres/gpumem", "")) for one in used), default=0) or None,
        joules=max(_count(one["ConsumedEnergyRaw"]) for one in (job, *steps)) or None,
    )


def _tres(text: str) -> dict[str, str]:
    """``cpu=4,gres/gpu=1,mem=60G,node=1``."""
    return dict(part.partition("=")[::2] for part in text.split(","))


def _count(text: str) -> int:
    """0 where it is no number, or one that stands for none."""
    return found if text.isascii() and text.isdecimal() and len(text) < 20 and (found := int(text)) < MOST_COUNT else 0


def _gpus(had: Mapping[str, str]) -> int:
    """SLURM counts GPUs of all kinds together where it is set up to, else by kind."""
    by_kind = sum(_count(number) for name, number in had.items() if name.startswith("gres/gpu:"))
    return _count(had.get("gres/gpu", "")) or by_kind


def _most_memory(rows: Sequence[Mapping[str, str]], nodes: int) -> int | None:
    """Of any step the most of a task, or the sum over its tasks by nodes."""
    found = [memory_bytes(row["MaxRSS"]) for row in rows]
    found += [memory_bytes(_tres(row["TRESUsageInTot"]).get("mem", "")) // nodes for row in rows]
    return max(found, default=0) or None


def _gpu_share(used: Sequence[Mapping[str, str]], gpus: int) -> float | None:
    """A step that has no GPU says 0 per cent, as one does whose GPU was never looked at while it worked: where all say
    so, memory on a GPU tells that it was measured."""
    percent = [_count(one["gres/gpuutil"]) for one in used if "gres/gpuutil" in one]
    is_measured = any(percent) or any(memory_bytes(one.get("gres/gpumem", "")) for one in used)
    return min(1.0, max(percent) / (100 * gpus)) if gpus and percent and is_measured else None


def memory_bytes(text: str) -> int:
    """``1234K``, ``1.20G`` or nothing, as sacct writes it."""
    match = _MEMORY.fullmatch(text[:32])
    return round(float(match[1]) * _UNITS[match[2]]) if match else 0


def seconds_of(text: str) -> float:
    """``1-02:03:04``, ``02:03:04``, ``03:04.567``; 0 for other words."""
    match = _TIME.fullmatch(text[:32])
    if match is None:
        return 0.0
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 86400 * days + 3600 * hours + 60 * minutes + seconds
