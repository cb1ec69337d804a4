"""What a process tells of itself in RUN/running while it works."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hypoxia_hpc.errors import MachineError, Stopped
from hypoxia_hpc.records import Share
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.workers import heartbeat
from hypoxia_hpc.workers.allocation import Allocation
from hypoxia_hpc.workers.heartbeat import HeartbeatFile, WorkDone, job_id, read_heartbeats, task_name

PART = Allocation(Share(2, 5))
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID")


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)


def nothing() -> WorkDone:
    return WorkDone(busy_seconds=(0.0,), idle_seconds=(1.5,))


def file_of(run: RunDir) -> HeartbeatFile:
    return HeartbeatFile(run, "extract inception_v3", PART, n_slides=7, cost=100)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    told = WorkDone(3, 40, 1234, ("a", "b"), (10.5, 2.0), (0.5, 9.0), 8.5, 0.5, 2**33)
    with file_of(run).kept(lambda: told):
        (one,) = read_heartbeats(run)
        assert (one.stage, one.name, one.share, one.state) == ("extract", "inception_v3", (2, 5), "working")
    (one,) = read_heartbeats(run)
    assert one.state == "ended"
    assert (one.slides_done, one.slides_total, one.cost_done, one.cost_total, one.tiles) == (3, 7, 40, 100, 1234)
    assert (one.in_flight, one.workers, one.busy_seconds, one.idle_seconds) == (("a", "b"), 2, (10.5, 2.0), (0.5, 9.0))
    assert (one.device_seconds, one.waited_seconds, one.bytes_read) == (8.5, 0.5, 2**33)
    assert (one.rank, one.ranks, one.job) == (0, 1, "")
    assert one.started <= one.updated
    assert [path.name for path in run.running.iterdir()] == [f"extract-{one.host}-{one.pid}.json"]


@pytest.mark.parametrize(
    ("error", "state"),
    [(Stopped("stop"), "stopped"), (KeyboardInterrupt(), "stopped"), (KeyError("a slip"), "failed")],
)
def test_it_tells_how_it_ended(tmp_path: Path, error: BaseException, state: str) -> None:
    run = RunDir(tmp_path)
    with pytest.raises(type(error)), file_of(run).kept(nothing):
        raise error
    assert [one.state for one in read_heartbeats(run)] == [state]


def test_it_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, file = RunDir(tmp_path), file_of(RunDir(tmp_path))
    with file.kept(nothing):
        file.now_and_then(lambda: WorkDone(slides_done=1))
        assert read_heartbeats(run)[0].slides_done == 0
        monkeypatch.setattr(heartbeat, "WRITE_SECONDS", 0.0)
        file.now_and_then(lambda: WorkDone(slides_done=2))
        assert read_heartbeats(run)[0].slides_done == 2


def test_a_run_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "running").touch()
    with (
        pytest.raises(MachineError, match="a file is where a folder has to be"),
        file_of(RunDir(tmp_path)).kept(nothing),
    ):
        pytest.fail("the work began")


def test_what_made_it_fail_is_told_though_the_disk_is_gone(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with pytest.raises(KeyError), file_of(run).kept(nothing):
        (one,) = run.running.iterdir()
        one.unlink()
        run.running.rmdir()
        run.running.touch()
        raise KeyError("a slip")


def changed(change: Callable[[dict[str, object]], object]) -> Callable[[str], str]:
    def text_of(text: str) -> str:
        told = json.loads(text)
        change(told)
        return json.dumps(told)

    return text_of


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-5],
        lambda text: "",
        lambda text: "[]",
        changed(lambda told: told.pop("pid")),
        changed(lambda told: told.update(state="asleep")),
        changed(lambda told: told.update(slides_done="3")),
        changed(lambda told: told.update(busy_seconds=["x"])),
    ],
)
def test_damaged_and_foreign_files_are_left_out(tmp_path: Path, damage: Callable[[str], str]) -> None:
    run = RunDir(tmp_path)
    with file_of(run).kept(nothing):
        pass
    (sound,) = run.running.iterdir()
    (run.running / "tile-damaged.json").write_text(damage(sound.read_text()))
    (run.running / ".tmp-tile-1.json-host-1-00000000").write_text("")
    (run.running / "folder.json").mkdir()
    assert [one.stage for one in read_heartbeats(run)] == ["extract"]


def test_nothing_runs_in_a_new_run(tmp_path: Path) -> None:
    assert read_heartbeats(RunDir(tmp_path)) == []


@pytest.mark.parametrize(
    ("environment", "name", "job"),
    [
        ({}, "n_1.cluster-77", ""),
        ({"SLURM_JOB_ID": "12"}, "12", "12"),
        ({"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}, "12_3", "12_3"),
        ({"SLURM_JOB_ID": "../14"}, "n_1.cluster-77", ""),
        ({"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "/etc"}, "14", "14"),
    ],
)
def test_a_requeued_job_has_the_same_name(environment: Mapping[str, str], name: str, job: str) -> None:
    assert (task_name(environment, "n/1.cluster", 77), job_id(environment)) == (name, job)


def test_tasks_of_a_step_have_a_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    for number in ("0", "1"):
        monkeypatch.setenv("SLURM_PROCID", number)
        with file_of(run).kept(nothing):
            pass
    assert sorted(path.name for path in run.running.iterdir()) == ["extract-12-r1.json", "extract-12.json"]


def test_readers_never_see_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, file, over = RunDir(tmp_path), file_of(RunDir(tmp_path)), threading.Event()
    monkeypatch.setattr(heartbeat, "WRITE_SECONDS", 0.0)
    found: list[int] = []
    reader = threading.Thread(target=lambda: [found.append(len(read_heartbeats(run))) for _ in iter(over.is_set, True)])
    with file.kept(nothing):
        reader.start()
        for number in range(300):
            file.now_and_then(lambda: WorkDone(in_flight=("a" * 100,) * number))  # noqa: B023 - called at once
        over.set()
        reader.join()
    assert found
    assert set(found) == {1}
