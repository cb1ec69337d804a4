"""Simulates the jobs of a run on a cluster: how long they take, and where the time of the nodes goes.

The jobs are those that ``submit`` would send: sized by `slurm.sizing`, called as by `slurm.chain`, their slides dealt
to parts by `workers.shares` and to worker processes by the source of `workers.pool`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simpy import Environment

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.simulation.accounts import Accounts
from hypoxia_hpc.simulation.cluster import Cluster
from hypoxia_hpc.simulation.nodes import Room
from hypoxia_hpc.simulation.queue import Element, Queue, Sent, Times
from hypoxia_hpc.simulation.task import Shape
from hypoxia_hpc.simulation.work import SlideWork, Work
from hypoxia_hpc.slurm.chain import Call, Job, calls_of
from hypoxia_hpc.slurm.resources import JobRequest, gpus_of, lanes_of, table_of
from hypoxia_hpc.slurm.script import PATIENCE
from hypoxia_hpc.workers.shares import slides_of_shares


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of a run: ``seconds`` from the first call of sbatch to the end of the last element, by stage its
    times, and node-seconds by cause."""

    seconds: float
    times: Mapping[str, Times]
    accounts: Accounts

    @property
    def efficiency(self) -> float:
        """The part of the time of all nodes that went into work, 0..1."""
        return self.accounts.spent["work"] / self.accounts.whole

    @property
    def losses(self) -> dict[str, float]:
        """The other parts of it, largest first, by the names of `accounts.SPENT`."""
        found = {name: spent / self.accounts.whole for name, spent in self.accounts.spent.items() if name != "work"}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def simulate(
    jobs: Sequence[Job], slides: Sequence[Slide], work: Work, cluster: Cluster, table: SlurmTable, seed: int = 0
) -> Simulated:
    """The jobs of a chain on a cluster. ``slides`` are all of the run, ``work`` those that are to do in each stage; the
    same ``seed`` gives the same waits and failures. Raises InputError for elements that no node has room for."""
    env = Environment()
    parts = {of: slides_of_shares(slides, of) for of in {job.request.of for job in jobs}}
    sent = [_sent(call, parts[call.job.request.of], work, cluster, table) for call in calls_of(jobs)]
    if not sent:
        return Simulated(0.0, {}, Accounts())
    queue = Queue(env, cluster, sent, most_requeues=table.most_requeues, seed=seed)
    env.run(queue.over)
    queue.close()
    return Simulated(max(one.end for one in queue.times.values()), queue.times, queue.accounts)


def _sent(call: Call, parts: Sequence[Sequence[Slide]], work: Work, cluster: Cluster, table: SlurmTable) -> Sent:
    request = call.job.request
    room, shape = room_of(request), shape_of(request, cluster, table)
    _refuse_too_large(request, room, cluster)
    if call.array is None:
        return Sent(call, [Element((call.name, 0), [*work[request.stage].values()], shape, room)])
    return Sent(
        call,
        [
            Element((call.name, index), _to_do(parts[call.array.first + index], work[request.stage]), shape, room)
            for index in call.array.indices
        ],
    )


def _to_do(part: Sequence[Slide], work: Mapping[str, SlideWork]) -> list[SlideWork]:
    return [work[slide.slide_id] for slide in part if slide.slide_id in work]


def room_of(request: JobRequest) -> Room:
    """What an element needs of nodes."""
    return Room(request.nodes, math.ceil(request.ranks / request.nodes) * request.cpus, gpus_of(request.gres))


def shape_of(request: JobRequest, cluster: Cluster, table: SlurmTable) -> Shape:
    """How an element works. One without array has a single worker, its seconds are by the clock."""
    room, limit = room_of(request), 60.0 * request.minutes
    lanes, units = lanes_of(request.stage, table_of(request.stage, table)) if request.elements is not None else (1, 1)
    share = max(room.cores / cluster.cores, room.gpus / cluster.gpus if room.gpus and cluster.gpus else 0.0)
    stop_at = max(0.0, limit - table.stop_seconds - cluster.controller.early)
    kill_at = stop_at + PATIENCE * table.stop_seconds
    return Shape(lanes, units, share * room.nodes, cluster.start_up[request.stage], stop_at, kill_at)


def _refuse_too_large(request: JobRequest, room: Room, cluster: Cluster) -> None:
    if room.nodes > cluster.nodes or room.cores > cluster.cores or room.gpus > cluster.gpus:
        raise InputError(
            f"an element of {request.stage} asks for nodes = {room.nodes} with {room.cores} cores and {room.gpus} GPUs "
            f"each, and the cluster has {cluster.nodes} with {cluster.cores} and {cluster.gpus}",
            remedy="give larger nodes (--cores, --gpus), or fewer cpus in [site.slurm]",
        )
