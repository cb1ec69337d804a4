"""A folder of logs for each submission, and the last ones are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.slurm.logs import KEPT_SUBMISSIONS, is_submission, make_logs, submission_name


def test_the_oldest_go_and_what_is_not_of_a_submission_stays(tmp_path: Path) -> None:
    logs = tmp_path / "slurm" / "logs"
    names = [f"2026-01-{day:02}T000000Z" for day in range(1, KEPT_SUBMISSIONS + 3)]
    for name in (*names, "mine"):
        (logs / name).mkdir(parents=True)
        (logs / name / "tile-1_0.out").touch()
    (logs / "tile-1_0.out").touch()
    (logs / "2025-01-01T000000Z").symlink_to(tmp_path)
    new = submission_name()
    assert is_submission(new) and new > names[-1]
    (tmp_path / "slurm" / "requeues").mkdir()
    make_logs(logs / new)
    assert not (tmp_path / "slurm" / "requeues").exists()
    kept = [*names[3:], new]
    assert {one.name for one in logs.iterdir()} == {*kept, "mine", "tile-1_0.out", "2025-01-01T000000Z"}
    assert len(kept) == KEPT_SUBMISSIONS
    make_logs(logs / new)


def test_nothing_is_written_or_deleted_through_a_link_out_of_the_run(tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    (outside / "requeues").mkdir(parents=True)
    run.mkdir()
    (run / "run.toml").touch()
    (run / "slurm").symlink_to(outside)
    with pytest.raises(MachineError, match="leads out of the run"):
        make_logs(run / "slurm" / "logs" / submission_name())
    assert [one.name for one in outside.iterdir()] == ["requeues"]


def test_names_of_other_things() -> None:
    assert not any(map(is_submission, ["", "..", "2026-01-01", "2026-01-01T000000Z/..", None, 7]))
