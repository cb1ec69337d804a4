"""status: what lies on disk, who works on it, and a text that users read."""

from __future__ import annotations

import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.cli.text.stages import quarantined_text
from hypoxia_hpc.cli.text.status import status_text
from hypoxia_hpc.cli.text.words import ranges
from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.monitoring.remaining import remaining
from hypoxia_hpc.monitoring.status import RunStatus, StageStatus, processes_of, run_status
from hypoxia_hpc.networks.heads.saved import ModelRecord, read_record, save_model
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import ExtractWork, Receipt, SlideSource, StageUsage, TileCounts, TileWork
from hypoxia_hpc.runs.device_time import DeviceTime, device_time_of
from hypoxia_hpc.runs.directory import RunDir, metrics_content
from hypoxia_hpc.runs.keys import extract_key, slide_tile_key
from hypoxia_hpc.runs.receipts import read_receipt, receipt_json, write_receipt
from hypoxia_hpc.runs.state import run_spec
from hypoxia_hpc.runs.survey import current_receipts, survey_run
from hypoxia_hpc.slurm.jobs import Jobs, that_matter
from hypoxia_hpc.slurm.queue import Ended, FailedJob, Queued, Sent
from hypoxia_hpc.slurm.usage import Usage
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.workers.heartbeat import Heartbeat

CONFIG = preset("hypoxia", {"extract": {"weights": "random"}})


def new_run(root: Path, slides: dict[str, tuple[Path, int]]) -> RunDir:
    run = RunDir(root)
    root.mkdir(exist_ok=True)
    run.config_file.write_text(render_config(CONFIG))
    rows = [f"{name},{path},P-{name},{cost}" for name, (path, cost) in slides.items()]
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]) + "\n")
    return run


def stand_in_store(folder: Path, attributes: dict[str, object]) -> None:
    """What status looks at of a store."""
    folder.mkdir(parents=True)
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(document))


def told_by(run: RunDir, **changes: object) -> Heartbeat:
    """A process of this run, as its file says it."""
    now = datetime.now(UTC)
    running = Heartbeat(
        stage="tile",
        name="",
        share=(0, 1),
        rank=0,
        ranks=1,
        host=platform.node(),
        pid=os.getpid(),
        job="",
        workers=2,
        started=(now - timedelta(seconds=100)).isoformat(timespec="seconds"),
        updated=now.isoformat(timespec="seconds"),
        state="working",
        slides_done=0,
        slides_total=3,
        cost_done=0.0,
        cost_total=6.0,
        tiles=500,
        in_flight=("b",),
        busy_seconds=(75.0, 100.0),
        idle_seconds=(25.0, 0.0),
    )
    running = replace(running, **changes)  # type: ignore[arg-type]
    run.running.mkdir(exist_ok=True)
    (run.running / f"tile-{running.job or running.pid}.json").write_text(json.dumps(asdict(running)))
    return running


def shown(state: RunStatus) -> str:
    return "\n".join(status_text(state, "RUN"))


