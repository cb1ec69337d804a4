"""What status and doctor make of a queue and its accounting that are real."""

from __future__ import annotations

import pytest
from live_cluster import Cluster, until

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.monitoring import checks
from hypoxia_hpc.slurm.queue import NEVER_STARTED, Queued, Sent, failed_ones, query_sacct, query_squeue


@pytest.fixture(autouse=True)
def _of_this_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    monkeypatch.setenv("SQUEUE_STATES", "SUSPENDED")  # a user's own setting hides nothing


def queued(*job_ids: str) -> dict[str, Queued]:
    answer, why = query_squeue(job_ids)
    assert answer is not None, why
    return {one.job: one for one in answer}


def test_waiting_running_and_held_elements(cluster: Cluster) -> None:
    quiet = ("--output=/dev/null", "--mem=100")
    array = cluster.sbatch("--array=0-2%1", *quiet, "--wrap=sleep 60")
    held = cluster.sbatch("--hold", *quiet, "--wrap=true")
    after = cluster.sbatch(f"--dependency=afterany:{array}", *quiet, "--wrap=true")
    try:
        until(lambda: queued(array)[f"{array}_0"].phase == "running", 60, lambda: cluster.explain("element 0 runs"))
        found = queued(array, held, after)
        assert set(found) == {f"{array}_0", f"{array}_1", f"{array}_2", held, after}
        assert found[f"{array}_0"].node in ("n1", "n2")
        assert (found[f"{array}_1"].phase, found[f"{array}_1"].reason) == ("pending", "JobArrayTaskLimit")
        assert (found[held].phase, found[held].reason) == ("held", "JobHeldUser")
        assert found[after].reason == "Dependency"
    finally:
        cluster.run(["scancel", array, held, after], check=True)
    assert query_squeue(["999999"]) == ([], "")


def test_how_jobs_ended_by_accounting(cluster: Cluster) -> None:
    quiet = ("--output=/dev/null", "--mem=300")
    # SLURM's sampling sees memory that is held for some seconds.
    script = "python3 -c 'import time; held = bytearray(100 * 2**20); time.sleep(8)'; exit $((SLURM_ARRAY_TASK_ID * 4))"
    array = cluster.sbatch("--array=0-1", *quiet, f"--wrap={script}")
    later = cluster.sbatch("--array=0-1", "--begin=now+1hour", *quiet, "--wrap=true")
    cluster.run(["scancel", f"{later}_1"], check=True)
    assert cluster.wait(array, 90) == {f"{array}_0": "COMPLETED", f"{array}_1": "FAILED"}

    def failed() -> dict[str, str]:
        accounted, why = query_sacct([array, later])
        assert accounted is not None, why
        sent = [Sent("tile", array, (0, 1), 2), Sent("extract", later, (0, 1), 2)]
        found = failed_ones(accounted.ended, query_squeue([array, later])[0] or [], sent)
        return {one.how.job: f"{one.how.state} {one.how.exit_code}".strip() for one in found}

    expected = {f"{array}_1": "FAILED 4:0", f"{later}_1": NEVER_STARTED}
    until(lambda: failed() == expected, 60, lambda: f"{failed()} becomes {expected}")
    accounted, _ = query_sacct([array])
    assert accounted is not None
    memory = {one.job: one.usage.memory or 0 for one in accounted.ended}
    assert 100 * 2**20 < memory[f"{array}_0"] < 300 * 2**20
    cluster.run(["scancel", later], check=True)


def test_partitions(cluster: Cluster) -> None:
    assert checks.slurm(SlurmTable(partition="normal", gpu_partition="urgent")).verdict == "ok"
    found = checks.slurm(SlurmTable(partition="normal", gpu_partition="nosuch"))
    assert found.verdict == "bad"
    assert found.detail == "no partition nosuch here; there are: normal, urgent"


def test_ranks_of_srun_see_each_other(cluster: Cluster) -> None:
    doctor = ["hypoxia-hpc", "doctor"]
    good = cluster.run(["srun", "--mpi=pmi2", "-N2", "-n2", "--mem=1500M", *doctor], timeout=240)
    assert "rank 0 of 2" in good.stdout
    assert "rank 1 of 2" in good.stdout
