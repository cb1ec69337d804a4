"""``bench scaling --tasks`` on a real queue: times from accounting, and nothing left of it when it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from chains import own
from fault_runs import change_setting, finish, start
from live_cluster import Cluster, until

from hypoxia_hpc.bench.records import read_history
from hypoxia_hpc.bench.scaling_records import ScalingRecord, Task


@pytest.fixture(scope="module")
def run(cluster: Cluster, real_slide: Path) -> Path:
    """Two slides of which nothing is done, in elements of one core."""
    folder = cluster.folder / "scaling"
    (folder / "slides").mkdir(parents=True)
    for name in ("a", "b"):
        shutil.copy(real_slide, folder / "slides" / f"{name}.svs")
    made = folder / "run"
    finish(start("init", made, "--slides", folder / "slides"))
    for entry, value in (("cpus", "1"), ("memory_gb", "1.0"), ("partition", '"normal"')):
        change_setting(made, "site.slurm", entry, value)
    own(cluster, folder)
    return made


def command(run: Path, *options: str) -> Sequence[str]:
    where = ("--folder", str(run.parent / "work"), "--history", str(run.parent / "h.jsonl"))
    return [sys.executable, "-m", "hypoxia_hpc", "bench", "scaling", str(run), "--rounds", "1", *where, *options]


def queued(cluster: Cluster) -> list[str]:
    told = cluster.run(["squeue", "--noheader", "--array", "--user", cluster.user, "--format=%j %T"], check=True)
    return told.stdout.splitlines()


def test_one_and_two_elements_with_the_times_of_accounting(cluster: Cluster, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = cluster.run(command(run, "--tasks", "2"), timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "base case: 1 array element of 1 core on 1 node" in done.stdout
    [found] = read_history(run.parent / "h.jsonl").records
    assert isinstance(found, ScalingRecord)
    assert (found.by, found.mode, found.workload, found.task) == ("tasks", "strong", "run", Task(1, 1, 1))
    assert [(one.size, one.slides) for one in found.sizes] == [(1, 2), (2, 2)]
    assert (found.environment.processor, found.environment.cores) == ("compute nodes", 2)
    told = cluster.run(["sacct", "-n", "-X", "-P", "--name=tile-bench-1-2", "-o", "ElapsedRaw"], check=True)
    first, second = found.sizes
    assert told.stdout.split() == [f"{first.seconds.value:.0f}"]
    assert first.efficiency.value == 1 and second.efficiency.value > 0
    for one in found.sizes:
        assert one.queue is not None and one.whole is not None
        assert one.seconds.value <= one.whole.value <= one.queue.value + one.seconds.value
        assert 0 < one.split.slides < one.size * one.seconds.value
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert list((run.parent / "work").iterdir()) == []
    assert queued(cluster) == []


def test_a_stop_takes_its_jobs_out_of_the_queue(cluster: Cluster, run: Path) -> None:
    cluster.scontrol("update", "partitionname=normal", "state=down")
    who = {"user": cluster.user, "group": cluster.user, "extra_groups": []}
    process = subprocess.Popen(
        command(run, "--tasks", "2"),
        cwd=cluster.folder,
        env=dict(cluster.environment),
        stderr=subprocess.PIPE,
        text=True,
        **who,
    )

    def two_wait() -> bool:
        assert process.poll() is None, "it ended before its elements were in the queue"
        return len(queued(cluster)) == 2

    with process:
        try:
            until(two_wait, 60, lambda: cluster.explain("two elements wait"))
            os.kill(process.pid, signal.SIGTERM)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
            cluster.scontrol("update", "partitionname=normal", "state=up")
    assert process.returncode == 75, said
    assert "give the command again" in said
    assert queued(cluster) == []
    assert list((run.parent / "work").iterdir()) == []
    assert not (run / "slurm").exists()
