"""Worker processes: each free worker receives the next item. A worker that dies is replaced, and costs one item one
attempt.

``concurrent.futures`` gives up the whole pool when one process dies, so the pool is our own. How workers are started is
in processes.py, what they do in worker.py. A worker may hold several items at once. Where it dies, the item that killed
it is not known. So none of them loses an attempt, but each is tried again alone in a worker, and then a death counts
against it.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection, wait
from typing import Generic, Protocol, TypeVar

from hypoxia_hpc.errors import MachineError, Stopped
from hypoxia_hpc.workers.messages import Ticked
from hypoxia_hpc.workers.processes import WorkerProcess, worker_process
from hypoxia_hpc.workers.worker import Job, Tick

Item = TypeVar("Item")
Result = TypeVar("Result")
Dealt_co = TypeVar("Dealt_co", covariant=True)

# A worker may die by what is no fault of its item (memory that others took): the item is tried once more. What dies
# twice would mostly die again, and each attempt costs as much as the first.
MOST_ATTEMPTS = MOST_STARTS = 2
# News of workers wake this process at once: this is how late it sees ``stop``, which wakes nothing. Heartbeats are
# written between, too.
POLL_SECONDS = 0.5
# The signal that ends a whole job may reach a worker this long before it reaches this process.
NEWS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Finished(Generic[Item, Result]):
    """An item and what ``work`` returned for it."""

    item: Item
    result: Result


@dataclass(frozen=True, slots=True)
class FailedItem(Generic[Item]):
    """An item that could not be worked on: ``why`` is ``worker-died`` (its process ended, ``attempts`` times) or
    ``internal-error`` (an exception that the code does not expect; ``detail`` has its traceback)."""

    item: Item
    why: str
    detail: str
    attempts: int


@dataclass(frozen=True, slots=True)
class DroppedItem(Generic[Item]):
    """An item that its worker held, but of which no tile was done before the stop. Nothing is lost, it is to do."""

    item: Item


Event = Finished[Item, Result] | Ticked | FailedItem[Item] | DroppedItem[Item]


class Nothing(Enum):
    """The answer of a source that has no item."""

    NOT_YET = "ask again"
    NO_MORE = "there will be none"


class Source(Protocol[Dealt_co]):
    """Where items come from."""

    def next_item(self) -> Dealt_co | Nothing:
        """An item for a free worker. Does not wait for one."""

    def turn(self) -> float:
        """Do what else is due; returns the longest time until the next call, in seconds. Called until all is done."""


@dataclass(frozen=True, slots=True)
class InOrder(Generic[Item]):
    """A source of a row of items, until ``stop`` is set."""

    items: deque[Item]
    stop: threading.Event

    def next_item(self) -> Item | Nothing:
        return self.items.popleft() if self.items and not self.stop.is_set() else Nothing.NO_MORE

    def turn(self) -> float:
        return POLL_SECONDS


def deal(
    items: Sequence[Item], work: Callable[[Item, Tick], Result], *, workers: int, stop: threading.Event
) -> Iterator[Event[Item, Result]]:
    """Work on every item in ``workers`` processes, in the order given, and yield what happens as it happens.

    ``work`` must be picklable. After ``stop`` is set no item is dealt any more; those in flight are finished.

    Raises:
        HypoxiaError: one that ``work`` raised, at once (disk full, bad weights); Stopped when ``stop`` was set before
            the end.
    """
    left = len(items)
    with closing(ProcessPool(work, min(workers, len(items)), stop).events(InOrder(deque(items), stop))) as events:
        for event in events:
            left -= not isinstance(event, Ticked)
            yield event
    refuse_left(left)


def refuse_left(left: int) -> None:
    """Raises Stopped where anything is left to do."""
    if left:
        raise Stopped(f"stopped on request; {left} left to do", remedy="run the same command again to go on")


@dataclass(slots=True)
class _Try(Generic[Item]):
    """An item on its way through a worker."""

    item: Item
    attempt: int = 1
    alone: bool = False  # nothing beside it in its worker
    has_ticked: bool = False


@dataclass(slots=True)
class _WorkerSlot(Generic[Item]):
    """Room for one worker process, which is started when there is something to do, and what it has spent its time on
    (seconds; it is idle until it is started, and busy while another one takes the place of one that died).

    ``given`` is what the worker holds, by number; ``apart`` waits to be tried again, each with the worker to itself.
    """

    number: int
    worker: WorkerProcess | None = None
    given: dict[int, _Try[Item]] = field(default_factory=dict)
    apart: deque[_Try[Item]] = field(default_factory=deque)
    false_starts: int = 0
    busy: float = 0.0
    idle: float = 0.0
    since: float = field(default_factory=time.monotonic)

    @property
    def tries(self) -> list[_Try[Item]]:
        return [*self.given.values(), *self.apart]

    def takes_more(self, holding: int) -> bool:
        """May it have another item, while it holds ``holding`` of them?"""
        # A second one only after the worker has started: by then every rank has asked for its first.
        ready = not holding or (self.worker is not None and self.worker.began)
        return ready and len(self.given) == holding and not any(one.alone for one in self.tries)

    def count(self) -> None:
        """Add the time since the last call to what the place is doing."""
        now = time.monotonic()
        if self.given:
            self.busy += now - self.since
        else:
            self.idle += now - self.since
        self.since = now


class ProcessPool(Generic[Item, Result]):
    """At most ``size`` worker processes (at least one), which all do the same ``work`` on up to ``at_once`` items each,
    in as many threads. A death after ``stop`` was set is no fault of an item.

    ``init_worker`` is called first of all in a worker process, with the number of its slot, 0 to size - 1. It and
    ``work`` must be picklable. ``ended`` is called here with each item that a worker process held when it died or was
    killed, and the id of that process.
    """

    def __init__(
        self,
        work: Callable[[Item, Tick], Result],
        size: int,
        stop: threading.Event,
        *,
        at_once: int = 1,
        init_worker: Callable[[int], None] | None = None,
        ended: Callable[[Item, int], None] = lambda item, pid: None,
    ) -> None:
        self._work, self._init_worker, self._ended = work, init_worker, ended
        self._stop = stop
        self._at_once = at_once
        self._numbers = itertools.count()
        self._slots: list[_WorkerSlot[Item]] = [_WorkerSlot(number) for number in range(max(1, size))]

    def events(self, source: Source[Item]) -> Generator[Event[Item, Result]]:
        """Work on all that ``source`` gives, and yield what happens as it happens. Close it: closing ends the workers.

        Raises:
            HypoxiaError: one that ``work`` raised, at once.
            MachineError: worker processes that end before they have begun, or while all is being stopped; no item is
                the reason for that.
        """
        try:
            while self._deal(source) or self.in_flight:
                yield from self._hear_all(source.turn())
                if self._stop.is_set() and self._at_once > 1:
                    yield from self._drop()
        finally:
            self._shutdown()

    @property
    def in_flight(self) -> list[Item]:
        """What is being worked on."""
        return [one.item for slot in self._slots for one in slot.tries]

    def seconds(self) -> tuple[list[float], list[float]]:
        """How long each worker has been busy so far, and how long idle."""
        for slot in self._slots:
            slot.count()
        return [slot.busy for slot in self._slots], [slot.idle for slot in self._slots]

    def _deal(self, source: Source[Item]) -> bool:
        """Give an item to every worker that has room, first to those that hold least; false where no more will come."""
        for holding in range(self._at_once):
            for slot in self._slots:
                if slot.takes_more(holding):
                    item = source.next_item()
                    if isinstance(item, Nothing):
                        return item is Nothing.NOT_YET
                    self._give(slot, _Try(item))
        return True

    def _give(self, slot: _WorkerSlot[Item], one: _Try[Item]) -> None:
        slot.count()
        number = next(self._numbers)
        slot.given[number] = one
        if slot.worker is None:
            slot.worker = worker_process(Job(self._work, self._at_once, self._init_worker, slot.number))
        with suppress(BrokenPipeError):  # the next look at its pipe finds that it died
            slot.worker.pipe.send((number, one.item))

    def _hear_all(self, seconds: float) -> Iterator[Event[Item, Result]]:
        """One message of every worker that sent one; waits ``seconds`` for the first."""
        busy = {slot.worker.pipe: slot for slot in self._slots if slot.worker and slot.given}
        for pipe in wait([*busy], seconds):
            assert isinstance(pipe, Connection)  # noqa: S101 - wait takes other things, too
            event = self._hear(busy[pipe], pipe)
            if event is not None:
                yield event

    def _hear(self, slot: _WorkerSlot[Item], pipe: Connection) -> Event[Item, Result] | None:
        """One message; makes room when an item is over."""
        worker = slot.worker
        assert worker is not None  # noqa: S101 - only pipes of busy workers are read
        try:
            kind, number, value = pipe.recv()
        except (EOFError, OSError):  # OSError: it was killed in the middle of a message
            return self._reap(slot, worker)
        if kind == "began":
            worker.began = True
            slot.false_starts = 0
            return None
        if kind == "ticked":
            slot.given[number].has_ticked = True
            return Ticked(value)
        item = self._over(slot, number)
        if kind == "raised":
            raise value
        if kind == "bug":
            return FailedItem(item, "internal-error", value, 1)
        return Finished(item, value)

    def _over(self, slot: _WorkerSlot[Item], number: int) -> Item:
        slot.count()
        item = slot.given.pop(number).item
        self._try_again(slot)
        return item

    def _try_again(self, slot: _WorkerSlot[Item]) -> None:
        if slot.apart and not slot.given:
            self._give(slot, slot.apart.popleft())

    def _reap(self, slot: _WorkerSlot[Item], worker: WorkerProcess) -> FailedItem[Item] | None:
        """A worker died. What it held is tried again: one by one, or all of it at once where it had not begun."""
        how = self._end(slot, worker)
        lost, slot.given = [*slot.given.values()], {}
        if not worker.began:  # as where the image it runs from was unmounted before the job itself was killed
            self._count_false_start(slot, how)
            for one in lost:
                self._give(slot, one)
            return None
        cost = 1 if len(lost) == 1 else 0
        again = [_Try(one.item, one.attempt + cost, alone=True) for one in lost]
        slot.apart.extend(one for one in again if one.attempt <= MOST_ATTEMPTS)
        self._try_again(slot)
        dead = [one.item for one in again if one.attempt > MOST_ATTEMPTS]
        return FailedItem(dead[0], "worker-died", how, MOST_ATTEMPTS) if dead else None

    def _end(self, slot: _WorkerSlot[Item], worker: WorkerProcess) -> str:
        """Reap the process; how it ended. Raises MachineError where the whole job ended."""
        slot.count()
        slot.worker = None
        worker.pipe.close()
        worker.process.join()
        self._say_ended(slot, worker)
        how = worker.how_it_ended()
        if self._ended_with_the_job(worker.process.exitcode):
            raise MachineError(
                f"a worker process did not live to finish what it was at, while all was being stopped: {how}",
                remedy="nothing is lost, run the same command again to go on",
            )
        return how

    def _count_false_start(self, slot: _WorkerSlot[Item], how: str) -> None:
        slot.false_starts += 1
        if slot.false_starts == MOST_STARTS:
            raise MachineError(
                f"worker processes could not begin, {MOST_STARTS} times in a row: {how}",
                remedy="what they said is above; a script that uses hypoxia_hpc has to call it below "
                'if __name__ == "__main__":, because workers import the script; '
                "nothing is lost, run the same command again to go on",
            )

    def _ended_with_the_job(self, exit_code: int | None) -> bool:
        """SLURM signals every process of a job, also the one that has the image mounted: where that goes first, reading
        from the image raises SIGBUS, perhaps before this process has heard that it is to stop."""
        return self._stop.wait(NEWS_SECONDS if exit_code == -signal.SIGBUS else 0)

    def _drop(self) -> Iterator[DroppedItem[Item]]:
        """After a stop: items of which nothing is done yet are dropped."""
        for slot in self._slots:
            if slot.worker is not None and slot.given and not any(one.has_ticked for one in slot.given.values()):
                slot.worker.kill()
                self._say_ended(slot, slot.worker)
                slot.count()
                items = [one.item for one in slot.tries]
                slot.worker = None
                slot.given.clear()
                slot.apart.clear()
                yield from map(DroppedItem, items)

    def _shutdown(self) -> None:
        started = [(slot, slot.worker) for slot in self._slots if slot.worker is not None]
        for _, worker in started:
            worker.pipe.close()
        for slot, worker in started:
            if slot.given:
                worker.kill()
                self._say_ended(slot, worker)
            worker.process.join()

    def _say_ended(self, slot: _WorkerSlot[Item], worker: WorkerProcess) -> None:
        assert worker.process.pid is not None  # noqa: S101 - it was started
        for one in slot.given.values():
            self._ended(one.item, worker.process.pid)
