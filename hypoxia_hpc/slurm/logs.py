"""Logs of jobs: a folder for each submission in RUN/slurm/logs, of which the last ones are kept."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from hypoxia_hpc.stores.commit import machine_errors, make_folder

KEPT_SUBMISSIONS = 20
_SUBMISSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z", re.ASCII)


def submission_name() -> str:
    """A name for a submission of now; names sort by time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")


def is_submission(name: object) -> bool:
    """Whether it is a name that `submission_name` gives."""
    return isinstance(name, str) and _SUBMISSION.fullmatch(name) is not None


def make_logs(folder: Path) -> None:
    """Make the folder of a submission, and delete those of the oldest, and the count of requeues of earlier jobs. What
    else lies there stays. Raises MachineError."""
    with machine_errors(folder):
        make_folder(folder)  # SLURM does not make it: the job would fail without a word
        named = sorted(one for one in folder.parent.iterdir() if is_submission(one.name) and not one.is_symlink())
    for old in (*named[:-KEPT_SUBMISSIONS], folder.parents[1] / "requeues"):
        shutil.rmtree(old, ignore_errors=True)
