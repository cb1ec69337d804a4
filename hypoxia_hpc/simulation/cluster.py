"""The cluster that is simulated: nodes, SLURM's controller, the shared file system. Values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypoxia_hpc.slurm.resources import DEFAULT_MAX_ARRAY_SIZE


@dataclass(frozen=True, slots=True)
class Controller:
    """What SLURM takes, in seconds: ``submit`` for one call of sbatch, ``start`` from one start of an element to the
    next, ``free`` from the end of an element until another has its cores, ``hold`` until a requeued element may start
    again, ``notice`` until a node counts as down after it died, ``early`` by which the signal before a time limit comes
    too early, ``wait`` on average behind jobs of others (exponential, for each element). An array has indices below
    ``max_array_size``."""

    submit: float
    start: float
    free: float
    hold: float
    notice: float
    early: float = 0.0
    wait: float = 0.0
    max_array_size: int = DEFAULT_MAX_ARRAY_SIZE


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A shared file system: bytes a second of all clients together and of one worker at most, and operations on names
    (open, create, rename, delete, ...) a second."""

    bytes_per_second: float
    bytes_per_second_of_worker: float
    operations_per_second: float


@dataclass(frozen=True, slots=True)
class Outage:
    """A node that dies ``at`` seconds and takes jobs again ``seconds`` later."""

    node: int
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StartUp:
    """What a task of a stage takes before its first slide: seconds, and operations on names on the shared file
    system."""

    seconds: float
    operations: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """``nodes`` alike, each with ``cores`` and ``gpus``. ``start_up``: by stage. ``slow``: factor of the time that work
    takes, by node, 1 for those not named. ``failures_per_node_hour``: nodes that die at random, each for
    ``repair_seconds``; ``outages``: those that die at a given time."""

    nodes: int
    cores: int
    gpus: int
    controller: Controller
    files: FileSystem
    start_up: Mapping[str, StartUp]
    slow: Mapping[int, float] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()
    failures_per_node_hour: float = 0.0
    repair_seconds: float = 3600.0
