"""``export`` killed before every fsync and replace that it makes, and then given once more."""

from __future__ import annotations

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fault_runs import LIMIT_SECONDS, start
from feature_runs import make_run

from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.commit import LEFTOVER_NAME


def exported(run: Path, n: int) -> int:
    """Killed before call ``n`` (0: never); the exit code."""
    return start("export", run, "--to", "clam", kill_before=n).wait(LIMIT_SECONDS)


def files_in(run: Path) -> dict[str, bytes]:
    """Of the export; CLAM's save_path has the run's own path, which is as long for all runs here."""
    folder = run / "exports" / "clam"
    files = [path for path in folder.rglob("*") if path.is_file() and not LEFTOVER_NAME.fullmatch(path.name)]
    return {path.relative_to(folder).as_posix(): path.read_bytes().replace(bytes(run), b"RUN") for path in files}


def test_a_kill_before_any_call_loses_nothing_and_the_same_command_goes_on(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    made = make_run(tmp_path / "made", {"heads": ["logistic"], "clusterings": []}, n_patients=1).root

    def copied(n: int) -> Path:
        return shutil.copytree(made, tmp_path / f"{n:03d}" / "run")

    undisturbed = copied(0)
    assert exported(undisturbed, 0) == 0
    files = files_in(undisturbed)
    calls = (undisturbed.parent / "calls-0").read_text().splitlines()
    assert len(files) == 2 * len(RunDir(made).slides()) + 1 and len(calls) > 2 * len(files)

    def kill_and_go_on(n: int) -> None:
        run = copied(n)
        assert exported(run, n) == -signal.SIGKILL
        found = {name: content for name, content in files_in(run).items() if name != "export.json"}
        assert found.items() <= files.items()
        assert exported(run, 0) == 0
        assert files_in(run) == files

    list(pool.map(kill_and_go_on, range(1, len(calls) + 1)))
