"""What a worker process does: takes items from the pipe to its parent, works on them in one thread or several, answers.

The parent sends a `Job` first. Messages to it are (kind, number of the item, value), from it (number, item).
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from hypoxia_hpc.errors import HypoxiaError

Tick = Callable[[int], None]
Work = Callable[[Any, Tick], object]

# The terminal and SLURM signal every process of the job; the parent decides what to do about it.
FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Line:
    """The pipe to the parent, for several threads."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self._receiving, self._sending = threading.Lock(), threading.Lock()

    def next_item(self) -> tuple[int, Any]:
        """Number and item. Raises EOFError where there will be none."""
        with self._receiving:
            number, item = self.pipe.recv()
            return number, item

    def tell(self, kind: str, number: int, value: object) -> None:
        """Raises BrokenPipeError where the parent is gone."""
        with self._sending:
            self.pipe.send((kind, number, value))


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker has to do: ``work`` on each item, ``at_once`` of them in as many threads. ``init_worker`` is called
    first, with the number of the worker's slot."""

    work: Work
    at_once: int
    init_worker: Callable[[int], None] | None
    slot: int


def serve(pipe: Connection, modules: Sequence[str]) -> None:
    """Import these modules, then wait for a `Job` and work until the pipe closes."""
    for number in FOR_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in modules:
        importlib.import_module(name)
    try:
        job: Job = pipe.recv()
    except EOFError:  # the parent has given up
        return
    _do(job, Line(pipe))


def _do(job: Job, line: Line) -> None:
    if job.init_worker is not None:
        job.init_worker(job.slot)
    with suppress(BrokenPipeError):  # the parent is gone: the next line finds it out
        line.tell("began", -1, None)
    others = [
        threading.Thread(target=_serve_or_end, args=(line, job.work), daemon=True) for _ in range(job.at_once - 1)
    ]
    for other in others:
        other.start()
    _serve_line(line, job.work)
    for other in others:
        other.join()


def _end_with_parent() -> None:
    """Where the parent is killed, the work of this process has no use; it would notice only at its next message."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _serve_line(line: Line, work: Work) -> None:
    while True:
        try:
            number, item = line.next_item()
        except EOFError:
            return
        kind, value = _answer(work, item, partial(line.tell, "ticked", number))
        try:
            line.tell(kind, number, value)
        except BrokenPipeError:
            return  # the parent is gone, or has given up


def _answer(work: Work, item: object, tick: Tick) -> tuple[str, object]:
    try:
        return "finished", work(item, tick)
    except HypoxiaError as error:
        return "raised", error
    except Exception:  # noqa: BLE001 - the border of the process: nothing is lost, the parent reports it as a bug
        return "bug", traceback.format_exc()


def _serve_or_end(line: Line, work: Work) -> None:
    """What ends the first thread ends the process. A thread beside it would just be gone, and its item with it."""
    try:
        _serve_line(line, work)
    except BaseException as error:  # noqa: BLE001 - SystemExit, too
        traceback.print_exc()
        os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1)
