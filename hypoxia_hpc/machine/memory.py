"""Memory that this process may still take."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def free_memory(meminfo: Path = _MEMINFO, own_group: Path = _OWN_GROUP, groups: Path = _GROUPS) -> int:
    """Bytes: what the machine has available, and not more than the control groups of this process (version 2, as SLURM
    and containers set them) leave it."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    free = [1024 * int(lines["MemAvailable"].split()[0])]
    group = groups / _name(own_group).lstrip("/")
    above = [one for one in group.parents if one.is_relative_to(groups)]
    free += [left for one in (group, *above) if (left := _left_in(one)) is not None]
    return max(0, min(free))


def _name(own_group: Path) -> str:
    lines = own_group.read_text().splitlines() if own_group.exists() else []
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def _left_in(group: Path) -> int | None:
    """Bytes below the limit of a group; None where there is none."""
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        counted = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return None if limit == "max" else int(limit) - int(used) + int(counted.get("inactive_file", 0))
