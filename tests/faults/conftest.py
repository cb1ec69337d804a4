"""What the tests of this folder share: an undisturbed run, one with other settings, and servers that fork."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from fault_runs import DRIVER, Forked, change_setting, copy_run, finish, make_cohort, start

N_SERVERS = 2  # one per core that a test may count on


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of which nothing is done."""
    return make_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="session")
def whole(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run, one worker: what every other has to equal."""
    run = copy_run(untouched, tmp_path_factory.mktemp("whole") / "run")
    finish(start("run", run, log=run.parent / "log"))
    return run


@pytest.fixture(scope="session")
def other(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the same slides with another [tile] table, so that no key is one of the undisturbed run."""
    run = copy_run(untouched, tmp_path_factory.mktemp("other") / "run")
    change_setting(run, "tile", "max_background", "0.1")
    finish(start("run", run, log=run.parent / "log"))
    return run


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    """As many threads as there are servers."""
    with ThreadPoolExecutor(N_SERVERS) as threads:
        yield threads


@pytest.fixture(scope="session")
def forked() -> Iterator[Forked]:
    """``forked(run, arguments, n)``: the command line in a fork of a server, killed before call ``n`` (0: never); its
    exit code. Several threads may call it."""
    free: queue.Queue[subprocess.Popen[str]] = queue.Queue()

    def call(run: Path, arguments: Sequence[str], n: int) -> int:
        calls = run.parent / f"calls-{n}"
        request = {"arguments": [*arguments], "calls": str(calls), "n": n, "run": str(run)}
        server = free.get()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        free.put(server)
        return int(answer)

    with ExitStack() as servers:
        for _ in range(N_SERVERS):
            server = subprocess.Popen(
                [sys.executable, DRIVER, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            servers.enter_context(server)  # closes its input, so that it ends
            free.put(server)
        yield call
