"""The command line, killed on a call of fsync, rename or replace below a run directory. Run by the tests beside it.
Calls in RUN/running do not count: what a process tells of itself there goes by the clock.

``driver.py ARGUMENT...``: ``hypoxia-hpc ARGUMENT...``; before its N-th such call, whichever process makes it, the whole
process group is killed. FAULT_CALLS names a file that gets a line for each call, FAULT_N is N (0: never), FAULT_RUN the
run directory: in the environment, since worker processes import this file again and have to count too.

``driver.py serve``: the same for every line of standard input, {"arguments": [...], "calls": F, "n": N, "run": R}, in a
fork of this process, which has imported TensorFlow but run nothing (the import takes longer than a stage here); worker
processes are forks too. Answers each with the exit code, or minus the number of the signal.
"""

import json
import multiprocessing
import os
import signal
import stat
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.cli import app
from hypoxia_hpc.stores.commit import LEFTOVER_NAME
from hypoxia_hpc.workers import pool

COUNTED = ("fsync", "rename", "replace")


def arm(calls: Path, n: int, run: Path) -> None:
    for name in COUNTED:
        setattr(os, name, partial(counted, name, getattr(os, name), calls, n, run))


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


def serve() -> None:
    import_everything()
    fork = multiprocessing.get_context("fork")
    pool.multiprocessing.get_context = lambda _: fork  # type: ignore[attr-defined]
    pool.serve = partial(serve_alone, pool.serve)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(in_child(**json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


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
    from hypoxia_hpc.networks.runtime import start_keras
    from hypoxia_hpc.stages import evaluate, extract, report, tile, train  # noqa: F401

    start_keras()
    compile_kernels()


def compile_kernels() -> None:
    """Cut one tile, so that the children of this process need not compile what that takes."""
    from hypoxia_hpc.tiling.cutting import BlockGrid, TileGrid, cut_tiles
    from hypoxia_hpc.tiling.kernels.blocks import Rule
    from hypoxia_hpc.tiling.kernels.planes import PACKED

    class Black:
        grid = BlockGrid(0, 0, 2, 2, 1, 1)

        def read(self, number: int, out: np.ndarray) -> int:
            out[:] = number
            return PACKED

    tile = np.zeros((2, 2, 3), np.uint8)
    cut_tiles([Black()], TileGrid(2, 2, 1, 1), Rule(220, 1, True), np.ones(1, bool), lambda: tile)


def in_child(arguments: list[str], calls: str, n: int, run: str) -> int:
    os.setsid()
    for descriptor, name, flags in ((0, os.devnull, os.O_RDONLY), (1, f"{calls}.log", os.O_CREAT | os.O_WRONLY)):
        os.dup2(os.open(name, flags | os.O_APPEND), descriptor)
    os.dup2(1, 2)
    arm(Path(calls), n, Path(run))
    sys.argv = ["hypoxia-hpc", *arguments]
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if "FAULT_CALLS" in os.environ:
    arm(Path(os.environ["FAULT_CALLS"]), int(os.environ["FAULT_N"]), Path(os.environ["FAULT_RUN"]))

if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        app.main()
