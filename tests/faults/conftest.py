"""What the tests of this folder share: a run with other settings, and threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_runs import change_setting, copy_run, finish, start
from once import made_once

N_CORES = 2  # that a test may count on


@pytest.fixture(scope="session")
def other(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the same slides with another [tile] table, so that no key is one of the undisturbed run."""

    def make(folder: Path) -> None:
        run = copy_run(untouched, folder / "run")
        change_setting(run, "tile", "max_background", "0.1")
        finish(start("run", run))

    return made_once(tmp_path_factory, "other", make) / "run"


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core."""
    with ThreadPoolExecutor(N_CORES) as threads:
        yield threads
