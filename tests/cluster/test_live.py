"""The cluster is a real one: it schedules, signals, requeues, preempts, counts, and carries MPI over both nodes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_cluster import Cluster, until

COUNT_STARTS = "#!/bin/bash\necho start >>starts\nsleep 60\n"


@pytest.fixture(autouse=True)
def _calm(cluster: Cluster) -> Iterator[None]:
    cluster.calm()
    yield
    cluster.calm()


@pytest.fixture
def place(cluster: Cluster, request: pytest.FixtureRequest) -> Path:
    """A folder of this test, the user's own."""
    folder = cluster.folder / request.node.name
    cluster.run(["mkdir", folder], check=True)
    return folder


def script(folder: Path, text: str) -> Path:
    path = folder / "job.sh"
    path.write_text(text)
    return path


def starts(folder: Path) -> int:
    path = folder / "starts"
    return path.read_text().count("start") if path.exists() else 0


def test_an_array_runs_as_the_user(cluster: Cluster, place: Path) -> None:
    job = script(place, '#!/bin/bash\necho "$SLURM_ARRAY_TASK_ID $(id -un)"\n')
    cluster.run(["sbatch", "--wait", "--array=0-3", "--output=%a.out", job], cwd=place, check=True)
    assert [(place / f"{i}.out").read_text() for i in range(4)] == [f"{i} {cluster.user}\n" for i in range(4)]


def test_srun_reaches_both_nodes(cluster: Cluster) -> None:
    said = cluster.run(["srun", "-N2", "-n2", "printenv", "SLURMD_NODENAME"], check=True).stdout
    assert sorted(said.split()) == ["n1", "n2"]


def test_a_warning_signal_reaches_the_batch_script(cluster: Cluster, place: Path) -> None:
    job = script(place, "#!/bin/bash\ntrap 'echo warned; exit 7' USR1\nsleep 300 & wait\n")
    number = cluster.sbatch("--time=1", "--signal=B:USR1@50", f"--output={place}/out", job)
    assert cluster.wait(number, 60) == {number: "FAILED"}
    assert "warned" in (place / "out").read_text()


def test_a_requeued_element_starts_again_at_once(cluster: Cluster, place: Path) -> None:
    job = script(place, COUNT_STARTS)
    number = cluster.sbatch("--array=0-1", f"--chdir={place}", job)
    cluster.wait_for(number, "RUNNING")
    cluster.run(["scontrol", "requeue", f"{number}_1"], check=True)
    until(lambda: cluster.hurry(number) == [f"{number}_1"], 20, lambda: cluster.explain("held after its requeue"))
    until(lambda: starts(place) == 3, 20, lambda: cluster.explain("element 1 starts a second time"))


def test_a_node_set_down_gives_its_job_to_the_other(cluster: Cluster, place: Path) -> None:
    number = cluster.sbatch("--nodelist=n2", f"--chdir={place}", script(place, COUNT_STARTS))
    cluster.wait_for(number, "RUNNING")
    cluster.scontrol("update", "nodename=n2", "state=down", "reason=test")
    cluster.wait_for(number, "PENDING")
    time.sleep(2)  # it would come back within one, of its own accord
    assert cluster.node_states()["n2"] == "down"
    cluster.scontrol("update", "nodename=n2", "state=resume")
    until(lambda: cluster.hurry() or starts(place) == 2, 20, lambda: cluster.explain("held after its node went down"))
    until(lambda: starts(place) == 2, 20, lambda: cluster.explain("it starts a second time"))


def test_slurmd_alone_can_be_killed_while_its_job_runs_on(cluster: Cluster, place: Path) -> None:
    number = cluster.sbatch("--nodelist=n2", f"--chdir={place}", "--wrap", "sleep 6; echo start >>starts")
    cluster.wait_for(number, "RUNNING")
    cluster.kill_node("n2")
    until(lambda: starts(place) == 1, 20, lambda: cluster.explain("the job ends without slurmd"))
    cluster.restart_node("n2")
    assert cluster.wait(number, 30) == {number: "COMPLETED"}


def test_a_crashed_node_loses_its_job_and_comes_back(cluster: Cluster, place: Path) -> None:
    number = cluster.sbatch("--nodelist=n2", f"--chdir={place}", script(place, COUNT_STARTS))
    cluster.wait_for(number, "RUNNING")
    until(lambda: starts(place) == 1, 20, lambda: cluster.explain("the job starts"))
    cluster.crash_node("n2")
    assert cluster.run(["pgrep", "-u", cluster.user, "-f", "sleep 60"]).stdout == ""
    cluster.wait_for(number, "PENDING", 60)
    assert cluster.node_states()["n2"] == "down*"
    cluster.restart_node("n2")
    cluster.hurry(number)
    until(lambda: starts(place) == 2, 20, lambda: cluster.explain("the job starts again"))


def test_an_urgent_job_requeues_a_normal_one(cluster: Cluster, place: Path) -> None:
    low = cluster.sbatch("-N2", "--exclusive", f"--chdir={place}", script(place, COUNT_STARTS))
    cluster.wait_for(low, "RUNNING")
    high = cluster.sbatch("-N2", "--exclusive", "--partition=urgent", f"--chdir={place}", "--wrap", "true")
    assert cluster.wait(high, 60, hurry=False) == {high: "COMPLETED"}
    assert cluster.squeue_states(low) == {low: "PENDING"}
    cluster.hurry(low)
    until(lambda: starts(place) == 2, 20, lambda: cluster.explain("the normal job starts again"))


def test_accounting_answers(cluster: Cluster, place: Path) -> None:
    number = cluster.sbatch("--account=lab", f"--chdir={place}", "--wrap", "exit 5")
    cluster.wait(number)
    command = ["sacct", "-n", "-X", "-P", "-j", number, "-o", "JobID,State,ExitCode,Account"]
    line = f"{number}|FAILED|5:0|lab\n"
    until(lambda: cluster.run(command, check=True).stdout == line, 20, lambda: cluster.run(command).stdout)


@pytest.mark.parametrize("option", ["--account=nobody", "--partition=nowhere"])
def test_what_the_site_does_not_have_is_refused(cluster: Cluster, option: str) -> None:
    said = cluster.run(["sbatch", "--test-only", option, "--wrap", "true"])
    assert said.returncode != 0
    assert "nvalid" in said.stderr


def test_mpi_ranks_pass_messages_over_both_nodes(cluster: Cluster, place: Path) -> None:
    program = script(
        place,
        "import os\nfrom mpi4py import MPI\n"
        "world = MPI.COMM_WORLD\n"
        "nodes = world.gather(os.environ['SLURMD_NODENAME'])\n"
        "total = world.allreduce(world.rank)\n"
        "if world.rank == 0:\n    print(world.size, total, *sorted(nodes))\n",
    )
    said = cluster.run(["srun", "--mpi=pmi2", "-N2", "-n4", sys.executable, program], check=True)
    assert said.stdout == "4 6 n1 n1 n2 n2\n"
