"""A disk with errors, a quota, a file system that renames nothing, a clock that jumps back, too few processes, another
user: what a machine does ends with 4, the file, the rule and what to do, and the same command again ends in the same
bytes. ``fault.c`` makes calls fail."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_runs import LIMIT_SECONDS, change_setting, copy_run, digests, finish, leftovers_in, of, start, start_fresh

from hypoxia_hpc.__main__ import can_start

ONE = "TCGA-ZZ-0003-01Z-00-DX1"
STORE = f"tiles/{ONE}.zarr"
TILE = ("--slide", ONE, "--workers", "1")
DAY_SECONDS = 24 * 60 * 60
OTHER_USER = 54321
QUOTA, DISK = "the quota (bytes or inodes) is used up", "the disk reports an error"
CANNOT = "this file system cannot do it"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("fault") / "fault.so"
    source = Path(__file__).with_name("fault.c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return str(made)


@pytest.mark.parametrize(
    ("call", "number", "after", "part", "rule"),
    [
        ("write", errno.EDQUOT, 1, "/tiles/", QUOTA),
        pytest.param("rename", errno.EXDEV, 0, "/tiles/", CANNOT, marks=pytest.mark.long),  # see the overlay
        pytest.param("fsync", errno.EIO, 3, "/tiles/", DISK, marks=pytest.mark.long),
        pytest.param("fsync", errno.EIO, 0, "/receipts/", DISK, marks=pytest.mark.long),
        pytest.param("rename", errno.ENOTSUP, 0, "/receipts/", CANNOT, marks=pytest.mark.long),
        pytest.param("write", errno.ENOTCONN, 0, "/tiles/", "does not answer", marks=pytest.mark.long),
    ],
)
def test_what_the_disk_does_not_do_ends_with_4_and_is_done_by_the_same_command_later(
    *, untouched: Path, whole: Path, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch,
    call: str, number: int, after: int, part: str, rule: str,
) -> None:  # fmt: skip
    run = copy_run(untouched, tmp_path / "run")
    with monkeypatch.context() as failing:
        failing.setenv("LD_PRELOAD", library)
        failing.setenv("FAULT", f"{call} {number} {after} {part}")
        process = start_fresh("tile", run, *TILE)
        finish(process, 4)
    said = process.log.read_text()
    assert "This is a bug" not in said and "Traceback" not in said
    assert re.search(rf"error: \S*{part}\S*{ONE}\S*: .*{re.escape(rule)} \({os.strerror(number)}\)", said), said
    assert "remedy: " in said and "run the same command again" in said
    assert leftovers_in(run) == []
    finish(start("tile", run, *TILE))
    assert digests(run) == of(digests(whole), STORE)


@pytest.mark.long
def test_a_slide_on_a_bad_sector_is_set_aside_and_taken_by_retry(
    untouched: Path, whole: Path, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other slides go on; nothing says whether a disk mends itself."""
    run = copy_run(untouched, tmp_path / "run")
    with monkeypatch.context() as failing:
        failing.setenv("LD_PRELOAD", library)
        failing.setenv("FAULT", f"read {errno.EIO} 4 .svs")
        process = start_fresh("tile", run, *TILE)
        finish(process, 3)
    assert "unreadable" in process.log.read_text() and "check the file system" in process.log.read_text()
    finish(start("tile", run, *TILE, "--retry"))
    assert digests(run) == of(digests(whole), STORE)


def test_a_clock_that_jumps_back_changes_no_byte(
    untouched: Path, whole: Path, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    with monkeypatch.context() as odd:
        odd.setenv("LD_PRELOAD", library)
        odd.setenv("FAULT_CLOCK", f"{3 * DAY_SECONDS} 60")
        finish(start_fresh("tile", run, *TILE))
    assert digests(run) == of(digests(whole), STORE)
    receipt = json.loads((run / "receipts" / "tile" / f"{ONE}.json").read_text())
    assert 0 < receipt["seconds"] < LIMIT_SECONDS
    assert leftovers_in(run) == []
    finish(start("status", run))


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder and what lies below it, in a file system that renames nothing which lies below; takes root."""
    lower, *others = places = [tmp_path / name for name in ("lower", "upper", "work", "seen")]
    for place in places:
        place.mkdir()
    layers = f"lowerdir={lower},upperdir={others[0]},workdir={others[1]},redirect_dir=off"
    mounted = subprocess.run(
        ["mount", "-t", "overlay", "-o", layers, "none", others[2]], capture_output=True, check=False
    )
    if mounted.returncode:
        why = f"cannot mount an overlay here: {mounted.stderr.decode().strip()}"
        assert os.environ.get("CI") != "1", why  # .ci/run is root, and skips nothing
        pytest.skip(why)
    yield others[2], lower
    subprocess.run(["umount", others[2]], check=True)


def test_a_file_system_that_renames_no_folder_keeps_what_was_there(whole: Path, overlay: tuple[Path, Path]) -> None:
    """An overlay, as containers have it, with a store of other settings in its lower layer."""
    seen, lower = overlay
    copy_run(whole, lower / "run", [STORE])
    before = digests(lower / "run")
    change_setting(seen / "run", "tile", "max_background", "0.1")
    process = start("tile", seen / "run", *TILE, log=lower.parent / "log")
    finish(process, 4)
    assert CANNOT in process.log.read_text() and "have the run on another disk" in process.log.read_text()
    assert digests(seen / "run") == before


def as_user(
    user: int, command: Sequence[str | Path], *, processes: int | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of ``hypoxia-hpc`` as another user, who may have ``processes`` at once."""
    limit = [f"--nproc={processes}"] if processes else []
    demoted = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    line = ["prlimit", *limit, *demoted, sys.executable, "-m", "hypoxia_hpc", *command]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)


@contextmanager
def readable(source: Path) -> Iterator[Path]:
    """A run in a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield copy_run(source, folder / "run")
    finally:
        shutil.rmtree(folder)


def test_too_few_processes_for_the_libraries_are_no_interrupt() -> None:
    ended = as_user(OTHER_USER, ["--help"], processes=1)
    assert ended.returncode == 4, ended.stderr
    assert ended.stderr.startswith("error: this user may have 1 processes and threads (ulimit -u)")


def test_a_run_of_another_user_can_be_looked_at_and_not_written(untouched: Path) -> None:
    with readable(untouched) as run:
        looked, tiled = as_user(OTHER_USER, ["status", run]), as_user(OTHER_USER, ["tile", run, *TILE])
        assert (looked.returncode, tiled.returncode) == (0, 4), looked.stderr + tiled.stderr
        assert f"error: {run}/running: it cannot be written or read here (Permission denied)" in tiled.stderr
        assert digests(run) == {}


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 3, 4, 6, 8, 12, 16])
def test_whatever_the_limit_on_processes_it_is_the_machine_or_done(untouched: Path, processes: int) -> None:
    with readable(untouched) as run:
        shutil.chown(run, OTHER_USER + processes)
        for path in run.rglob("*"):
            shutil.chown(path, OTHER_USER + processes)
        ended = as_user(OTHER_USER + processes, ["tile", run, "--slide", ONE, "--workers", "2"], processes=processes)
        assert ended.returncode in (3, 4), ended.stderr  # 3: its slides lie in a folder of root
        assert "This is a bug" not in ended.stderr


def test_threads_that_cannot_start_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_start(3)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not can_start(1) and can_start(0)
