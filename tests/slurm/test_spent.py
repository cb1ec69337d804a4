"""What the jobs of a run had and used, by stage, and where it is known from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypoxia_hpc.records import StageUsage
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.queue import Ended, Sent
from hypoxia_hpc.slurm.spent import has_whole_nodes, parse_node_cpus, spent_by_stage, spent_of_run
from hypoxia_hpc.slurm.usage import Usage

SENT = (Sent("tile", "7", (0, 1, 2), 3, minutes=60), Sent("train", "8", None, minutes=30))
ENDED = (
    Ended("7_0", "COMPLETED", usage=Usage(100, 4, 1, 0, 4000, 300.0, 3000, joules=50), node="n1"),
    Ended("7_1", "FAILED", usage=Usage(200, 4, 1, 0, 4000, None, 1000, joules=70), node="n2"),
    Ended("7_2", "CANCELLED", usage=Usage()),
    Ended("9", "COMPLETED", usage=Usage(100, 4)),  # of no job of the run
)


def test_of_each_stage_the_jobs_that_ran() -> None:
    (tile,) = spent_by_stage(SENT, ENDED, {"n1": 4, "n2": 8})
    assert tile == StageUsage("tile", 2, 1200, 200, 3600, 0.75, 4000, 3000, joules=50, measured_jobs=1)


def test_energy_without_nodes_of_its_own_is_not_known() -> None:
    (tile,) = spent_by_stage(SENT, ENDED, {})
    assert (tile.joules, tile.measured_jobs) == (None, 0)


def test_of_gpus_the_most() -> None:
    jobs = [Ended("8", "COMPLETED", usage=Usage(10, 1, gpus=2, gpu_share=0.5, gpu_memory=7))]
    (train,) = spent_by_stage(SENT, jobs, {})
    assert (train.gpu_seconds, train.gpu_share, train.gpu_memory, train.cpu_share) == (20, 0.5, 7, None)


@pytest.mark.parametrize(
    ("cpus", "nodes", "node", "is_whole"),
    [(4, 1, "n1", True), (3, 1, "n1", False), (4, 1, "n9", False), (16, 2, "n[1-2]", True), (12, 2, "n[1-2]", False)],
)
def test_a_job_has_whole_nodes(cpus: int, nodes: int, node: str, is_whole: bool) -> None:
    assert (
        has_whole_nodes(Ended("7", "COMPLETED", usage=Usage(1, cpus, nodes), node=node), {"n1": 4, "n2": 8}) == is_whole
    )


def test_cores_of_nodes_as_sinfo_prints_them() -> None:
    assert parse_node_cpus("n1|4\nn1|4\nn2|128\nsinfo: error\nn3|x\nn4|99999999\n") == {"n1": 4, "n2": 128}


def test_what_a_job_of_the_run_wrote_down_serves_where_there_is_no_sacct(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/does/not/exist")
    run = RunDir(tmp_path)
    assert spent_of_run(run) == ((), "")
    (tmp_path / "slurm" / "jobs").mkdir(parents=True)
    entry = {"stage": "tile", "job_id": "7", "elements": None, "of": 1, "minutes": 60}
    (tmp_path / "slurm" / "jobs" / "7.json").write_text(json.dumps(entry))
    assert spent_of_run(run) == ((), "sacct is not on this machine")
    written = tmp_path / "slurm" / "accounting.txt"
    written.write_text("7|COMPLETED|0:0|00:01:40|n1|5K|100|cpu=4,mem=9K,node=1|00:50||77\nn1|4\n")
    expected = StageUsage("tile", 1, 400, 100, 3600, 0.125, 9216, 5120, joules=77, measured_jobs=1)
    assert spent_of_run(run) == ((expected,), "")
    written.unlink()
    written.symlink_to("/dev/zero")
    assert spent_of_run(run) == ((), "sacct is not on this machine")