@pytest.fixture(scope="module")
def one_of_three_once(tmp_path_factory: pytest.TempPathFactory, real_slide: Path) -> RunDir:
    root = tmp_path_factory.mktemp("status") / "run"
    run = new_run(root, {"a": (real_slide, 2), "b": (real_slide, 3), "c": (real_slide, 5)})
    tile(run, run.slides()[:1], workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    return run


@pytest.fixture
def one_of_three(one_of_three_once: RunDir, tmp_path: Path) -> RunDir:
    """Slide a of cost 2 is tiled, in 10 seconds; b of 3 and c of 5 are to do."""
    run = RunDir(Path(shutil.copytree(one_of_three_once.root, tmp_path / "run")))
    shutil.rmtree(run.running, ignore_errors=True)
    receipt = read_receipt(run.receipts("tile"), "a")
    assert receipt is not None
    write_receipt(run.receipts("tile"), replace(receipt, seconds=10.0))
    return run


def test_no_process_works(one_of_three: RunDir) -> None:
    state = run_status(one_of_three)
    made = state.stages[0]
    assert (made.done, made.todo, made.running, made.workers) == (1, 2, 0, 0)
    assert (made.cost_done, made.cost_total) == (2, 10)
    assert made.worker_seconds_left == 40
    assert made.seconds_left is None
    assert state.processes == ()
    assert state.jobs == Jobs()
    assert "40 s of one worker" in shown(state)
    assert "squeue" not in shown(state)


def test_time_left_counts_the_whole_run_and_the_workers_at_work(one_of_three: RunDir) -> None:
    told_by(one_of_three)
    told_by(one_of_three, pid=1, host="elsewhere", workers=2, in_flight=("c",))
    state = run_status(one_of_three)
    made = state.stages[0]
    assert (made.running, made.workers, made.tiles_per_second_now) == (2, 4, 10)
    # 40 s of work for 4 workers, each idle for 12.5 % of its time.
    assert made.seconds_left == pytest.approx(40 / 4 / 0.875)
    assert "11 s with 4 workers" in shown(state)
    assert f"at work: 2 processes on elsewhere, {platform.node()}" in shown(state)
    assert "25% 0%" in shown(state)


def test_how_busy_devices_were_is_said_of_processes_and_of_stages(one_of_three: RunDir) -> None:
    told_by(one_of_three, device_seconds=40.0, waited_seconds=1.0)
    told_by(one_of_three, pid=1, host="elsewhere")
    receipt = read_receipt(one_of_three.receipts("tile"), "a")
    assert receipt is not None
    work = ExtractWork(device_seconds=8.0, waited_seconds=2.0, bytes_read=4_100_000_000)
    device_time = device_time_of([replace(receipt, details=work), receipt])
    assert device_time == DeviceTime(8.0, 2.0, 4_100_000_000)
    state = run_status(one_of_three)
    assert sorted(one.waited_share or 0.0 for one in state.processes) == [0.0, 0.025]
    assert " 2% " in shown(state)
    stage = StageStatus("extract x", 2, 0, 1, device_time=device_time)
    state = replace(state, stages=(stage,))
    assert "device waited 25% for data, read 4.1 GB" in shown(state)
    assert state.as_json()["stages"][0]["waited_share"] == 0.25
    assert DeviceTime().waited_share is None


def test_a_process_that_died_is_said_to_be_dead_while_its_slides_are_to_do(one_of_three: RunDir) -> None:
    long_ago = (datetime.now(UTC) - timedelta(minutes=10)).isoformat(timespec="seconds")
    gone = subprocess.Popen(["true"])
    gone.wait()
    told_by(one_of_three, pid=gone.pid, updated=long_ago)
    state = run_status(one_of_three)
    assert [one.health for one in state.processes] == ["dead"]
    assert (state.stages[0].running, state.stages[0].workers) == (0, 0)
    assert f"dead: process {gone.pid} is gone" in shown(state)
    told_by(one_of_three, pid=gone.pid, updated=long_ago, in_flight=("a",))
    assert run_status(one_of_three).processes == ()


def test_the_queue_says_more_of_a_job_than_its_fresh_file_but_nothing_of_jobs_begun_by_hand(
    one_of_three: RunDir,
) -> None:
    told_by(one_of_three, job="7_1")
    told_by(one_of_three, job="8")
    jobs = Jobs(sent=(Sent("tile", "7", (0, 1), 2),), queued=(Queued("7_0", "RUNNING", "", "n1"),))
    found = processes_of(one_of_three, jobs, datetime.now(UTC), {"tile": {"b"}})
    assert [(one.heartbeat.job, one.health) for one in found] == [("7_1", "dead"), ("8", "working")]


def test_without_slurm_there_is_one_line_each_and_no_error(
    one_of_three: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = one_of_three.root / "slurm" / "jobs"
    jobs.mkdir(parents=True)
    sent = {"stage": "tile", "job_id": "7", "elements": [0, 1], "first": 0, "of": 2}
    (jobs / "7.json").write_text(json.dumps(sent))
    monkeypatch.setenv("PATH", "/does/not/exist")
    state = run_status(one_of_three)
    assert state.jobs.queued is None
    assert "it is not known what waits or runs: squeue is not on this machine" in shown(state)
    assert "it is not known how jobs ended: sacct is not on this machine" in shown(state)
    assert json.loads(json.dumps(state.as_json()))["jobs"]["sent"][0]["job_id"] == "7"


USED = Usage(memory=3_900_000_000)


def test_the_queue_in_words() -> None:
    stage = StageStatus("tile", 5, 0, 95)
    jobs = Jobs(
        sent=(Sent("tile", "7", tuple(range(8))), Sent("extract", "8", (0, 1)), Sent("train", "9", None)),
        queued=(
            Queued("7_0", "RUNNING", "", "n1"),
            Queued("7_1", "RUNNING", "", "n1"),
            Queued("7_2", "COMPLETING", "", "n2"),
            *(Queued(f"7_{index}", "PENDING", "Priority", "") for index in (3, 4, 6)),
            Queued("7_5", "PENDING", "launch failed requeued held", ""),
            Queued("8_0", "PENDING", "Dependency", ""),
            Queued("9", "PENDING", "DependencyNeverSatisfied", ""),
        ),
        failed=(
            FailedJob("tile", 7, 8, Ended("7_7", "FAILED", "4:0", "00:01:02", node="n1")),
            FailedJob("tile", 1, 8, Ended("6_1", "OUT_OF_MEMORY", "0:125", "00:10:00", USED, "n2")),
        ),
    )
    text = shown(RunStatus((stage,), (), (), jobs))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "tile 7 running 0-2 n1 2, n2" in lines
    assert "tile 7 pending 3-4,6 Priority" in lines
    assert "tile 7 held 5 launch failed requeued held" in lines
    assert "train 9 pending will not start: DependencyNeverSatisfied" in lines
    assert any("scontrol release" in line for line in lines)
    assert "what will not start: scancel 9, mend what it waits for, then hypoxia-hpc submit RUN" in lines
    assert any("tile 7_7 n1 FAILED 4: cannot go on there" in line for line in lines)
    assert "tile 6_1 n2 OUT_OF_MEMORY 0:125 00:10:00 3.9 GB" in lines
    assert any("hypoxia-hpc submit RUN" in line for line in lines)


@pytest.mark.parametrize(
    ("reason", "never"),
    [
        ("PartitionTimeLimit", True),
        ("BadConstraints", True),
        ("AccountNotAllowed", True),
        ("AssocMaxWallDurationPerJobLimit", True),
        ("QOSMaxMemoryPerJob", True),
        ("QOSMaxJobsPerUserLimit", False),
        ("AssocMaxJobsLimit", False),
        ("ReqNodeNotAvail, UnavailableNodes:n2", False),
        ("Resources", False),
    ],
)
def test_what_never_starts_is_said_to(reason: str, never: bool) -> None:
    queued = tuple(Queued(f"7_{index}", "PENDING", reason, "") for index in range(2))
    text = "\n".join(status_text(RunStatus((), (), (), Jobs((Sent("tile", "7", (0, 1)),), queued, ())), "my run"))
    assert (f"will not start: {reason}" in text) == never
    remedy = "scancel 7, mend [site.slurm] in run.toml, then hypoxia-hpc submit 'my run'"
    assert (remedy in text) == never


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("1:0", "FAILED 1: see the end of tile-7_3.out"),
        ("127:0", "FAILED 127: the program or the image could not be started; see the end of tile-7_3.out"),
        ("255:0", "FAILED 255: the program or the image could not be started; see the end of tile-7_3.out"),
        ("2:0", "FAILED 2: bad configuration or table; see the end of tile-7_3.out"),
        ("44:0", "FAILED 44:0"),
    ],
)
def test_exit_codes_in_words(code: str, says: str) -> None:
    jobs = Jobs((Sent("tile", "7", (3,)),), (), (FailedJob("tile", 3, 8, Ended("7_3", "FAILED", code)),))
    assert says in " ".join("\n".join(status_text(RunStatus((), (), (), jobs), "RUN")).split())


