"""What dies, is cancelled, stopped or full on a live cluster costs only the slides in flight: requeued by SLURM or
submitted again, a run ends in the same bytes, and ``status`` tells the truth. By default one fault of each kind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chains import BROKEN, N_SLIDES, Scheduler, jobs, logs, own, stage, tiles_of
from live_cluster import until

MPI = (("site.slurm", "nodes", "2"), ("site.slurm", "ranks", "2"), ("site.slurm", "most_elements", "1"))
ONE = (("site.slurm", "most_elements", "1"),)


@pytest.fixture(autouse=True)
def _calm(scheduler: Scheduler) -> Iterator[None]:
    scheduler.cluster.calm()
    yield
    scheduler.cluster.calm()


@pytest.fixture(scope="module")
def reference(scheduler: Scheduler) -> dict[str, str]:
    """Tiles made by one command in the same image, without SLURM."""
    run = scheduler.new_run("reference-tiles")
    done = scheduler.in_image("tile", run)
    assert done.returncode == 3, done.stdout + done.stderr
    return tiles_of(run)


@pytest.fixture
def scratch(scheduler: Scheduler, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own, without compiled kernels: to compile them takes some seconds, in which a process is
    at work. With those that an earlier job has left, all slides are done before a test can harm anything."""
    folder = scheduler.cluster.folder / f"{plain_name(request)}-scratch"
    folder.mkdir()
    own(scheduler.cluster, folder)
    return folder


@pytest.fixture
def new_run(scheduler: Scheduler, request: pytest.FixtureRequest, scratch: Path) -> Callable[..., Path]:
    own_scratch = ("site", "scratch", f'"{scratch}"')
    return lambda *settings: scheduler.new_run(plain_name(request), (own_scratch, *settings))


