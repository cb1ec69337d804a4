"""``submit`` and what goes with it, towards a real controller: nothing of a chain has to run for that."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from chains import ids_by_stage, jobs, own
from fault_runs import change_setting, finish, start
from live_cluster import Cluster, Completed, until

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.slurm.chain import Job, Plan
from hypoxia_hpc.slurm.overlap import side_by_side
from hypoxia_hpc.slurm.resources import Array, JobRequest


def command(cluster: Cluster, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Completed:
    """The command line as installed on the login node, as the user."""
    return cluster.run([sys.executable, "-m", "hypoxia_hpc", *arguments], env=env, timeout=120)


def test_a_site_file_from_what_this_cluster_says(cluster: Cluster) -> None:
    hypoxia = partial(command, cluster)
    home = Path(cluster.environment["HOME"])
    file = home / ".config" / "hypoxia_hpc" / "site.toml"
    try:
        done = hypoxia("site")
        assert done.returncode == 0, done.stderr
        text = file.read_text()
        assert tomllib.loads(text) == {"site": {"slurm": {}}}
        for line in ('# partition = "normal"', '# partition = "urgent"', '# account = "lab"'):
            assert line in text.splitlines()
        assert hypoxia("site").returncode == 2, "it may have been edited"
    finally:
        file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def run(cluster: Cluster, real_slide: Path) -> Path:
    """Two slides of which nothing is done, an element each, in nodes that give no memory by request."""
    folder = cluster.folder / "submit"
    for name in ("a", "b"):
        (folder / "slides" / name).mkdir(parents=True)
        shutil.copy(real_slide, folder / "slides" / name / f"{name}.svs")
    made = folder / "run"
    finish(start("init", made, "--slides", folder / "slides"))
    change_setting(made, "extract", "weights", '"random"')
    for entry, value in (("cpus", "1"), ("hours", "0.000001"), ("memory", '"none"')):
        change_setting(made, "site.slurm", entry, value)
    own(cluster, folder)
    return made


def test_a_chain_waits_for_a_job_of_the_user_and_is_cancelled_alone(cluster: Cluster, run: Path) -> None:
    hypoxia = partial(command, cluster)
    transfer = cluster.sbatch("--hold", "--output=/dev/null", "--wrap=true")
    try:
        done = hypoxia("submit", run, "--after", transfer)
        assert done.returncode == 0, done.stderr
        sent = ids_by_stage(jobs(run))
        assert {name: ids.count(",") for name, ids in sent.items()} == {"tile": 0, "extract": 1}
        for job in sent.values():
            assert {*cluster.squeue_states(job).values()} == {"PENDING"}
        (folder,) = (run / "slurm" / "logs").iterdir()
        assert folder.is_dir()
        done = hypoxia("cancel", run)
        assert done.returncode == 0, done.stderr
        assert " ".join(reversed(",".join(sent.values()).split(","))) in done.stdout and "tile 0 of 2" in done.stdout
        for job in sent.values():
            assert {*cluster.squeue_states(job).values()} == {"CANCELLED"}
        assert cluster.squeue_states(transfer) == {transfer: "PENDING"}
        assert "nothing of this run" in hypoxia("cancel", run).stdout
    finally:
        cluster.run(["scancel", transfer], check=True)
    done = hypoxia("submit", run, "--after", "999999")
    assert done.returncode == 2
    assert "--after 999999" in done.stderr


@pytest.mark.long  # 98 s on two busy cores; recorded answers: tests/monitoring/test_status.py
def test_without_the_controller_what_waits_has_not_failed(cluster: Cluster, run: Path) -> None:
    hypoxia = partial(command, cluster)
    transfer = cluster.sbatch("--hold", "--output=/dev/null", "--wrap=true")
    try:
        done = hypoxia("submit", run, "--after", transfer)
        assert done.returncode == 0, done.stderr
        with cluster.without_controller():
            shown, found = hypoxia("status", run).stdout, json.loads(hypoxia("status", run, "--json").stdout)["jobs"]
        assert "note: it is not known what waits or runs: " in shown
        for wrong in ("failed", "CANCELLED", "nothing of this run", "hypoxia-hpc submit"):
            assert wrong not in shown
        assert found["queued"] is None
        assert not found["failed"]
        assert found["unknown"] + len(found["accounted"]) == 4
        found = json.loads(hypoxia("status", run, "--json").stdout)["jobs"]
        assert [one["state"] for one in found["queued"]] == ["PENDING"] * 4, "the controller has read its state again"
        assert not found["failed"]
    finally:
        cluster.run(["scancel", transfer], check=True)
        hypoxia("cancel", run)


def test_a_queue_without_room_takes_no_half_of_a_chain(cluster: Cluster, run: Path) -> None:
    """Two jobs of tile and two of extract, and three may be in the queue."""
    for entry in jobs(run):
        cluster.wait(entry["job_id"])
    before = jobs(run)
    modify = ["sacctmgr", "-i", "modify", "user", cluster.user, "set"]
    mute = cluster.folder / "mute" / "sacctmgr"
    mute.parent.mkdir()
    mute.write_text("#!/bin/sh\nexit 1\n")
    mute.chmod(0o755)
    cluster.run([*modify, "maxsubmitjobs=3"], user=False, check=True)
    try:
        done = command(cluster, "submit", run)
        assert done.returncode == 2
        assert "3 jobs at once, 0 there, 4 more needed" in done.stderr and "most_elements = 1" in done.stderr
        unasked = {"PATH": f"{mute.parent}:{cluster.environment['PATH']}"}
        done = command(cluster, "submit", run, env=unasked)
        assert done.returncode == 2
        assert "is cancelled again" in done.stderr and "most_elements" in done.stderr
        assert jobs(run) == before
        assert cluster.run(["squeue", "-h", "-u", cluster.user, "-t", "PD,R"], check=True).stdout == ""
    finally:
        cluster.run([*modify, "maxsubmitjobs=-1"], user=False, check=True)


# Stands for the work of each element: the first of tile fails, the third is stopped once, the last works on. What is
# stopped says nothing more: SLURM's signal may end the sleep before the script that waits for it.
WORK = """#!/bin/bash
part=$1-${SLURM_ARRAY_TASK_ID:-all}-start-${SLURM_RESTART_COUNT:-0}
case $part in
    tile-0-*) echo "$part" >>order; exit 4 ;;
    tile-2-start-0) scontrol requeue "${SLURM_ARRAY_JOB_ID}_2"; sleep 60; exit 1 ;;
    tile-3-*) sleep 300; exit 1 ;;
