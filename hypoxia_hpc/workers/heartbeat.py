"""RUN/running: a small file of every process that works through slides, which says how far it is.

A process replaces its file every few seconds while it works, and once at its end; no other process writes it. A process
that was killed leaves its file as it was: ``updated`` says since when.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from hypoxia_hpc.errors import MachineError, Stopped
from hypoxia_hpc.reading import listed, read_counts
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.workers.allocation import Allocation

WRITE_SECONDS = 5.0
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)

State = Literal["working", "stopped", "ended", "failed"]


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What a process has done so far: slides it has seen to, their cost, tiles; and what it is at."""

    slides_done: int = 0
    cost_done: float = 0.0
    tiles: int = 0
    in_flight: tuple[str, ...] = ()
    busy_seconds: tuple[float, ...] = ()
    idle_seconds: tuple[float, ...] = ()
    device_seconds: float = 0.0
    waited_seconds: float = 0.0
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One file. ``name`` is the title of the features, or empty; ``job`` SLURM's id as squeue prints it, or empty. What
    is done is what this process did; the totals are those of the share, and null on all ranks but the first, so that
    sums over files are right. Busy and idle seconds are one for each worker; those of devices, and bytes read, are of
    the slides that are done."""

    stage: str
    name: str
    share: tuple[int, int]
    rank: int
    ranks: int
    host: str
    pid: int
    job: str
    workers: int
    started: str
    updated: str
    state: State
    slides_done: int
    slides_total: int | None
    cost_done: float
    cost_total: float | None
    tiles: int
    in_flight: tuple[str, ...]
    busy_seconds: tuple[float, ...]
    idle_seconds: tuple[float, ...]
    device_seconds: float = 0.0
    waited_seconds: float = 0.0
    bytes_read: int = 0


_HEARTBEAT = TypeAdapter(Heartbeat)


def read_heartbeats(run: RunDir) -> list[Heartbeat]:
    """What every process wrote last, in order of the files' names; damaged and foreign files are left out. Raises
    OSError for a folder that may not be listed."""
    files = (path for path in listed(run.running) if path.suffix == ".json" and not path.name.startswith("."))
    found = map(_read, files)
    return [one for one in found if one is not None]


def _read(path: Path) -> Heartbeat | None:
    try:
        heartbeat = _HEARTBEAT.validate_json(json.dumps(read_counts(path)), strict=True)
        return heartbeat if all(map(_is_time, (heartbeat.started, heartbeat.updated))) else None
    except (OSError, ValueError):  # OSError: it has gone or was replaced on a network file system
        return None


def _is_time(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


class HeartbeatFile:
    """The file of this process while it works through ``n_slides`` of cost ``cost`` together."""

    def __init__(self, run: RunDir, title: str, allocation: Allocation, n_slides: int, cost: float) -> None:
        stage, _, name = title.partition(" ")
        host, deals = platform.node(), allocation.rank == 0
        self._path = (
            run.running / f"{stage}-{task_name(os.environ, host, os.getpid())}{_rank(allocation, os.environ)}.json"
        )
        self._fixed = {
            "stage": stage,
            "name": name,
            "share": (allocation.share.index, allocation.share.count),
            "rank": allocation.rank,
            "ranks": allocation.n_ranks,
            "host": host,
            "pid": os.getpid(),
            "job": job_id(os.environ),
            "started": _now(),
            "slides_total": n_slides if deals else None,
            "cost_total": float(cost) if deals else None,
        }
        self._written = 0.0

    @contextmanager
    def kept(self, work_done: Callable[[], WorkDone]) -> Iterator[None]:
        """Write it when the block begins and when it ends, however it ends. Raises MachineError."""
        self._write("working", work_done())
        try:
            yield
        except (Stopped, KeyboardInterrupt):
            self._write("stopped", work_done())
            raise
        except BaseException:
            with suppress(MachineError):  # that may be why it ends
                self._write("failed", work_done())
            raise
        self._write("ended", work_done())

    def now_and_then(self, work_done: Callable[[], WorkDone]) -> None:
        """Write it, if it is time to. Raises MachineError."""
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self._write("working", work_done())

    def _write(self, state: State, work_done: WorkDone) -> None:
        heartbeat = {**self._fixed, "workers": len(work_done.busy_seconds), "updated": _now(), "state": state}
        text = json.dumps({**heartbeat, **asdict(work_done)}, indent=1, sort_keys=True)
        committed_file(self._path, text.encode(), durable=False)
        self._written = time.monotonic()


def task_name(environment: Mapping[str, str], host: str, pid: int) -> str:
    """SLURM's id, so that a requeued job takes its own file over; elsewhere ``<host>-<pid>``."""
    return job_id(environment) or f"{re.sub(r'[^A-Za-z0-9.]', '_', host)}-{pid}"


def job_id(environment: Mapping[str, str]) -> str:
    """``<array job>_<index>`` or ``<job>``, as squeue prints them; nothing outside of SLURM."""
    array, index = _number(environment, "SLURM_ARRAY_JOB_ID"), _number(environment, "SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else _number(environment, "SLURM_JOB_ID")


def _rank(allocation: Allocation, environment: Mapping[str, str]) -> str:
    """Ranks have a file each; so have the tasks of a step that take a share each."""
    if allocation.ranks is not None:
        return f"-r{allocation.rank}"
    number = _number(environment, "SLURM_PROCID")
    return f"-r{number}" if number not in ("", "0") else ""


def _number(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    return value if _NUMBER.fullmatch(value) else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