def plain_name(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W+", "-", request.node.name).strip("-")


def submit_tile(scheduler: Scheduler, run: Path) -> str:
    """Submit a run and cancel what follows tile; the job of tile."""
    sent = scheduler.submit(run)
    scheduler.cancel(*(ids for name, ids in sent.items() if name != "tile"))
    return sent["tile"]


def tasks(run: Path) -> list[dict[str, Any]]:
    """What every process that works on tile, or has, says of itself."""
    return [json.loads(file.read_text()) for file in sorted((run / "running").glob("tile-*.json"))]


def until_at_work(scheduler: Scheduler, run: Path, n: int = 1) -> list[dict[str, Any]]:
    """Wait until ``n`` processes have slides in flight."""

    def working() -> list[dict[str, Any]]:
        return [task for task in tasks(run) if task["state"] == "working" and task["in_flight"]]

    until(lambda: len(working()) >= n, 90, lambda: scheduler.cluster.explain(f"{n} at work\n{logs(run)}"))
    return working()


def until_said(scheduler: Scheduler, run: Path, words: str, timeout: float) -> None:
    """Wait until a job of the run has said so."""
    until(lambda: words in logs(run), timeout, lambda: scheduler.cluster.explain(f"{words!r}\n{logs(run)}"))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def spawned(pid: int) -> int:
    """The worker process of one that works through slides."""
    found = [child for child in children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert found, f"{pid} has no worker"
    return found[0]


def check_whole(scheduler: Scheduler, run: Path, reference: dict[str, str]) -> None:
    assert tiles_of(run) == reference, logs(run)
    told = scheduler.status(run)
    tile = stage(told, "tile")
    assert (tile["done"], tile["quarantined"], tile["todo"]) == (N_SLIDES, 1, 0), told
    assert [one["slide_id"] for one in told["quarantined"]] == [BROKEN]


def finish(scheduler: Scheduler, run: Path, job: str, reference: dict[str, str], *, again: bool) -> None:
    """Wait for a job and, where ``again``, for what a second submission sends; then the run is whole."""
    scheduler.wait({"tile": job}, 240)
    if again:
        assert stage(scheduler.status(run), "tile")["todo"] > 0, logs(run)
        job = submit_tile(scheduler, run)
        states = scheduler.wait({"tile": job}, 240)
        assert {*states.values()} == {"COMPLETED"}, logs(run)
    check_whole(scheduler, run, reference)


@pytest.mark.long  # without SLURM: tests/faults/test_killed_workers.py
def test_a_killed_worker(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    run = new_run(*ONE)
    job = submit_tile(scheduler, run)
    os.kill(spawned(until_at_work(scheduler, run)[0]["pid"]), signal.SIGKILL)
    states = scheduler.wait({"tile": job}, 240)
    assert {*states.values()} == {"COMPLETED"}, logs(run)
    check_whole(scheduler, run, reference)


def test_a_killed_rank(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    run = new_run(*MPI)
    job = submit_tile(scheduler, run)
    ranks = {task["rank"]: task["pid"] for task in until_at_work(scheduler, run, 2)}
    os.kill(ranks[1], signal.SIGKILL)
    until(lambda: not Path(f"/proc/{ranks[0]}").exists(), 60, lambda: scheduler.cluster.explain("rank 0 ends, too"))
    finish(scheduler, run, job, reference, again=True)


@pytest.mark.long
def test_slurmd_killed_alone(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    run = new_run()
    job = submit_tile(scheduler, run)
    until_at_work(scheduler, run)
    scheduler.cluster.kill_node("n2")
    until(lambda: len(tiles_of(run)) >= len(reference) // 2, 120, lambda: scheduler.cluster.explain("half is done"))
    scheduler.cluster.restart_node("n2")
    scheduler.wait({"tile": job}, 240)
    if stage(scheduler.status(run), "tile")["todo"]:
        finish(scheduler, run, job, reference, again=True)
    check_whole(scheduler, run, reference)


def test_a_crashed_node(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    run = new_run()
    job = submit_tile(scheduler, run)
    until_at_work(scheduler, run, 2)
    scheduler.cluster.crash_node("n2")
    scheduler.cluster.restart_node("n2")
    finish(scheduler, run, job, reference, again=False)


@pytest.mark.long
def test_a_node_set_down(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    run = new_run()
    job = submit_tile(scheduler, run)
    until_at_work(scheduler, run, 2)
    scheduler.cluster.scontrol("update", "nodename=n2", "state=down", "reason=test")
    finish(scheduler, run, job, reference, again=False)


@pytest.mark.long
def test_one_element_cancelled(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    run = new_run()
    job = submit_tile(scheduler, run)
    element = f"{job}_2"  # one that waits would leave no trace in the queue
    until(
        lambda: scheduler.cluster.squeue_states(job).get(element) == "RUNNING",
        60,
        lambda: scheduler.cluster.explain(f"{element} runs"),
    )
    scheduler.cluster.run(["scancel", element], check=True)
    scheduler.wait({"tile": job}, 240)
    assert scheduler.cluster.squeue_states(job)[element] == "CANCELLED"
    again = submit_tile(scheduler, run)
    assert [entry["elements"] for entry in jobs(run) if entry["job_id"] == again] == [[2]]
    scheduler.wait({"tile": again}, 240)
    check_whole(scheduler, run, reference)


def test_the_time_limit(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    """SLURM warns 150 seconds before a limit of three minutes: the job stops, is requeued, and goes on. The limit is
    set once the job is at work, as SLURM warns up to 30 seconds early. The worker sleeps until then, so that there is
    something left to do."""
    run = new_run(*ONE, ("site.slurm", "stop_seconds", "150"))
    job = submit_tile(scheduler, run)
    worker = spawned(until_at_work(scheduler, run)[0]["pid"])
    os.kill(worker, signal.SIGSTOP)
    scheduler.cluster.scontrol("update", f"jobid={job}", "timelimit=3")
    until_said(scheduler, run, "the time limit is near", 90)
    os.kill(worker, signal.SIGCONT)
    until_said(scheduler, run, "requeued", 120)
    scheduler.cluster.scontrol("update", f"jobid={job}", "timelimit=10")
    finish(scheduler, run, job, reference, again=False)
    assert "start 2" in logs(run)


@pytest.mark.parametrize("memory", ["--mem-per-cpu=1200M", pytest.param("--mem=2400M", marks=pytest.mark.long)])
def test_the_warning_reaches_two_nodes(
    scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str], scratch: Path, memory: str
) -> None:
    """A script sent by hand; what SLURM does before a limit is done by scancel. All memory that the job has belongs to
    the step of its ranks, beside which those run that pass the signal on and clean up."""
    run = new_run()
    (run / "slurm" / "logs").mkdir(parents=True)
    own(scheduler.cluster, run)
    scripts = run.parent / f"{run.name}-scripts"
    assert scheduler.hypoxia("slurm", scripts).returncode == 0
    options = f"--parsable --array=0-0 --nodes=2 --ntasks=2 --cpus-per-task=1 {memory} --time=10"
    script = f"{options} --output={run}/slurm/logs/by-hand.out {scripts}/slides.sbatch tile {run} 1"
    settings = f"HYPOXIA_IMAGE={scheduler.image} HYPOXIA_SCRATCH={scratch} HYPOXIA_BINDS={run.parent}"
    lines = f"source {scripts}/site.sh && export {settings} && sbatch {script}"
    job = scheduler.cluster.run(["bash", "-c", lines], check=True).stdout.strip()
    workers = [spawned(task["pid"]) for task in until_at_work(scheduler, run, 2)]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)  # until the signal comes, so that there is something left to do
    scheduler.cluster.run(["scancel", "--signal=USR1", "--batch", job], check=True)
    until_said(scheduler, run, "the time limit is near", 60)
    time.sleep(2)
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    until_said(scheduler, run, "requeued", 60)
    finish(scheduler, run, job, reference, again=False)
    said = logs(run)
    assert "start 2" in said
    assert "Unable to create step" not in said and "Memory required" not in said, said
    assert [path.name.rpartition("-")[0] for path in scratch.iterdir()] == ["hypoxia_hpc-kernels"]


def test_preemption(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    run = new_run()
    job = submit_tile(scheduler, run)
    until_at_work(scheduler, run)
    urgent = scheduler.cluster.sbatch(
        "-N2", "--exclusive", "--partition=urgent", "--output=/dev/null", "--wrap", "sleep 2"
    )
    scheduler.cluster.wait(urgent, 60, hurry=False)
    finish(scheduler, run, job, reference, again=False)


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


@pytest.mark.long  # without SLURM: tests/workers/test_scratch.py
def test_scratch_that_is_full(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    scratch = scheduler.cluster.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    run = new_run(("site", "scratch", f'"{scratch}"'), ("site", "stage_slides", "true"))
    with mounted("-t", "tmpfs", "-o", f"size=32k,uid={run.stat().st_uid}", "none", scratch):
        job = submit_tile(scheduler, run)
        states = scheduler.wait({"tile": job}, 240)
        assert {*states.values()} == {"FAILED"}, logs(run)
        assert str(scratch) in logs(run)
    with mounted("-t", "tmpfs", "-o", f"size=512m,uid={run.stat().st_uid}", "none", scratch):
        finish(scheduler, run, job, reference, again=True)
        assert not list(scratch.glob("*/*"))


@pytest.mark.long
def test_a_run_folder_that_is_read_only_for_a_while(
    scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]
) -> None:
    run = new_run()
    job = submit_tile(scheduler, run)
    until_at_work(scheduler, run)
    with mounted("--bind", run, run):
        subprocess.run(["mount", "-o", "remount,ro,bind", run], check=True)
        scheduler.wait({"tile": job}, 240)
    finish(scheduler, run, job, reference, again=stage(scheduler.status(run), "tile")["todo"] > 0)


@pytest.mark.long  # a minute, and rare
def test_two_submissions_at_once(scheduler: Scheduler, new_run: Callable[..., Path], reference: dict[str, str]) -> None:
    """Where the second comes too early to see the first, both are sent, and work side by side on the same slides."""
    run = new_run()
    job = submit_tile(scheduler, run)
    shutil.move(run / "slurm" / "jobs", run / "slurm" / "first")
    other = submit_tile(scheduler, run)
    scheduler.wait({"tile": job}, 240)
    scheduler.wait({"tile": other}, 240)
    check_whole(scheduler, run, reference)