def test_elements_that_failed_alike_are_one_row() -> None:
    ends = [
        *(
            Ended(f"7_{index}", "FAILED", "4:0", f"00:0{index}:00", Usage(memory=index * 10**9), "n1")
            for index in (0, 1, 2, 5)
        ),
        Ended("7_3", "TIMEOUT", "0:0", "1-00:00:00"),
        Ended("8", "FAILED", "4:0"),
    ]
    failed = tuple(FailedJob("tile", number, 9, end) for number, end in enumerate(ends))
    lines = [" ".join(line.split()) for line in shown(RunStatus((), (), (), Jobs((), (), failed))).splitlines()]
    (row,) = [line for line in lines if line.startswith("tile 7_[0-2,5] n1 FAILED 4: ")]
    assert row.endswith("see the end of tile-7_0.out 00:05:00 5 GB")
    assert "tile 7_3 TIMEOUT 1-00:00:00" in lines
    assert any(line.startswith("tile 8 FAILED") for line in lines)


def test_elements_that_were_sent_alone_and_stand_alike_are_one_row() -> None:
    """An array of one element each, beside the stage before it."""
    extract = tuple(Sent("extract", str(8 + n), (n,), 4, 0, "today") for n in range(4))
    late = Sent("extract", "20", (1000, 1001), 1002, 1000, "today")
    queued = (
        *(Queued(f"{8 + n}_{n}", "PENDING", "Dependency", "") for n in (1, 2, 3)),
        Queued("20_1", "PENDING", "Dependency", ""),
        Queued("8_0", "RUNNING", "", "n1"),
    )
    failed = tuple(FailedJob("extract", n, 4, Ended(f"{3 + n}_{n}", "FAILED", "5:0"), "before") for n in range(3))
    lines = [
        " ".join(line.split())
        for line in shown(RunStatus((), (), (), Jobs((*extract, late), queued, failed))).splitlines()
    ]
    assert "extract 8 running 0 n1" in lines
    assert "extract 9-11,20 pending 1-3,1001 Dependency" in lines
    assert any(line.startswith("extract 3-5 FAILED 5: an earlier stage is incomplete; see") for line in lines)