esac
echo "$part" >>order
"""


def test_extract_begins_beside_tile_and_hangs_behind_nothing(cluster: Cluster) -> None:
    folder = cluster.folder / "beside"
    (folder / "slurm" / "logs" / "today").mkdir(parents=True)
    (folder / "slurm" / "job.sbatch").write_text(WORK)
    own(cluster, folder)
    parts = (0, 1, 2, 3)
    chain = [
        Job(JobRequest(stage, parts if array else None, 4, 1, 1, 1, 100, 10, None, None), (array,))
        for stage, array in (("tile", Array(0, parts)), ("extract", Array(0, parts)), ("train", None))
    ]
    plan = Plan(folder, SlurmTable(), WORK, tuple(side_by_side(chain)), (), "today")
    names = [call.name for call in plan.calls()]
    lines = ["set -e", *plan.commands(), *(f"echo ${name}" for name in names)]
    ids = dict(zip(names, cluster.run(["bash", "-c", "\n".join(lines)], check=True).stdout.split(), strict=True))

    def state(call: str) -> str:
        (found,) = cluster.squeue_states(ids[call]).values()
        return found

    def is_done(call: str) -> bool:
        return state(call) == "COMPLETED"

    try:
        for call in ("extract_0", "extract_1"):  # behind a failure, and behind an element that ended well
            until(partial(is_done, call), 60, lambda: cluster.explain(f"{ids} and {folder}"))
        tile = ids["tile_0"]
        assert cluster.squeue_states(tile)[f"{tile}_3"] == "RUNNING"
        assert {state("extract_2"), state("extract_3"), state("train_0")} == {"PENDING"}
        cluster.run(["scancel", f"{tile}_3"], check=True)
        assert [*cluster.wait(ids["train_0"], 90).values()] == ["COMPLETED"]
    finally:
        cluster.run(["scancel", *ids.values()], check=True)
    assert {state(f"extract_{part}") for part in parts} == {"COMPLETED"}
    order = (folder / "order").read_text().split()
    assert order.index("tile-2-start-1") < order.index("extract-2-start-0")
    assert order[-1] == "train-all-start-0" and len(order) == 8
