"""Which jobs in the queue are those of a run: by the folder that they work in."""

from __future__ import annotations

from pathlib import Path

from hypoxia_hpc.cli.text.submission import cancelled_text
from hypoxia_hpc.monitoring.status import StageStatus
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.cancel import Found, cancel_jobs, of_this_run


def test_only_jobs_that_work_in_this_run_directory_and_the_last_ones_first(tmp_path: Path) -> None:
    run, link = tmp_path / "a|run", tmp_path / "link"
    run.mkdir()
    link.symlink_to(run)
    listed = f"9|{link}\n10|{run}\n10|{run}\n11|{tmp_path}/other\n12|{run}\nslurm error\n"
    assert of_this_run(listed, ["9", "10", "11"], run) == Found(("10", "9"), ("11",))


def test_a_run_that_was_never_submitted_needs_no_slurm(tmp_path: Path) -> None:
    assert cancel_jobs(RunDir(tmp_path)) == Found((), ())


def test_it_says_what_stays() -> None:
    stages = [StageStatus("tile", 20, 1, 3), StageStatus("extract", 0, 1, 23)]
    text = "\n".join(cancelled_text(Found(("8", "7"), ("3",)), stages, "'my run'"))
    assert "cancelled: 8 7" in text
    assert "left alone, for they work in another folder than this run: 3" in text
    assert "done, and stays: tile 20 of 24, extract 0 of 24; what sends the rest: hypoxia-hpc submit 'my run'" in text
    assert "nothing of this run is in the queue" in "\n".join(cancelled_text(Found((), ()), stages, "RUN"))