def test_without_the_controller_living_jobs_have_not_failed() -> None:
    accounted = (Queued("7_0", "RUNNING", "", "n1"), Queued("8", "PENDING", "", ""))
    sent = (Sent("tile", "7", (0, 1)), Sent("train", "8", None))
    failed = (FailedJob("tile", 1, 2, Ended("7_1", "FAILED", "4:0")),)
    jobs = Jobs(sent, None, failed, "squeue: no controller", "", accounted, 3)
    state = RunStatus((), (), (), jobs)
    lines = [" ".join(line.split()) for line in shown(state).splitlines()]
    assert "in the queue, as sacct last heard:" in lines
    assert "tile 7 running 0 n1" in lines and "train 8 pending" in lines
    assert "note: it is not known what waits or runs: squeue: no controller" in lines
    assert "note: sacct has not heard of 3 jobs either: they may wait, run or be over" in lines
    assert any(line.endswith("hypoxia-hpc submit RUN, when squeue answers again") for line in lines)
    assert (state.as_json()["jobs"]["unknown"], len(state.as_json()["jobs"]["accounted"])) == (3, 2)


def test_what_jobs_had_and_used_is_a_line_a_stage() -> None:
    spent = (
        StageUsage("tile", 12, 4 * 7200, 3600, 7200, 0.87, 4 * 10**9, 3_100_000_000),
        StageUsage(
            *("extract", 2, 7200, 3600),
            **{"gpu_seconds": 7200, "gpu_share": 0.5, "gpu_memory": 10**9, "joules": 3_600_000, "measured_jobs": 1},
        ),
        StageUsage("train", 1, 60, 60, None, gpu_seconds=60),
    )
    state = RunStatus((), (), (), Jobs((Sent("tile", "7", None),), (), (), spent=spent))
    lines = [" ".join(line.split()) for line in shown(state).splitlines()]
    assert "tile 12 8.0 87% 3.1 GB of 4 GB 1 h 00 min of 2 h 00 min not known" in lines
    assert "extract 2 2.0 not known not known 1 h 00 min 2.0 h, at most 50% busy, 1 GB 1 kWh of 1 job" in lines
    assert "train 1 0.0 not known not known 1 min 00 s 0.0 h, use not known not known" in lines
    assert state.as_json()["jobs"]["spent"][0]["memory_used"] == 3_100_000_000


