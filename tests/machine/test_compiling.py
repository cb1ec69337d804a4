"""Compiled kernels are kept where no other user can put anything, or nowhere."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hypoxia_hpc.machine.compiling import PACKAGE, ROOMS

COUNT = """
import numpy as np
from hypoxia_hpc.tiling.kernels.packed import count_background
n = count_background(np.full((2, 3), 0xFFFFFFFF, np.uint32), 0, 3, 220)
print(n, sum(count_background.stats.cache_hits.values()))
"""


def count(folder: Path, **environment: str) -> str:
    """What a new process says that compiles, or loads, one kernel: the count, and how often it was loaded."""
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**inherited, "TMPDIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def kept(folder: Path) -> Path:
    return folder / f"hypoxia_hpc-kernels-{os.getuid()}"


def test_the_second_process_need_not_compile(tmp_path: Path) -> None:
    assert count(tmp_path) == "6 0"
    assert stat.S_IMODE(kept(tmp_path).stat().st_mode) == 0o700
    assert count(tmp_path) == "6 1"


@pytest.mark.parametrize("what", ["open to others", "a link", "a file"])
def test_a_folder_that_others_could_have_made_is_not_used(tmp_path: Path, what: str) -> None:
    if what == "open to others":
        kept(tmp_path).mkdir()
        kept(tmp_path).chmod(0o777)
    elif what == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        kept(tmp_path).symlink_to(tmp_path / "elsewhere")
    else:
        kept(tmp_path).touch()
    assert count(tmp_path) == "6 0"
    assert count(tmp_path) == "6 0"
    assert not [*tmp_path.rglob("*.nbc")]


def test_the_user_may_choose_another_folder(tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    assert count(tmp_path, NUMBA_CACHE_DIR=str(chosen)) == "6 0"
    assert [*chosen.rglob("*.nbc")]
    assert not [*kept(tmp_path).rglob("*.nbc")]


def test_jobs_have_them_where_the_next_job_finds_them(tmp_path: Path) -> None:
    shared, first, second, theirs = (tmp_path / name for name in ("shared", "first", "second", "theirs"))
    for folder in (first, second, theirs):
        folder.mkdir()
    assert count(first, HYPOXIA_HPC_KERNELS=str(shared)) == "6 0"
    assert count(second, HYPOXIA_HPC_KERNELS=str(shared)) == "6 1"
    assert not kept(first).exists()
    theirs.chmod(0o777)
    assert count(second, HYPOXIA_HPC_KERNELS=str(theirs)) == "6 0"  # not safe: in the temporary folder
    assert not [*theirs.iterdir()] and kept(second).exists()


def test_every_kernel_lies_in_a_room_whose_sources_count() -> None:
    """Another version of any of them is compiled anew."""
    with_kernels = {path for path in PACKAGE.rglob("*.py") if "compiling import kernel" in path.read_text()}
    assert with_kernels
    assert {path.relative_to(PACKAGE).parts[0] for path in with_kernels} == {*ROOMS}
    assert not [path for path in PACKAGE.rglob("*.py") if "njit" in path.read_text() and path.name != "compiling.py"]
