"""SLURM's queue: calls of sbatch and what they wait for, elements, throttles, requeues, nodes that die."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from simpy import Environment, Event, Process

from hypoxia_hpc.simulation.accounts import Accounts, Idle
from hypoxia_hpc.simulation.cluster import Cluster, Outage
from hypoxia_hpc.simulation.nodes import Nodes, Room
from hypoxia_hpc.simulation.sharing import Bandwidth, Operations
from hypoxia_hpc.simulation.task import Shape, Shared, Steps, Task
from hypoxia_hpc.simulation.work import SlideWork
from hypoxia_hpc.slurm.chain import Call

# By call of sbatch and index in its array; a job that is no array has the index 0.
Name = tuple[str, int]


@dataclass(slots=True)
class Element:
    """A job of an array, or one that is none: what it has to do, how, and the room that it needs on nodes."""

    name: Name
    slides: list[SlideWork]
    shape: Shape
    room: Room
    requeues: int = 0


@dataclass(slots=True)
class Sent:
    """A call of sbatch: elements that may start when there is room, and those that are held until a time. ``open``: how
    many have not ended."""

    call: Call
    elements: Sequence[Element]
    ready: deque[Element] = field(default_factory=deque)
    held: list[tuple[float, int, Element]] = field(default_factory=list)
    n_running: int = 0
    open: int = 0
    is_eligible: bool = False

    @property
    def shape(self) -> Shape:
        """Of all its elements."""
        return self.elements[0].shape

    @property
    def is_throttled(self) -> bool:
        return self.call.most is not None and self.n_running >= self.call.most

    def waiting(self) -> float:
        """Nodes that its elements wait for."""
        return (len(self.ready) + len(self.held)) * self.shape.nodes

    def wanted(self) -> float:
        """Nodes that all its elements could have at once."""
        return len(self.elements) * self.shape.nodes


@dataclass(slots=True)
class Times:
    """When the first element of a stage began and the last ended, in seconds, how often its elements started and were
    requeued, and ``unfinished`` slides, left by elements that are not requeued any more."""

    begin: float = float("inf")
    end: float = 0.0
    starts: int = 0
    requeues: int = 0
    unfinished: int = 0


class Queue:
    """Takes the calls of a chain in their order, and starts elements first come, first served; a smaller one passes by
    a larger one that has to wait for room. An element that is stopped is requeued ``most_requeues`` times."""

    def __init__(
        self, env: Environment, cluster: Cluster, sent: Sequence[Sent], *, most_requeues: int, seed: int
    ) -> None:
        self._env, self._cluster, self._most_requeues = env, cluster, most_requeues
        self._sent = {one.call.name: one for one in sent}
        self._random, self._numbers = random.Random(seed), itertools.count()  # noqa: S311 - no secret
        files = cluster.files
        bandwidth = Bandwidth(env, files.bytes_per_second, files.bytes_per_second_of_worker)
        operations = Operations(env, files.operations_per_second)
        self.accounts, self._nodes = Accounts(), Nodes(cluster)
        self._shared = Shared(env, bandwidth, operations, self.accounts)
        self._running: dict[Name, tuple[Process, Sequence[int]]] = {}
        self._ended, self._dead, self._held = set[Name](), set[Name](), 0.0
        self._counted_at, self._bell, self.over = env.now, env.event(), env.event()
        self.times = {one.call.job.request.stage: Times() for one in sent}
        for process in (self._submit(), self._schedule(), *map(self._outage, cluster.outages), self._failures()):
            env.process(process)

    def _submit(self) -> Steps:
        for one in self._sent.values():
            yield self._env.timeout(self._cluster.controller.submit)
            one.open = len(one.elements)
            self._release()

    def _release(self) -> None:
        """Let the elements of every call queue that waits for no other call any more."""
        self._count_idle()
        for one in self._sent.values():
            if one.open and not one.is_eligible and self._is_free(one.call):
                one.is_eligible = True
                for element in one.elements:
                    self._enqueue(one, element, self._wait())
        self._ring()

    def _is_free(self, call: Call) -> bool:
        before = [self._sent[name] for name in call.before]
        has_ended = all(one.is_eligible and not one.open for one in before)
        return has_ended and self._ended.issuperset(call.elements)

    def _wait(self) -> float:
        mean = self._cluster.controller.wait
        return self._random.expovariate(1 / mean) if mean else 0.0

    def _enqueue(self, one: Sent, element: Element, seconds: float) -> None:
        if not seconds:
            one.ready.append(element)
            return
        heapq.heappush(one.held, (self._env.now + seconds, next(self._numbers), element))
        self._ring_after(seconds)

    def _ring(self) -> None:
        if not self._bell.triggered:
            self._bell.succeed()

    def _ring_after(self, seconds: float) -> None:
        self._env.timeout(seconds).callbacks.append(lambda _: self._ring())

    def _schedule(self) -> Steps:
        while True:
            yield self._bell
            self._bell = self._env.event()
            while (found := self._next()) is not None:
                self._start(*found)
                yield self._env.timeout(self._cluster.controller.start)

    def _next(self) -> tuple[Sent, Sequence[int]] | None:
        """The call whose first element there is room for, and where."""
        full: set[Room] = set()
        for one in self._sent.values():
            while one.held and one.held[0][0] <= self._env.now:
                one.ready.append(heapq.heappop(one.held)[2])
            if not one.ready or one.is_throttled or one.ready[0].room in full:
                continue
            nodes = self._nodes.find(one.ready[0].room)
            if nodes:
                return one, nodes
            full.add(one.ready[0].room)
        return None

    def _start(self, one: Sent, nodes: Sequence[int]) -> None:
        self._count_idle()
        element, times = one.ready.popleft(), self.times[one.call.job.request.stage]
        times.begin, times.starts = min(times.begin, self._env.now), times.starts + 1
        one.n_running += 1
        self._held += element.shape.nodes
        self._nodes.take(element.room, nodes)
        slow = max(self._cluster.slow.get(node, 1.0) for node in nodes)
        task = self._env.process(Task(self._shared, element.shape, element.slides, slow).run())
        self._running[element.name] = (task, nodes)
        self._env.process(self._run(one, element, task, nodes))

    def _run(self, one: Sent, element: Element, task: Process, nodes: Sequence[int]) -> Generator[Event, Any, None]:
        """Wait for the end of an element, and for its cores to be free or its node to count as down."""
        controller, began = self._cluster.controller, self._env.now
        element.slides = yield task
        del self._running[element.name]
        died, ended = element.name in self._dead, self._env.now
        if died:
            self._leave(one, element, nodes, began)
            yield self._env.timeout(controller.notice)
        else:
            yield self._env.timeout(controller.free)
            self.accounts.add("free", controller.free * element.shape.nodes)
            self._leave(one, element, nodes, began)
        one.n_running -= 1
        if died or (element.slides and element.requeues < self._most_requeues):
            self._requeue(one, element, died=died)
        else:
            self._end(one, element, ended)

    def _leave(self, one: Sent, element: Element, nodes: Sequence[int], began: float) -> None:
        self._count_idle()
        self.accounts.held += (self._env.now - began) * element.shape.nodes
        self._held -= element.shape.nodes
        self._nodes.free(element.room, nodes)

    def _requeue(self, one: Sent, element: Element, *, died: bool) -> None:
        """SLURM itself requeues what its node took along, as often as it happens."""
        self._dead.discard(element.name)
        element.requeues += not died
        self.times[one.call.job.request.stage].requeues += 1
        self._enqueue(one, element, self._cluster.controller.hold)
        self._ring()

    def _end(self, one: Sent, element: Element, ended: float) -> None:
        times = self.times[one.call.job.request.stage]
        times.end, times.unfinished = max(times.end, ended), times.unfinished + len(element.slides)
        self._ended.add(element.name)
        one.open -= 1
        self._release()
        if all(other.is_eligible and not other.open for other in self._sent.values()):
            self.over.succeed()

    def _outage(self, outage: Outage) -> Steps:
        yield self._env.timeout(outage.at)
        yield from self._fail(outage.node, outage.seconds)

    def _failures(self) -> Steps:
        """Nodes die at random, in a Poisson process."""
        cluster = self._cluster
        rate = cluster.failures_per_node_hour * cluster.nodes / 3600
        while rate:
            yield self._env.timeout(self._random.expovariate(rate))
            self._env.process(self._fail(self._random.randrange(cluster.nodes), cluster.repair_seconds))

    def _fail(self, node: int, seconds: float) -> Steps:
        self._count_idle()
        self._nodes.down[node] = max(self._env.now + seconds, self._nodes.down.get(node, 0.0))
        for name, (task, nodes) in self._running.items():
            if node in nodes and task.is_alive and name not in self._dead:
                self._dead.add(name)
                task.interrupt()
        yield self._env.timeout(seconds)
        self._count_idle()
        if self._env.now >= self._nodes.down.get(node, 0.0):  # else it has died once more meanwhile
            self._nodes.down.pop(node, None)
        self._ring()

    def close(self) -> None:
        """Count all up to now."""
        self._count_idle()
        self.accounts.close()

    def _count_idle(self) -> None:
        """Add the time since the last call to what nodes without work are idle for."""
        seconds, self._counted_at = self._env.now - self._counted_at, self._env.now
        if not seconds:
            return
        sent = [one for one in self._sent.values() if one.is_eligible and one.open]
        dead = len(self._nodes.down)
        idle = Idle(
            self._cluster.nodes,
            dead,
            self._held,
            (self._cluster.nodes - dead) * min((self._nodes.unfit(one.elements[0].room) for one in sent), default=0.0),
            sum(one.waiting() for one in sent if not one.is_throttled),
            sum(one.waiting() for one in sent if one.is_throttled),
            sum(one.wanted() for one in sent),
        )
        for name, nodes in idle.causes().items():
            self.accounts.add(name, nodes * seconds)
