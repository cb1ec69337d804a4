"""What this machine offers to this process."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores this process may run on: those that SLURM, a container or taskset left it, not those the node has."""
    return len(os.sched_getaffinity(0))
