"""Real slides, and the command line as users run it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_runs import copy_run, finish, make_cohort, start
from forks import SOCKET, fork, start_server
from hypothesis import settings
from once import made_once

LIMIT_SECONDS = 300
REPOSITORY = Path(__file__).parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
# Property tests are about what comes out, never about time. Continuous integration sees the same examples each time.
settings.register_profile("hypoxia", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("hypoxia")


def pytest_configure(config: pytest.Config) -> None:
    """No site file of whoever runs the tests. Where pytest-xdist shares them out to worker processes, one server of
    forks is for all of them."""
    os.environ["HYPOXIA_HPC_SITE"] = ""
    if config.getoption("numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ[SOCKET] = start_server()


# Tests that begin with a demo which another file makes, and the folder behind which they come: its maker is far ahead
# of them, so that no process waits for a demo that is being made. (Side by side, two files waited 130 s for two demos.)
# And the longest files of the last folder, which one process would run while the others have nothing left.
BEHIND = {
    "test_journey.py": "networks",
    "test_recomputed.py": "tiling",
    "test_mpi.py": "slides",
    "test_pool.py": "slides",
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of `BEHIND` come behind their folders; all else keeps its order."""
    ordered = [item for item in items if item.path.name not in BEHIND]
    for name, folder in BEHIND.items():
        waiting = [item for item in items if item.path.name == name]
        before = [number for number, item in enumerate(ordered, start=1) if folder in item.path.parts]
        place = before[-1] if before else len(ordered)
        ordered[place:place] = waiting
    items[:] = ordered


def pytest_collection_finish() -> None:
    """Some thousand tests, and what their files import, need not be looked through in each collection of garbage."""
    gc.collect()
    gc.freeze()


Hypoxia = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def real_slide() -> Path:
    """CMU-1-Small-Region.svs, of the package: 2220 x 2967 px, 0.499 µm/px, one level."""
    return REPOSITORY / "hypoxia_hpc" / "slides" / "CMU-1-Small-Region.svs"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Path of one of the files beside the checkout that are no part of the project. Where it is not there, the test is
    skipped; with HYPOXIA_SHARED=1 it fails."""

    def path_of(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            said = f"{path} is not here"
            assert os.environ.get("HYPOXIA_SHARED") != "1", said
            pytest.skip(said)
        return path

    return path_of


@pytest.fixture(scope="session")
def shared_slide(shared_data: Callable[[str], Path]) -> Callable[[str], Path]:
    """Path of one of the slides for running that are no part of the project."""
    return lambda name: shared_data(f"slides/{name}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; skips where no file system can be mounted, which takes root."""
    disk = tmp_path / "small-disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="session")
def hypoxia(tmp_path_factory: pytest.TempPathFactory) -> Hypoxia:
    """Run ``hypoxia-hpc ARGUMENTS`` to its end, in a fork; with ``fresh`` in a Python of its own, as users have it."""
    folder = tmp_path_factory.mktemp("said")

    def run(
        *arguments: object, fresh: bool = False, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        words = [*map(str, arguments)]
        if fresh:
            command = [sys.executable, "-m", "hypoxia_hpc", *words]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS, env=env)
        said, errors = folder / "said", folder / "errors"
        said.unlink(missing_ok=True)
        errors.unlink(missing_ok=True)
        code = fork(words, said, errors=errors, environment=env).wait(LIMIT_SECONDS)
        return subprocess.CompletedProcess(words, code, said.read_text(), errors.read_text())

    return run


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of which nothing is done."""
    return made_once(tmp_path_factory, "cohort", make_cohort) / "run"


@pytest.fixture(scope="session")
def whole(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run, one worker: what every other has to equal."""

    def make(folder: Path) -> None:
        finish(start("run", copy_run(untouched, folder / "run")))

    return made_once(tmp_path_factory, "whole", make) / "run"
