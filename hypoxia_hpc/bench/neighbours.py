"""How much of the cores that a case may use went to others meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds so far: by the clock, of the processor on these cores (with what the host took from a virtual machine),
    and of this process and all that it started."""

    clock: float
    cores: tuple[int, ...]
    used: float
    ours: float


class Process(NamedTuple):
    """``parent``: its id. ``ticks`` of the processor so far, with those of children that have ended."""

    parent: int
    ticks: int


def look() -> Look:
    """Of the cores that this process may use now."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    seconds = busy_seconds()
    ours = ticks_of(os.getpid(), _processes()) / TICKS_A_SECOND
    return Look(time.perf_counter(), cores, sum(seconds[core] for core in cores), ours)


def busy_seconds() -> dict[int, float]:
    """Seconds that each core was not idle so far."""
    return parsed_stat(STAT.read_text(encoding="ascii"))


def parsed_stat(stat: str) -> dict[int, float]:
    """The same of the text of /proc/stat (proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are in
    user and nice)."""
    seconds = {}
    for line in stat.splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _, _, irq, softirq, steal = map(int, columns[:8])
            seconds[int(name[3:])] = (user + nice + system + irq + softirq + steal) / TICKS_A_SECOND
    return seconds


def _processes() -> dict[int, Process]:
    """All that run now, by their ids."""
    found = {}
    for path in STAT.parent.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            found[int(path.parent.name)] = parsed_process(path.read_text(encoding="ascii", errors="replace"))
    return found


def parsed_process(stat: str) -> Process:
    """Of the text of /proc/PID/stat (proc(5)): fields 4 and 14 to 17, counted behind the name, which may hold
    anything."""
    columns = stat.rpartition(")")[2].split()
    return Process(int(columns[1]), sum(map(int, columns[11:15])))


def ticks_of(pid: int, processes: Mapping[int, Process]) -> int:
    """Of a process and all below it that run now."""
    below = [child for child, one in processes.items() if one.parent == pid]
    return processes[pid].ticks + sum(ticks_of(child, processes) for child in below)


def share_of_others(before: Look, after: Look) -> float:
    """Share of the cores' time, 0..1, that others used between two looks at the same cores."""
    used, ours = after.used - before.used, after.ours - before.ours
    return min(1.0, max(0.0, (used - ours) / ((after.clock - before.clock) * len(before.cores))))
