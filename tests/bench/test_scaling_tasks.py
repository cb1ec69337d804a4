"""Scaling over array elements without SLURM: what [site.slurm] allows, what submit would send, what a lap comes to."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from bench.test_scaling import slides
from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.page import part_of
from hypoxia_hpc.bench.records import append_records, read_history
from hypoxia_hpc.bench.scaling import Load, Plan, SizeLap, curve, split_of
from hypoxia_hpc.bench.scaling_jobs import refuse_failed, require_slurm
from hypoxia_hpc.bench.scaling_records import ScalingRecord, Task
from hypoxia_hpc.bench.scaling_runs import copied_run
from hypoxia_hpc.bench.scaling_tasks import (
    config_of_tasks,
    lap_of_tasks,
    refuse_too_few,
    refuse_too_many,
    requeued,
    sizes_to,
    task_of,
)
from hypoxia_hpc.cli.text.scaling_curve import curve_text
from hypoxia_hpc.config import SlurmTable, render_config
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.records import Receipt, ThreadSeconds, TileWork
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.chain import Part
from hypoxia_hpc.slurm.queue import Ended
from hypoxia_hpc.slurm.starts import Start
from hypoxia_hpc.slurm.usage import Usage
from hypoxia_hpc.stages.submit import plan_submission
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.workers.heartbeat import Heartbeat

TASK = Task(nodes=1, ranks=1, cpus=2)
TIME = "2026-03-01T10:00:00+00:00"


def element(index: int, seconds: int, cpu_seconds: float | None = 1.0, state: str = "COMPLETED") -> Ended:
    return Ended(f"17_{index}", state, "4:0", usage=Usage(seconds=seconds, cpus=2, cpu_seconds=cpu_seconds), node="n1")


def heartbeat(index: int, busy: tuple[float, ...], idle: tuple[float, ...]) -> Heartbeat:
    where = ("tile", "", (index, 2), 0, 1, "n1", 1, f"17_{index}", 2, TIME, TIME, "ended")
    return Heartbeat(*where, 1, 1, 1.0, 1.0, 9, (), busy, idle)


def lap(seconds: float, queue: float = 3.0) -> SizeLap:
    return SizeLap(seconds, seconds, seconds, 0.1 * seconds, 0.5 * seconds, queue=queue, whole=queue + seconds)


def a_curve(folder: Path, base_seconds: float = 40.0) -> ScalingRecord:
    own = slides(5, 5, 5, 5)
    plan = Plan("strong", "tasks", "run", 6, {1: own, 2: own}, TASK)
    laps = {1: [lap(base_seconds)] * 6, 2: [lap(base_seconds * 0.625)] * 6}
    return curve(plan, {1: Load(4, 20, 1000), 2: Load(4, 20, 1000)}, laps, environment(folder))


def test_sizes_double_and_end_with_what_is_asked_for() -> None:
    assert [sizes_to(n) for n in (2, 3, 8, 12)] == [[1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 12]]


def test_what_the_site_table_does_not_allow_is_refused_with_its_entries() -> None:
    table = SlurmTable.model_validate({"most_elements": 8, "throttle": 2, "tile": {"throttle": 4, "cpus": 16}})
    assert task_of(table) == Task(1, 1, 16)
    refuse_too_many(4, table)
    with pytest.raises(InputError, match="--tasks 16") as caught:
        refuse_too_many(16, table)
    assert caught.value.offending == ("most_elements = 8", "throttle = 4")
    refuse_too_few(4, 2, TASK)
    with pytest.raises(InputError, match=r"3 slides cannot occupy 2 elements of 2 workers each"):
        refuse_too_few(3, 2, TASK)


@pytest.mark.parametrize("size", [1, 2])
def test_submit_cuts_a_copy_of_a_run_into_that_many_parts_and_asks_for_what_the_table_says(
    untouched: Path, tmp_path: Path, size: int
) -> None:
    run = RunDir(untouched)
    copy = copied_run(run, tmp_path / "copy")
    config = copy.config()
    slurm = config.site.slurm.model_copy(update={"partition": "long", "cpus": 1, "memory_gb": 7.0})
    config = config.model_copy(update={"site": config.site.model_copy(update={"slurm": slurm})})
    committed_file(copy.config_file, render_config(config_of_tasks(config, size)).encode())
    plan = plan_submission(copy, retry=False, part=Part("tile", "tile"))
    assert plan.notes == ()
    [job] = plan.jobs
    request = job.request
    assert (request.stage, request.of, request.elements) == ("tile", size, tuple(range(size)))
    assert (request.partition, request.cpus, request.memory_mb) == ("long", 1, 7000)
    assert copy.config().tile == run.config().tile


def test_a_lap_is_as_long_as_its_longest_element_and_the_queue_stands_apart() -> None:
    starts = [Start("17_0", 100, 104, 124), Start("17_1", 100, 160, 190)]
    receipts = {
        "S0": Receipt("S0", "done", "k", seconds=12.0, details=TileWork(thread_seconds=ThreadSeconds(read=2.0))),
        "S1": Receipt("S1", "done", "k", seconds=20.0),
    }
    beats = [heartbeat(0, (8.0, 9.0), (1.0, 0.0)), heartbeat(1, (14.0, 13.0), (0.0, 1.0))]
    found = lap_of_tasks(TASK, starts, [element(0, 20, 30.0), element(1, 30, 50.0)], beats, receipts)
    assert (found.clock, found.queue, found.whole) == (30, 60, 90)
    assert (found.processor, found.busy, found.slides) == (80.0, 44.0, 32.0)
    assert found.idle == 2.0 + 2 * 10
    assert found.threads.read == 2.0
    split = split_of(2 * TASK.workers, [found])
    assert sum(astuple(split)) == 4 * 30
    assert split.command == 120 - 44 - 22
    assert lap_of_tasks(TASK, starts, [element(0, 20, None), element(1, 30)], beats, {}).processor is None


def test_elements_too_short_for_the_clock_of_accounting_are_refused() -> None:
    with pytest.raises(NotReadyError, match="accounting counts whole seconds"):
        lap_of_tasks(TASK, [Start("17_0", 100, 100, 100)], [element(0, 0)], [], {})


def test_a_record_of_a_cluster_that_took_its_jobs_at_once_is_read_again(tmp_path: Path) -> None:
    own = slides(5, 5, 5, 5)
    plan = Plan("strong", "tasks", "run", 1, {1: own, 2: own}, TASK)
    load = Load(4, 20, 1000)
    found = curve(plan, {1: load, 2: load}, {1: [lap(9, queue=0)], 2: [lap(5, queue=0)]}, environment(tmp_path))
    append_records(tmp_path / "h.jsonl", [found])
    assert read_history(tmp_path / "h.jsonl").records == [found]


def test_an_element_that_began_twice_is_found() -> None:
    assert requeued([Start("17_0", 0, 1, 2), Start("17_1", 0, 1, 2), Start("17_0", 2, 3, 4)]) == ["17_0"]


def test_failed_elements_are_named_with_the_end_of_a_log(tmp_path: Path) -> None:
    ended = [element(0, 9), element(1, 3, state="FAILED")]
    with pytest.raises(NotReadyError, match="--folder has to name a folder that all nodes see"):
        refuse_failed(ended, tmp_path)
    (tmp_path / "tile-17_1.out").write_text("first\n" * 9 + "the disk is full\n")
    with pytest.raises(NotReadyError, match="1 element of tile did not end well; 17_1 said: first") as caught:
        refuse_failed(ended, tmp_path)
    assert "the disk is full" in caught.value.problem
    assert caught.value.offending == ("17_1: failed, exit code 4:0, on n1",)


def test_without_slurm_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="sbatch, squeue, scancel, sacct are not on this machine") as caught:
        require_slurm()
    assert "leave out --tasks" in caught.value.remedy
    for name in ("sbatch", "squeue", "scancel", "sacct"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(MachineError, match=r"accounting of SLURM, which does not answer: .*disabled"):
        require_slurm()


def test_a_curve_of_array_elements_is_kept_printed_and_drawn(tmp_path: Path) -> None:
    found, path = a_curve(tmp_path), tmp_path / "h.jsonl"
    append_records(path, [found])
    assert read_history(path).records == [found]
    assert (found.caches, found.busy, found.task) == ("unknown", 0.5, TASK)
    assert found.sizes[1].efficiency.value == pytest.approx(0.8)
    text = "\n".join(curve_text(found))
    assert "over elements of a SLURM array" in text
    assert "base case: 1 array element of 2 cores on 1 node" in text
    assert "known to 4 %" in text  # a second of 25
    row = next(line for line in text.splitlines() if line.endswith("43.0 (43.0 - 43.0)"))
    assert row.split() == ["1", "3.0", "(3.0", "-", "3.0)", "43.0", "(43.0", "-", "43.0)"]
    ranks = replace(found, task=Task(2, 4, 8))
    [chart] = part_of(0, [found, ranks]).charts
    for cores in (2, 32):
        assert f"strong, array elements of {cores} cores, run, 4 slides: 1.00 at 1, 1.60 at 2" in chart.alt
    assert "4 ranks of 8 cores on 2 nodes" in "\n".join(curve_text(ranks))
    unknown = replace(found, busy=None)
    append_records(path, [unknown])
    assert read_history(path).records[-1] == unknown
    assert json.loads(path.read_text().splitlines()[-1])["busy"] is None
    assert "of its core's time" not in "\n".join(curve_text(unknown))
