"""Images in folders, in the stain that a cohort agrees on: the same bytes by shares at once, by ranks, after kills."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_runs import LIMIT_SECONDS, digests, finish, log_of, start
from image_folders import write_stained_run
from mpi_ranks import MPIEXEC, NEEDS_MPIEXEC

N_STORES = 6


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stained_run(tmp_path_factory.mktemp("stained") / "run")


@pytest.fixture(scope="module")
def alone(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one worker makes."""
    run = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(untouched, run)
    finish(start("tile", run, "--workers", "1"))
    made = digests(run)
    assert "stain.json" in made and len({Path(name).parts[1] for name in made if "tiles/" in name}) == N_STORES
    return made


@pytest.fixture
def run(untouched: Path, tmp_path: Path) -> Path:
    shutil.copytree(untouched, tmp_path / "run")
    return tmp_path / "run"


def by_shares(run: Path) -> None:
    both = [start("tile", run, "--share", f"{n}/2", log=run.parent / f"log-{n}") for n in range(2)]
    for process in both:
        finish(process)


def by_ranks(run: Path) -> None:
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", "hypoxia_hpc", "tile", run, "--mpi"]
    subprocess.run(command, check=True, timeout=LIMIT_SECONDS)


@pytest.mark.parametrize(
    "tiled",
    [
        by_shares,
        pytest.param(by_ranks, marks=NEEDS_MPIEXEC),
    ],
)
def test_several_processes_make_what_one_makes(run: Path, alone: dict[str, str], tiled: Callable[[Path], None]) -> None:
    tiled(run)
    assert digests(run) == alone


# Before what makes stain.json is on disk, before it has its name, in the first store, in a later one.
@pytest.mark.parametrize("calls", [(1, 2, 5, 30), pytest.param(tuple(range(1, 60, 2)), marks=pytest.mark.long)])
def test_kills_change_no_byte(run: Path, alone: dict[str, str], calls: tuple[int, ...]) -> None:
    for n in calls:
        code = start("tile", run, "--workers", "1", kill_before=n, log=log_of(run)).wait(LIMIT_SECONDS)
        assert code in (-signal.SIGKILL, 0)
        assert n > 2 or (code, (run / "stain.json").exists()) == (-signal.SIGKILL, False)
    finish(start("tile", run))
    assert digests(run) == alone
