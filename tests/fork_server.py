"""The command line in forks of a process that has imported everything: a fork is at work within milliseconds, a Python
of its own after a second, with TensorFlow after five. Run by ``forks.py`` and, without a server, by tests of kills.

``fork_server.py DESCRIPTOR``: serves a listening socket until standard input ends. A client sends an empty line with
the descriptors of standard output and standard error, then a line of JSON, {"arguments", "folder", "environment",
"fault"}. The answer is the process id, and at the end the exit code, or minus the number of the signal; a line each.
The process leads a group of its own, its worker processes are forks too.

``fork_server.py command ARGUMENT...``: ``hypoxia-hpc ARGUMENT...`` in this process, with the fault of the environment.

A fault, {"calls", "n", "run"}: calls of fsync, rename or replace below the run directory get a line each in ``calls``,
and before the n-th (0: never), whichever process makes it, the whole process group is killed. Calls in RUN/running do
not count: what a process writes about itself there goes by the clock. $HYPOXIA_TEST_FAULT holds the same, for worker
processes that are spawned: they import this file again.
"""

import ctypes
import gc
import importlib
import json
import multiprocessing
import os
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.cli import app
from hypoxia_hpc.stores.commit import LEFTOVER_NAME
from hypoxia_hpc.workers import processes

COUNTED = ("fsync", "rename", "replace")
PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h
FAULT = "HYPOXIA_TEST_FAULT"
# What stages import when they need it, beside TensorFlow.
LIBRARIES = (
    "jinja2",
    "matplotlib.backends.backend_svg",
    "pyarrow.parquet",
    "safetensors.numpy",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.isotonic",
    "sklearn.linear_model",
    "zarr",
)


# --- faults ------------------------------------------------------------------------------------------------------


def arm(calls: str, n: int, run: str) -> None:
    for name in COUNTED:
        setattr(os, name, partial(counted, name, getattr(os, name), Path(calls), n, Path(run)))


def counted(
    name: str, function: Callable[..., Any], calls: Path, n: int, run: Path, *arguments: Any, **options: Any
) -> Any:
    paths = [path_of(argument) for argument in arguments]
    if paths[0].is_relative_to(run) and not paths[0].is_relative_to(run / "running"):
        told = " ".join(unmarked(path, run) for path in paths)
        if append_line(calls, f"{name} {told}") == n:
            os.killpg(os.getpgrp(), signal.SIGKILL)
    return function(*arguments, **options)


def path_of(argument: int | str | Path) -> Path:
    return Path(f"/proc/self/fd/{argument}").readlink() if isinstance(argument, int) else Path(argument)


def unmarked(path: Path, run: Path) -> str:
    """A path below the run; of names of leftovers only what is the same in every process."""
    parts = path.relative_to(run).parts
    return "/".join(part.rsplit("-", 3)[0] if LEFTOVER_NAME.fullmatch(part) else part for part in parts) or "."


def append_line(calls: Path, line: str) -> int:
    """Lines of ``calls`` after this one was added; lines of several processes do not mix (O_APPEND)."""
    with calls.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())
        end = file.tell()
    return calls.read_bytes()[:end].count(b"\n")


# --- the server --------------------------------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    import_everything()
    with socket.socket(fileno=descriptor) as listening:
        signal.signal(signal.SIGCHLD, reap)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            client, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                os._exit(attend(client))
            client.close()


def reap(*_: object) -> None:
    """Take note of the ends of children: whoever waits for this process then counts their time too."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def attend(client: socket.socket) -> int:
    """One command in a child of this process, which waits for the end of all that the child leaves behind: a worker
    that has been killed and not been waited for still counts as alive."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    _, descriptors, _, _ = socket.recv_fds(client, 1, 2)
    with client.makefile("rb") as lines:
        request = json.loads(lines.readline())
    child = os.fork()
    if child == 0:
        client.close()
        os._exit(run_command(*descriptors, **request))
    client.sendall(f"{child}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(ChildProcessError):
        while True:
            os.wait()
    client.sendall(f"{code}\n".encode())
    return 0


def run_command(
    output: int,
    errors: int,
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    fault: dict[str, Any] | None,
) -> int:
    os.setsid()
    for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), output, errors)):
        os.dup2(descriptor, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(":") if path and path not in sys.path]
    if fault is not None:
        arm(**fault)
    fork_workers()
    sys.argv = ["hypoxia-hpc", *arguments]
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def fork_workers() -> None:
    fork = multiprocessing.get_context("fork")
    # It asks its own `multiprocessing` for a context, a name that mypy does not count among what it exports.
    processes.multiprocessing.get_context = lambda _: fork  # type: ignore[attr-defined]
    processes.serve = partial(serve_alone, processes.serve)


def serve_alone(serve: Callable[..., None], pipe: Connection, *others: Any) -> None:
    """A forked worker has the parent's end of its pipe too, and would wait for itself to close it: give that up."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor not in (nothing, pipe.fileno()) and is_socket(descriptor):
            os.dup2(nothing, descriptor)
    serve(pipe, *others)


def is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # that of the folder, which was open only while it was listed
        return False


def import_everything() -> None:
    """What stages import when they begin, TensorFlow too: none of it starts a thread before it is used. What is there
    then is left out of the children's collections of garbage, half a second each."""
    for name in LIBRARIES:
        importlib.import_module(name)
    from hypoxia_hpc.monitoring import estimate, status, verify  # noqa: F401
    from hypoxia_hpc.networks.runtime import start_keras
    from hypoxia_hpc.stages import evaluate, extract, init, predict, report, submit, tile, train  # noqa: F401

    start_keras()
    compile_kernels()
    gc.collect()
    gc.freeze()


def compile_kernels() -> None:
    """Cut one tile, so that the children of this process need not compile what that takes."""
    from hypoxia_hpc.tiling.cutting import BlockGrid, TileGrid, cut_tiles
    from hypoxia_hpc.tiling.kernels.planes import PACKED
    from hypoxia_hpc.tiling.kernels.state import CutRule

    class Black:
        grid = BlockGrid(0, 0, 2, 2, 1, 1)

        def read(self, number: int, out: np.ndarray) -> int:
            out[:] = number
            return PACKED

    tile = np.zeros((2, 2, 3), np.uint8)
    cut_tiles([Black()], TileGrid(2, 2, 1, 1), CutRule(220, 1, True), np.ones(1, bool), lambda: tile)


if FAULT in os.environ:
    arm(**json.loads(os.environ[FAULT]))

if __name__ == "__main__":
    if sys.argv[1] == "command":
        del sys.argv[1]
        app.main()
    else:
        serve(int(sys.argv[1]))
