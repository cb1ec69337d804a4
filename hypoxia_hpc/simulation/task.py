"""One start of an element: its tasks start, its workers take slide after slide, and it is stopped before its limit.

Slides are dealt by the source that real worker processes have.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from simpy import Environment, Event, Interrupt, Process

from hypoxia_hpc.simulation.accounts import Accounts
from hypoxia_hpc.simulation.cluster import StartUp
from hypoxia_hpc.simulation.sharing import Bandwidth, Operations
from hypoxia_hpc.simulation.work import SlideWork
from hypoxia_hpc.workers.pool import InOrder, Nothing

Steps = Generator[Event, Any, None]


@dataclass(frozen=True, slots=True)
class Shape:
    """How an element works: ``lanes`` slides at once, each on ``units`` cores (or one GPU); it takes ``nodes`` nodes'
    worth of time a second. In seconds after its start: ``stop_at`` it is asked to stop, ``kill_at`` what it is at ends,
    None for never."""

    lanes: int
    units: int
    nodes: float
    start_up: StartUp
    stop_at: float | None = None
    kill_at: float | None = None


@dataclass(slots=True)
class Shared:
    """What all tasks of a simulation have in common."""

    env: Environment
    bandwidth: Bandwidth
    operations: Operations
    accounts: Accounts


@dataclass(slots=True)
class Task:
    """An element while it runs; ``slides`` are those it still has to do, costliest first, ``slow`` the factor of the
    time that its nodes take."""

    shared: Shared
    shape: Shape
    slides: list[SlideWork]
    slow: float
    lost: list[SlideWork] = field(default_factory=list)

    def run(self) -> Generator[Event, Any, list[SlideWork]]:
        """Until its end; returns the slides that are left to do. An interrupt ends it at once: its node died."""
        env, stop = self.shared.env, threading.Event()
        source = InOrder(deque(self.slides), stop)
        began, workers = env.now, list[Process]()
        try:
            if self.shape.stop_at is not None:
                env.process(self._stop(stop, workers))
            yield from self._start()
            workers += [env.process(self._work(source)) for _ in range(min(self.shape.lanes, len(self.slides)))]
            yield env.all_of(workers)
        except Interrupt:
            end_all(workers)
            yield env.timeout(0)  # they put back what they were at
            if not workers:
                self._count("lost", (env.now - began) * self.shape.lanes)
        left = {one.slide_id for one in (*source.items, *self.lost)}
        return [one for one in self.slides if one.slide_id in left]

    def _start(self) -> Steps:
        start_up, began = self.shape.start_up, self.shared.env.now
        yield self.shared.env.timeout(start_up.seconds)
        yield self.shared.operations.do(start_up.operations)
        self._count("start", start_up.seconds * self.shape.lanes)
        self._count("names", (self.shared.env.now - began - start_up.seconds) * self.shape.lanes)

    def _work(self, source: InOrder[SlideWork]) -> Steps:
        """One worker, as long as there are slides for it."""
        while not isinstance(one := source.next_item(), Nothing):
            began = self.shared.env.now
            try:
                yield from self._slide(one)
            except Interrupt:
                self.lost.append(one)
                self._count("lost", self.shared.env.now - began)
                return

    def _slide(self, one: SlideWork) -> Steps:
        """Bytes come and go while it computes; then its files are named."""
        env, began, needed = self.shared.env, self.shared.env.now, one.seconds / self.shape.units
        computed = env.timeout(needed * self.slow)
        yield computed & self.shared.bandwidth.transfer(one.nbytes) if one.nbytes else computed
        had = env.now
        if one.operations:
            yield self.shared.operations.do(one.operations)
        self._count("work", needed)
        self._count("slow", needed * (self.slow - 1))
        self._count("bytes", max(0.0, had - began - needed * self.slow))
        self._count("names", env.now - had)

    def _stop(self, stop: threading.Event, workers: list[Process]) -> Steps:
        """First nothing more is dealt, then what is under way is ended."""
        assert self.shape.stop_at is not None and self.shape.kill_at is not None  # noqa: S101 - of its caller
        yield self.shared.env.timeout(self.shape.stop_at)
        stop.set()
        yield self.shared.env.timeout(self.shape.kill_at - self.shape.stop_at)
        end_all(workers)

    def _count(self, name: str, seconds: float) -> None:
        """Seconds of one worker."""
        self.shared.accounts.add(name, seconds * self.shape.nodes / self.shape.lanes)


def end_all(workers: list[Process]) -> None:
    for worker in workers:
        if worker.is_alive:
            worker.interrupt()
