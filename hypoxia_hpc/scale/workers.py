"""Worker processes: items are dealt one at a time to whichever worker is free; a worker that dies costs one item one
attempt and is replaced.

``concurrent.futures`` gives up the whole pool when one process dies, so the pool is our own. Workers are spawned, never
forked (forking after a Zarr read can deadlock), ignore the terminal's signals and end when their pipe closes.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from hypoxia_hpc.errors import HypoxiaError, Stopped

Item = TypeVar("Item")
Result = TypeVar("Result")
Tick = Callable[[int], None]

MOST_ATTEMPTS = 2
POLL_SECONDS = 0.5
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


@dataclass(slots=True)
class _Worker(Generic[Item]):
    process: BaseProcess
    pipe: Connection
    item: Item | None = None


def deal(
    items: Sequence[Item], work: Callable[[Item, Tick], Result], *, workers: int, stop: threading.Event
) -> Iterator[Finished[Item, Result] | Ticked | Failed[Item]]:
    """Work on every item in ``workers`` processes, in the order given, and yield what happens as it happens.

    ``work`` must be picklable. After ``stop`` is set no item is dealt any more; those in flight are finished.

    Raises:
        HypoxiaError: one that ``work`` raised, at once (disk full, bad weights); Stopped when ``stop`` was set before
            the end.
    """
    queue = deque((item, 1) for item in items)
    attempts: dict[int, int] = {}
    crew = [_hire(work) for _ in range(min(workers, len(items)))]
    try:
        while queue or any(worker.item is not None for worker in crew):
            for worker in crew:
                if worker.item is None and queue and not stop.is_set():
                    worker.item, attempts[id(worker)] = queue.popleft()
                    with suppress(BrokenPipeError):  # a worker that has died is found below
                        worker.pipe.send(worker.item)
            busy = [worker for worker in crew if worker.item is not None]
            if not busy:
                raise Stopped(
                    f"stopped on request; {len(queue)} left to do", remedy="run the same command again to go on"
                )
            ready = set(wait([worker.pipe for worker in busy], POLL_SECONDS))
            for worker in busy:
                if worker.pipe not in ready:
                    continue
                attempt = attempts[id(worker)]
                event: Finished[Item, Result] | Ticked | Failed[Item] = _hear(worker)
                if isinstance(event, Failed) and event.why == "worker-died":
                    item = event.item
                    crew[crew.index(worker)] = _hire(work)
                    if attempt < MOST_ATTEMPTS:
                        queue.appendleft((item, attempt + 1))
                        continue
                    event = Failed(item, event.why, event.detail, attempt)
                yield event
    finally:
        for worker in crew:
            worker.pipe.close()
        for worker in crew:
            if worker.item is not None:
                worker.process.kill()  # they ignore SIGTERM; what they were making is made again
            worker.process.join()


def _hire(work: Callable[[Item, Tick], Result]) -> _Worker[Item]:
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


def _hear(worker: _Worker[Item]) -> Finished[Item, Result] | Ticked | Failed[Item]:
    """One message of a worker; frees the worker when its item is over."""
    assert worker.item is not None  # noqa: S101 - only busy workers are listened to
    item = worker.item
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):  # OSError: it was killed in the middle of a message
        worker.item = None
        worker.process.join()
        return Failed(item, "worker-died", _how_it_ended(worker.process.exitcode), 1)
    if kind == "ticked":
        return Ticked(value)
    worker.item = None
    if kind == "raised":
        raise value
    if kind == "bug":
        return Failed(item, "internal-error", value, 1)
    return Finished(item, value)


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
