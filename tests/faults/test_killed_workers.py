"""A worker process dies, the process above the workers dies, two commands do the same work at once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Collection, Iterator
from functools import partial
from os import kill
from pathlib import Path

import pytest
from fault_runs import LIMIT_SECONDS, copy_run, digests, finish, leftovers_in, names, of, start, start_fresh
from forks import Process
from waiting import wait_until

EXIT_QUARANTINED, EXIT_STOPPED = 3, 75
wait_for = partial(wait_until, seconds=LIMIT_SECONDS, pause=0.001)


def workers_of(process: Process) -> list[int]:
    """Its worker processes that have been started and not ended."""
    return [
        child for child in children_of(process.pid) if b"tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def children_of(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def kill_worker_in_a_slide(process: Process, run: Path, dead: Collection[int] = ()) -> int:
    """SIGKILL to the worker that is writing a store: its process id is in the store's temporary name."""

    def writers() -> set[int]:
        return {int(writing.name.split("-")[-2]) for writing in run.glob("tiles/.tmp-*")} - {*dead}

    wait_for(writers)
    worker = writers().pop()
    kill(worker, signal.SIGKILL)
    assert process.poll() is None
    return worker


def halt_worker_in_a_slide(run: Path) -> None:
    """SIGSTOP to a worker that is writing a store, so that it does not end it."""

    def is_halted() -> bool:
        for worker in {int(writing.name.split("-")[-2]) for writing in run.glob("tiles/.tmp-*")}:
            kill(worker, signal.SIGSTOP)
            time.sleep(0.01)
            if list(run.glob(f"tiles/.tmp-*-{worker}-*")):
                return True
            kill(worker, signal.SIGCONT)
        return False

    wait_for(is_halted)


def receipts(run: Path, stage: str) -> list[dict[str, object]]:
    return [json.loads(file.read_text()) for file in sorted((run / "receipts" / stage).glob("*.json"))]


def test_a_killed_worker_of_tile_costs_nothing(untouched: Path, whole: Path, tmp_path: Path) -> None:
    run = copy_run(untouched, tmp_path / "run")
    process = start_fresh("tile", run, "--workers", "2")
    kill_worker_in_a_slide(process, run)
    finish(process)
    assert leftovers_in(run) == [], "what the dead worker had begun is deleted by the process above it"
    assert digests(run) == of(digests(whole), "tiles/")
    assert {receipt["status"] for receipt in receipts(run, "tile")} == {"done"}


def test_a_killed_worker_of_extract_costs_nothing(whole: Path, tmp_path: Path) -> None:
    run = copy_run(whole, tmp_path / "run", ["tiles", "receipts/tile"])
    process = start("extract", run, "--workers", "1")
    wait_for(lambda: list(run.glob("features/small/*.zarr")))
    (worker,) = workers_of(process)
    kill(worker, signal.SIGKILL)
    finish(process)
    assert digests(run) == of(digests(whole), "tiles/", "features/")


def test_a_slide_that_kills_its_worker_twice_is_quarantined_and_can_be_tried_again(
    untouched: Path, whole: Path, tmp_path: Path
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    process = start("tile", run, "--workers", "1")
    first = kill_worker_in_a_slide(process, run)
    kill_worker_in_a_slide(process, run, {first})
    finish(process, EXIT_QUARANTINED)
    (held,) = [receipt for receipt in receipts(run, "tile") if receipt["status"] == "quarantined"]
    assert (held["reason"], held["attempts"]) == ("worker-died", 2)
    assert "SIGKILL" in str(held["detail"])
    one = f"tiles/{held['slide_id']}.zarr"
    promised = of(digests(whole), "tiles/")
    assert digests(run) == {name: digest for name, digest in promised.items() if not name.startswith(one)}
    finish(start("tile", run), EXIT_QUARANTINED)
    finish(start("tile", run, "--retry"))
    assert digests(run) == promised


def test_two_signals_leave_nothing_half_written(untouched: Path, whole: Path, tmp_path: Path) -> None:
    run = copy_run(untouched, tmp_path / "run")
    process = start_fresh("tile", run, "--workers", "2")
    halt_worker_in_a_slide(run)
    for said in ("finishing what is under way", "stopped"):
        kill(process.pid, signal.SIGINT)
        wait_for(lambda said=said: said in process.log.read_text())
    finish(process, EXIT_STOPPED)
    assert leftovers_in(run) == []
    finish(start("tile", run))
    assert digests(run) == of(digests(whole), "tiles/")


def test_workers_end_with_the_process_above_them(untouched: Path, whole: Path, tmp_path: Path) -> None:
    run = copy_run(untouched, tmp_path / "run")
    process = start_fresh("tile", run, "--workers", "2")
    wait_for(lambda: list(run.glob("tiles/*.zarr")))
    family = [*children_of(process.pid)]
    process.kill()
    finish(process, -signal.SIGKILL)
    wait_for(lambda: not any(is_alive(pid) for pid in family))
    finish(start("tile", run))
    assert digests(run) == of(digests(whole), "tiles/")


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("n_done", [0, 6])
def test_two_commands_at_once_make_the_same(untouched: Path, whole: Path, tmp_path: Path, n_done: int) -> None:
    done = [f"tiles/{one['slide_id']}.zarr" for one in receipts(whole, "tile")][:n_done]
    run = copy_run(whole, tmp_path / "run", done)
    both = [start("tile", run, "--workers", "2") for _ in range(2)]
    for process in both:
        finish(process)
    assert digests(run) == of(digests(whole), "tiles/")
    assert leftovers_in(run) == []
    assert names(run) <= names(whole)
    assert {receipt["status"] for receipt in receipts(run, "tile")} == {"done"}
