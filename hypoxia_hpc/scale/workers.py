"""Worker processes: items are dealt one at a time to whichever worker is free; a worker that dies costs one item one
attempt and is replaced.

``concurrent.futures`` gives up the whole pool when one process dies, so the pool is our own. Workers are spawned, never
forked (forking after a Zarr read can deadlock), ignore the terminal's signals and end when their pipe closes.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, Protocol, TypeVar

from hypoxia_hpc.errors import HypoxiaError, MachineError, Stopped

Item = TypeVar("Item")
Result = TypeVar("Result")
Dealt_co = TypeVar("Dealt_co", covariant=True)
Tick = Callable[[int], None]

MOST_ATTEMPTS = MOST_STARTS = 2
POLL_SECONDS = 0.5
# How long after its worker this process may hear that the whole job is being ended.
NEWS_SECONDS = 2.0
# The terminal and SLURM signal every process of the job; the parent decides what to do about it.
FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass(frozen=True, slots=True)
class Finished(Generic[Item, Result]):
    """An item and what ``work`` returned for it."""

    item: Item
    result: Result


@dataclass(frozen=True, slots=True)
class Ticked:
    """So many tiles were done somewhere."""

    tiles: int


@dataclass(frozen=True, slots=True)
class Failed(Generic[Item]):
    """An item that could not be worked on: ``why`` is ``worker-died`` (its process ended, ``attempts`` times) or
    ``internal-error`` (an exception nobody foresaw, with its traceback in ``detail``)."""

    item: Item
    why: str
    detail: str
    attempts: int


class Nothing(Enum):
    """What a source says when it has no item."""

    NOT_YET = "ask again"
    NO_MORE = "there will be none"


class Source(Protocol[Dealt_co]):
    """Where items come from."""

    def next_item(self) -> Dealt_co | Nothing:
        """An item for a worker that is free, without waiting for one."""

    def turn(self) -> float:
        """Do whatever else is due; the most seconds until the next call. Called over and over until all is done."""


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
) -> Iterator[Finished[Item, Result] | Ticked | Failed[Item]]:
    """Work on every item in ``workers`` processes, in the order given, and yield what happens as it happens.

    ``work`` must be picklable. After ``stop`` is set no item is dealt any more; those in flight are finished.

    Raises:
        HypoxiaError: one that ``work`` raised, at once (disk full, bad weights); Stopped when ``stop`` was set before
            the end.
    """
    left = len(items)
    with closing(Crew(work, min(workers, len(items)), stop).events(InOrder(deque(items), stop))) as events:
        for event in events:
            left -= not isinstance(event, Ticked)
            yield event
    refuse_left(left)


def refuse_left(left: int) -> None:
    """Raises Stopped where anything is left to do."""
    if left:
        raise Stopped(f"stopped on request; {left} left to do", remedy="run the same command again to go on")


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    began: bool = False  # it has said so: Python and all that it imports are there


@dataclass(slots=True)
class _Place(Generic[Item]):
    """Room for one worker process, which is started when there is something to do, and what it has spent its time on
    (seconds; it is idle until it is started, and busy while another one takes the place of one that died)."""

    worker: _Worker | None = None
    item: Item | None = None
    attempt: int = 0
    false_starts: int = 0
    busy: float = 0.0
    idle: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def count(self) -> None:
        """Add the time since the last call to what the place is doing."""
        now = time.monotonic()
        if self.item is None:
            self.idle += now - self.since
        else:
            self.busy += now - self.since
        self.since = now


class Crew(Generic[Item, Result]):
    """At most ``size`` worker processes (at least one), which all do the same ``work``; it must be picklable. A death
    after ``stop`` was set is no fault of an item."""

    def __init__(self, work: Callable[[Item, Tick], Result], size: int, stop: threading.Event) -> None:
        self._work = work
        self._stop = stop
        self._places: list[_Place[Item]] = [_Place() for _ in range(max(1, size))]

    def events(self, source: Source[Item]) -> Generator[Finished[Item, Result] | Ticked | Failed[Item]]:
        """Work on all that ``source`` gives, one item for each worker that is free, and yield what happens as it
        happens. Close it: that ends the workers.

        Raises:
            HypoxiaError: one that ``work`` raised, at once.
            MachineError: worker processes that end before they have begun, or while all is being stopped; no item is
                to blame for that.
        """
        try:
            while self._deal(source) or self.in_flight:
                yield from self._hear_all(source.turn())
        finally:
            self._dismiss()

    @property
    def in_flight(self) -> list[Item]:
        """What is being worked on."""
        return [place.item for place in self._places if place.item is not None]

    def seconds(self) -> tuple[list[float], list[float]]:
        """How long each worker has been busy so far, and how long idle."""
        for place in self._places:
            place.count()
        return [place.busy for place in self._places], [place.idle for place in self._places]

    def _deal(self, source: Source[Item]) -> bool:
        """Give an item to everyone who is free; false where there will be no more."""
        for place in self._places:
            if place.item is None:
                item = source.next_item()
                if isinstance(item, Nothing):
                    return item is Nothing.NOT_YET
                self._give(place, item, attempt=1)
        return True

    def _give(self, place: _Place[Item], item: Item, attempt: int) -> None:
        place.count()
        place.item, place.attempt = item, attempt
        if place.worker is None:
            place.worker = _hire(self._work)
        with suppress(BrokenPipeError):  # a worker that has died is found when it is listened to
            place.worker.pipe.send(item)

    def _hear_all(self, seconds: float) -> Iterator[Finished[Item, Result] | Ticked | Failed[Item]]:
        """One message of everyone who has one; waits so long for the first."""
        busy = {place.worker.pipe: place for place in self._places if place.worker and place.item is not None}
        for pipe in wait([*busy], seconds):
            assert isinstance(pipe, Connection)  # noqa: S101 - wait takes other things, too
            event = self._hear(busy[pipe], pipe)
            if event is not None:
                yield event

    def _hear(self, place: _Place[Item], pipe: Connection) -> Finished[Item, Result] | Ticked | Failed[Item] | None:
        """One message; frees the place when its item is over."""
        item, worker = place.item, place.worker
        assert item is not None and worker is not None  # noqa: S101 - only busy workers are listened to
        try:
            kind, value = pipe.recv()
        except (EOFError, OSError):  # OSError: it was killed in the middle of a message
            return self._bury(place, item)
        if kind == "began":
            worker.began = True
            place.false_starts = 0
            return None
        if kind == "ticked":
            return Ticked(value)
        self._free(place)
        if kind == "raised":
            raise value
        if kind == "bug":
            return Failed(item, "internal-error", value, 1)
        return Finished(item, value)

    def _bury(self, place: _Place[Item], item: Item) -> Failed[Item] | None:
        """A worker died: somebody else tries its item once more, if it was the first to or had not begun."""
        worker, place.worker = place.worker, None
        assert worker is not None  # noqa: S101 - it was listened to
        worker.pipe.close()
        worker.process.join()
        how = _how_it_ended(worker.process.exitcode)
        if self._ended_with_the_job(worker.process.exitcode):
            raise MachineError(
                f"a worker process did not live to finish what it was at, while all was being stopped: {how}",
                remedy="nothing is lost, run the same command again to go on",
            )
        if not worker.began:  # as where the image it runs from was unmounted before the job itself was killed
            place.false_starts += 1
            if place.false_starts == MOST_STARTS:
                raise MachineError(
                    f"worker processes could not begin, {MOST_STARTS} times in a row: {how}",
                    remedy="what they said is above; nothing is lost, run the same command again to go on",
                )
            self._give(place, item, place.attempt)
            return None
        if place.attempt < MOST_ATTEMPTS:
            self._give(place, item, place.attempt + 1)
            return None
        self._free(place)
        return Failed(item, "worker-died", how, place.attempt)

    def _ended_with_the_job(self, exit_code: int | None) -> bool:
        """SLURM signals every process of a job, also the one that has the image mounted: where that goes first, reading
        from the image raises SIGBUS, perhaps before this process has heard that it is to stop."""
        return self._stop.wait(NEWS_SECONDS if exit_code == -signal.SIGBUS else 0)

    def _free(self, place: _Place[Item]) -> None:
        place.count()
        place.item = None

    def _dismiss(self) -> None:
        hired = [(place, place.worker) for place in self._places if place.worker is not None]
        for _, worker in hired:
            worker.pipe.close()
        for place, worker in hired:
            if place.item is not None:
                worker.process.kill()  # they ignore SIGTERM; what they were making is made again
            worker.process.join()


def _hire(work: Callable[[Item, Tick], Result]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    # The process inherits what is held back here, so that a signal cannot end it while it is still importing.
    resource_tracker.ensure_running()  # else the first start would do it, and let the signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_PARENT)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = " (out of memory? see dmesg or the job's memory limit)" if name == "SIGKILL" else ""
        return f"its worker process was ended by {name}{hint}"
    return f"its worker process ended with exit code {exit_code}"


def _serve(pipe: Connection, work: Callable[[Item, Tick], Result]) -> None:
    for number in FOR_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)

    def tick(tiles: int) -> None:
        pipe.send(("ticked", tiles))

    with suppress(BrokenPipeError):  # the parent is gone: the next line finds it out
        pipe.send(("began", None))
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[str, object] = ("finished", work(item, tick))
        except HypoxiaError as error:
            answer = ("raised", error)
        except Exception:  # noqa: BLE001 - the border of the process: nothing is lost, the parent reports it as a bug
            answer = ("bug", traceback.format_exc())
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return  # the parent is gone, or has given up