def test_a_partition_that_is_down_may_come_up_again() -> None:
    queued = (Queued("7", "PENDING", "PartitionDown", ""),)
    text = shown(RunStatus((), (), (), Jobs((Sent("train", "7", None),), queued, ())))
    assert "or wait until it is up" in text and "will not start" not in text


def test_the_log_of_a_failed_job_lies_in_the_folder_of_its_submission() -> None:
    failed = FailedJob("tile", 3, 8, Ended("7_3", "FAILED", "1:0"), "2026-01-01T000000Z")
    jobs = Jobs((Sent("tile", "7", (3,)),), (), (failed,))
    assert "see the end of 2026-01-01T000000Z/tile-7_3.out" in shown(RunStatus((), (), (), jobs))


def test_long_lists_are_cut_in_the_text_and_whole_in_json() -> None:
    failed = tuple(FailedJob("tile", part, 500, Ended(f"{7 + part}_0", "TIMEOUT")) for part in range(500))
    state = RunStatus((StageStatus("tile", 0, 0, 1),), (), (), Jobs((Sent("tile", "7", None),), (), failed))
    assert len(shown(state).splitlines()) < 40
    assert "and 480 more" in shown(state)
    assert len(state.as_json()["jobs"]["failed"]) == 500


def test_a_silent_process_still_runs_its_slides(one_of_three: RunDir) -> None:
    """Its host may be slow to write: nothing says that it is dead."""
    long_ago = (datetime.now(UTC) - timedelta(seconds=600)).isoformat(timespec="seconds")
    told_by(one_of_three, host="elsewhere", started=long_ago, updated=long_ago, in_flight=("b", "c"))
    state = run_status(one_of_three)
    assert [one.health for one in state.processes] == ["silent"]
    assert (state.stages[0].running, state.stages[0].workers) == (2, 0)


def test_receipts_of_other_settings_are_not_counted(one_of_three: RunDir) -> None:
    before = run_status(one_of_three).stages[0]
    assert before.tiles > 0 and before.seconds == 10
    receipt = read_receipt(one_of_three.receipts("tile"), "a")
    assert receipt is not None
    write_receipt(one_of_three.receipts("tile"), replace(receipt, key="of other settings"))
    made = run_status(one_of_three).stages[0]
    assert (made.done, made.tiles, made.seconds, made.worker_seconds_left) == (1, 0, 0.0, None)
    (found,) = current_receipts("tile", survey_run(one_of_three).tiles).values()
    assert (found.name, found.rows, found.seconds) == ("a", 0, 0.0)


def finished_run(root: Path) -> RunDir:
    """What status looks at of a run of 16 patients in which all is done, the report newer than the metrics."""
    run = new_run(root, {f"s{number}": (Path(f"/slides/{number}.svs"), 1) for number in range(16)})
    run.patients_file.write_text("\n".join(["patient_id,label", *(f"P-s{n},{n % 2}" for n in range(16))]) + "\n")
    spec = run_spec(CONFIG)
    for slide in run.slides():
        key = slide_tile_key(CONFIG.tile, slide, "f" * 64)
        stand_in_store(run.tiles(slide.slide_id), {"key": key, "slide": {"fingerprint": "f" * 64}})
        stand_in_store(run.features(CONFIG.extract.name, slide.slide_id), {"key": extract_key(spec, key)})
    cohort = survey_run(run).cohort()
    folds = cohort.fold_sets()
    for model in cohort.planned(folds):
        made = {"seed": 0, "feature_length": 2, "tile_spec": {}, "extract_spec": {}, "compute": {}, "software": {}}
        record = ModelRecord(head=model.head, key=model.key, settings={}, sets={}, history={}, **made)
        save_model(run.model(model.name), record, {"coefficients": np.zeros(2)})
    metrics = {"schema": 1, "key": cohort.evaluation_key(folds), "models": {}}
    run.metrics_file.write_text(json.dumps(metrics | {"content": metrics_content(metrics)}))
    run.report_file.parent.mkdir()
    run.report_file.touch()
    os.utime(run.metrics_file, ns=(1_000, 1_000))
    return run


