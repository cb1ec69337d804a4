"""How much of the cores that a case may use went to others meanwhile."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.bench.rounds import usable_cores

STAT = Path("/proc/stat")


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds so far: by the clock, of the processor on these cores (with what the host took from a virtual machine),
    and of this process with the children that it has waited for."""

    clock: float
    cores: tuple[int, ...]
    used: float
    ours: float


def look() -> Look:
    """Of the cores that this process may use now."""
    cores = tuple(usable_cores())
    seconds = busy_seconds(STAT.read_text(encoding="ascii"), os.sysconf("SC_CLK_TCK"))
    ours = sum(os.times()[:4])
    return Look(time.perf_counter(), cores, sum(seconds[core] for core in cores), ours)


def busy_seconds(stat: str, ticks_a_second: int) -> dict[int, float]:
    """Seconds that each core was not idle, of the text of /proc/stat (proc(5): user, nice, system, idle, iowait, irq,
    softirq, steal; guests are in user and nice)."""
    seconds = {}
    for line in stat.splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _, _, irq, softirq, steal = map(int, columns[:8])
            seconds[int(name[3:])] = (user + nice + system + irq + softirq + steal) / ticks_a_second
    return seconds


def share_of_others(before: Look, after: Look) -> float:
    """Share of the cores' time, 0..1, that others used between two looks at the same cores."""
    used, ours = after.used - before.used, after.ours - before.ours
    return min(1.0, max(0.0, (used - ours) / ((after.clock - before.clock) * len(before.cores))))
