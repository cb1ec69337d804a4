"""The processes that work on a run, as their own files tell it, and what the queue says of their jobs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hypoxia_hpc.runs.device_time import DeviceTime
from hypoxia_hpc.slurm.queue import Queued
from hypoxia_hpc.workers.heartbeat import Heartbeat

# A process writes its file every five seconds, but may wait for a disk.
FRESH_SECONDS, SILENT_SECONDS = 30, 120
# Files tell whole seconds, by the clock of the node.
CLOCK_SECONDS = 10
Silent = Literal["silent", "dead"]


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """A process and what is thought of it: ``working`` and ``silent`` ones may finish what they have in flight,
    ``dead`` ones will not; the others have said themselves that they ended, were stopped, or failed."""

    heartbeat: Heartbeat
    health: Literal["working", "silent", "dead", "stopped", "ended", "failed"]
    why: str
    seconds_silent: float

    @property
    def title(self) -> str:
        """Stage and feature name, as ``status`` calls it."""
        return f"{self.heartbeat.stage} {self.heartbeat.name}".strip()

    @property
    def seconds(self) -> float:
        """From its start to the last time its file was written."""
        return max(0.0, (_time(self.heartbeat.updated) - _time(self.heartbeat.started)).total_seconds())

    @property
    def tiles_per_second(self) -> float:
        return self.heartbeat.tiles / self.seconds if self.seconds else 0.0

    @property
    def idle_shares(self) -> list[float]:
        """Share of its time in which each worker had nothing to do, 0..1."""
        return [idle_share([busy], [idle]) for busy, idle in _by_worker(self.heartbeat)]

    @property
    def waited_share(self) -> float | None:
        """Share of its devices' time in which they had no tiles to compute, 0..1; None where it named no device."""
        return DeviceTime(self.heartbeat.device_seconds, self.heartbeat.waited_seconds).waited_share


def idle_share(busy: Iterable[float], idle: Iterable[float]) -> float:
    """Idle seconds over all seconds, 0..1; 0 where there are none."""
    idle_seconds = sum(idle)
    total = sum(busy) + idle_seconds
    return idle_seconds / total if total else 0.0


def idle_share_of(processes: Iterable[ProcessHealth]) -> float:
    """That of all their workers together."""
    seconds = [pair for process in processes for pair in _by_worker(process.heartbeat)]
    return idle_share([busy for busy, _ in seconds], [idle for _, idle in seconds])


def assess(
    heartbeat: Heartbeat,
    queue: Mapping[str, Queued] | None,
    asked: datetime,
    now: datetime,
    is_alive: Callable[[Heartbeat], bool | None],
) -> ProcessHealth:
    """The health of a process. ``queue``: jobs by name as of ``asked``, before files were read, None where
    that is not known; ``is_alive``: of a process without a job, None where it cannot be asked."""
    silent = (now - _time(heartbeat.updated)).total_seconds()
    if heartbeat.state != "working" or (silent < FRESH_SECONDS and not heartbeat.job):
        return ProcessHealth(heartbeat, heartbeat.state, "", silent)
    health, why = _by_job(heartbeat, queue, asked) if heartbeat.job else _by_itself(heartbeat, is_alive(heartbeat))
    if health == "silent" and silent < SILENT_SECONDS:
        return ProcessHealth(heartbeat, "working", "", silent)
    return ProcessHealth(heartbeat, health, why, silent)


def _by_job(heartbeat: Heartbeat, queue: Mapping[str, Queued] | None, asked: datetime) -> tuple[Silent, str]:
    """The queue knows at once what a file cannot tell; but not what began after it was asked."""
    if queue is None:
        return "silent", "it is not known whether its job lives"
    if _time(heartbeat.started) > asked - timedelta(seconds=CLOCK_SECONDS):
        return "silent", "it started after the queue was asked"
    job = queue.get(heartbeat.job)
    if job is None:
        return "dead", f"job {heartbeat.job} is not in the queue any more"
    if job.phase != "running":
        return "dead", f"job {heartbeat.job} waits to start again"
    return "silent", f"job {heartbeat.job} is {job.state} on {job.node}"


def _by_itself(heartbeat: Heartbeat, alive: bool | None) -> tuple[Silent, str]:
    if alive is False:
        return "dead", f"process {heartbeat.pid} is gone"
    return "silent", f"process {heartbeat.pid} {'lives' if alive else 'cannot be asked'}"


def still_matters(process: ProcessHealth, todo: Mapping[str, Collection[str]]) -> bool:
    """Is there something to say of it? Not once it has ended, or others did what it left. ``todo``: ids of the slides
    that are to do, by title."""
    if process.health in ("working", "silent"):
        return True
    left = todo.get(process.title, ())
    in_flight = process.heartbeat.in_flight
    return process.health != "ended" and (any(one in left for one in in_flight) if in_flight else bool(left))


def seconds_left(cost: float, worker_seconds_per_cost: float, working: Sequence[ProcessHealth]) -> float | None:
    """Seconds that these processes take for this cost, with the idle time they have had; None without workers."""
    workers = sum(process.heartbeat.workers for process in working)
    busy = max(0.01, 1 - idle_share_of(working))
    return cost * worker_seconds_per_cost / (workers * busy) if workers else None


def _by_worker(heartbeat: Heartbeat) -> list[tuple[float, float]]:
    return list(zip(heartbeat.busy_seconds, heartbeat.idle_seconds, strict=False))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
