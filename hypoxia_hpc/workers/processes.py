"""Starting a worker process, and ending it.

Workers are spawned, never forked (forking after a Zarr read can deadlock), ignore the terminal's signals and end when
their pipe closes. What a worker has to do reaches it by its pipe, so it can be started before that is known: Python and
the libraries take a worker longer than it takes its parent to read run.toml and slides.csv.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from hypoxia_hpc.workers.worker import FOR_THE_PARENT, Job, serve

# Workers that were started ahead and have nothing to do yet.
_AHEAD: list[WorkerProcess] = []


@dataclass(slots=True)
class WorkerProcess:
    """A worker process, and the pipe to it."""

    process: BaseProcess
    pipe: Connection
    began: bool = False  # it has said so: Python and all that it imports are there

    def kill(self) -> None:
        """Workers ignore SIGTERM. What they were making is made again."""
        self.pipe.close()
        self.process.kill()
        self.process.join()

    def how_it_ended(self) -> str:
        """A sentence for the user, of a process that has ended."""
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory? see dmesg or the job's memory limit)" if name == "SIGKILL" else ""
            return f"its worker process was ended by {name}{hint}"
        return f"its worker process ended with exit code {code}"


@contextmanager
def started_ahead(modules: Sequence[str]) -> Iterator[None]:
    """A worker process starts now and imports these modules, while this process finds out what there is to do. The
    first worker that is needed within is this one; where none is, it is killed. Without modules none is started."""
    ahead = [_started(modules)] if modules else []
    _AHEAD.extend(ahead)
    try:
        yield
    finally:
        for worker in ahead:
            if worker in _AHEAD:
                _AHEAD.remove(worker)
                worker.kill()


def worker_process(job: Job) -> WorkerProcess:
    """A worker process that does this job: one that was started ahead, else a new one."""
    worker = _AHEAD.pop() if _AHEAD else _started()
    with suppress(BrokenPipeError):  # the next look at its pipe finds that it died
        worker.pipe.send(job)
    return worker


def _started(modules: Sequence[str] = ()) -> WorkerProcess:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, modules), daemon=True)
    # The process inherits what is held back here, so that a signal cannot end it while it is still importing.
    resource_tracker.ensure_running()  # else the first start would do it, and let the signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_PARENT)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return WorkerProcess(process, ours)