def test_a_report_that_is_older_than_the_metrics_is_to_do(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    assert {stage.stage: stage.todo for stage in run_status(run).stages if stage.todo} == {}
    assert remaining(run, retry=False).stages == ()
    os.utime(run.report_file, ns=(999, 999))
    assert {stage.stage: stage.todo for stage in run_status(run).stages if stage.todo} == {"report": 1}
    assert remaining(run, retry=False).stages == ("report",)
    run.report_file.unlink()
    assert {stage.stage: stage.todo for stage in run_status(run).stages if stage.todo} == {"report": 1}


def test_metrics_and_models_of_another_cohort_are_to_do(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    metrics = json.loads(run.metrics_file.read_text())
    run.metrics_file.write_text(json.dumps(metrics | {"key": "of another cohort"}))
    assert [stage.stage for stage in run_status(run).stages if stage.todo] == ["evaluate", "report"]
    assert remaining(run, retry=False).stages == ("evaluate", "report")
    record = read_record(run.model("tanh"))
    save_model(run.model("tanh"), record.model_copy(update={"key": "of another fold"}), {"coefficients": np.zeros(2)})
    assert next(stage.stage for stage in run_status(run).stages if stage.todo) == "train"
    assert remaining(run, retry=False).stages[0] == "train"


def test_a_failure_is_forgotten_once_its_slides_are_done(one_of_three: RunDir) -> None:
    slides = one_of_three.slides()
    failed = tuple(FailedJob("tile", part, 3, Ended(f"7_{part}", "TIMEOUT")) for part in range(3))
    left = {"tile": {"b", "c"}, "train": None}
    jobs = that_matter(Jobs(failed=(*failed, FailedJob("train", None, 1, Ended("9", "FAILED")))), slides, left)
    # Parts of three slides by falling cost: c, b, a; and a is done.
    assert jobs.failed is not None
    assert [one.how.job for one in jobs.failed] == ["7_0", "7_1", "9"]
    assert that_matter(Jobs(failed=failed), slides, {"train": None}).failed == ()


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([3], "3"), ([0, 1, 2, 5, 7, 8], "0-2,5,7-8"), ([2, 1, 1], "1-2")]
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


def many_slides(root: Path, n: int) -> RunDir:
    """Receipts and the attributes of stores, half of the slides extracted, one in a hundred quarantined."""
    run = new_run(root, {f"S{number:05d}": (Path(f"/slides/{number}.svs"), 1000 + number) for number in range(n)})
    spec, name = run_spec(CONFIG), CONFIG.extract.name
    for number, slide in enumerate(run.slides()):
        key = slide_tile_key(CONFIG.tile, slide, "f" * 64)
        if number % 100 == 0:
            held = Receipt(slide.slide_id, "quarantined", key, reason="no-tissue", details=SlideSource("f" * 64))
            _plain_receipt(run.receipts("tile"), held)
            continue
        header = {"fingerprint": "f" * 64}
        stand_in_store(run.tiles(slide.slide_id), {"key": key, "slide": header, "plan": {"reader": "native-jpeg"}})
        cut = TileWork(TileCounts(planned=900))
        _plain_receipt(run.receipts("tile"), Receipt(slide.slide_id, "done", key, rows=300, seconds=1.5, details=cut))
        if number < n // 2:
            features = extract_key(spec, key)
            stand_in_store(run.features(name, slide.slide_id), {"key": features})
            _plain_receipt(
                run.receipts("extract", name), Receipt(slide.slide_id, "done", features, rows=300, seconds=9.0)
            )
    return run


def test_what_cannot_be_told_here_is_unknown_and_not_to_do(one_of_three: RunDir) -> None:
    changes = {"site": {"weights": str(one_of_three.root / "no weights here")}}
    one_of_three.config_file.write_text(render_config(preset("hypoxia", changes)))
    one_of_three.patients_file.write_text("patient_id,label\nP-a,0\nP-b,1\n")
    name = one_of_three.config().extract.name
    write_receipt(one_of_three.receipts("extract", name), Receipt("a", "done", "key", rows=5))
    write_receipt(one_of_three.receipts("extract", name), Receipt("b", "quarantined", "key", reason="no-tissue"))
    write_receipt(one_of_three.receipts("extract", name), Receipt("of no slide", "done", "key", rows=5))
    for model in ("tanh", "logistic"):
        write_receipt(one_of_three.receipts("train"), Receipt(model, "done", "key", of="model"))
    write_receipt(one_of_three.receipts("evaluate"), Receipt("cohort", "done", "key", of="cohort"))
    state = run_status(one_of_three)
    assert [(one.stage.partition(" ")[0], one.said_done) for one in state.stages] == [
        ("tile", None),
        ("extract", 1),
        ("train", 2),
        ("evaluate", 1),
        ("report", 0),
    ]
    tile_row, extract_row, train_row, evaluate_row, report_row = shown(state).splitlines()[2:7]
    assert "unknown" not in tile_row
    assert extract_row.split()[2:5] == ["?", "0", "?"]
    assert "unknown here: " in extract_row and extract_row.endswith("; 1 receipt says done")
    assert train_row.split()[1:4] == ["?", "0", "?"] and train_row.endswith("; 2 receipts say done")
    assert evaluate_row.endswith("unknown here; 1 receipt says done")
    assert report_row.endswith("unknown here; no page is there")
    assert state.as_json()["stages"][1]["said_done"] == 1
    one_of_three.patients_file.write_text("patient_id,label\nP-a,\n")
    rows = shown(run_status(one_of_three)).splitlines()
    assert "no patient has a label" in rows[4] and "unknown" not in rows[4]
    assert [row.split()[3] for row in rows[4:6]] == ["0", "0"], "nothing that can be done"


def _plain_receipt(folder: Path, receipt: Receipt) -> None:
    """As ``write_receipt``, without fsync."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{receipt.name}.json").write_text(json.dumps(receipt_json(receipt)))


@pytest.mark.parametrize("n", [1_300, pytest.param(13_000, marks=pytest.mark.long)])
def test_a_slide_costs_few_calls_however_many_there_are(tmp_path: Path, n: int) -> None:
    run = many_slides(tmp_path / "run", n)
    state, calls = counted_calls(lambda: run_status(run))
    held, extracted = n // 100, sum(number % 100 != 0 for number in range(n // 2))
    assert [(one.done, one.quarantined, one.todo) for one in state.stages[:2]] == [
        (n - held, held, 0),
        (extracted, held, n - held - extracted),
    ]
    assert calls < 100_000 + n * 500  # 30,000 and 150 a slide when this was written


def counted_calls(function: Callable[[], RunStatus]) -> tuple[RunStatus, int]:
    """What it returns, and how many calls of functions it made: a measure of its work that no machine changes."""
    calls = itertools.count()

    def count(frame: object, event: str, argument: object) -> None:
        if event.endswith("call"):
            next(calls)

    sys.setprofile(count)
    try:
        returned = function()
    finally:
        sys.setprofile(None)
    return returned, next(calls)


def test_the_command_as_users_give_it(
    one_of_three: RunDir, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    told_by(one_of_three)
    done = hypoxia("status", one_of_three.root)
    assert done.returncode == 0, done.stderr
    assert "at work: 1 process" in done.stdout
    answer = json.loads(hypoxia("status", one_of_three.root, "--json").stdout)
    assert set(answer) == {"stages", "quarantined", "processes", "jobs", "remarks", "backend"}
    assert answer["processes"][0]["standing"] == "working"
    assert answer["stages"][0]["cost_total"] == 10


def test_each_reason_is_said_once_with_its_remedy_and_its_slides() -> None:
    def receipt(name: str, reason: str, detail: str) -> Receipt:
        return Receipt(name, "quarantined", "key", reason, detail)

    no_mpp = "no resolution\nremedy: give it one"
    found = [("tile", receipt(f"s{n:02}", "no-mpp", no_mpp)) for n in range(23)]
    found += [
        ("extract", receipt("a", "slide-gone", "gone\nremedy: bring it back")),
        ("tile", receipt("b", "bug", "x")),
    ]
    blocks = list(quarantined_text(found))
    text = "\n".join(blocks)
    assert text.count("remedy: give it one") == text.count("quarantined in tile, no-mpp: 23 slides") == 1
    assert "s19" in text and "s20" not in text and "and 3 more (--json has all)" in text
    assert blocks.index("remedy: give it one") < blocks.index("\nquarantined in extract, slide-gone: 1 slide")
    assert text.count("remedy: ") == 2
