"""status: how far a run is, stage by stage, who works on it now, and what SLURM says. Only small files are read."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.errors import HypoxiaError, NotReadyError
from hypoxia_hpc.monitoring.process_health import ProcessHealth, assess, seconds_left, still_matters
from hypoxia_hpc.networks.heads.saved import model_key
from hypoxia_hpc.records import Json, Receipt
from hypoxia_hpc.runs.cohort import Cohort, model_names, patients_with_slides
from hypoxia_hpc.runs.device_time import DeviceTime, device_time_of
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.rates import measured, planned_tiles
from hypoxia_hpc.runs.receipts import COHORT, read_receipt, receipt_json
from hypoxia_hpc.runs.stages import stages_of
from hypoxia_hpc.runs.state import (
    SlideState,
    added_states,
    feature_state,
    is_current,
    require_ready,
    run_spec,
    tile_state,
)
from hypoxia_hpc.slurm.jobs import Jobs, query_jobs, that_matter
from hypoxia_hpc.slurm.queue import sent_jobs
from hypoxia_hpc.workers.heartbeat import Heartbeat, read_heartbeats

# Opening a file takes a millisecond on a network file system, and waits for nothing else.
READERS = 16


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Counts of one stage.

    ``todo`` slides are neither done nor quarantined; ``running`` of them are being worked on by ``workers`` in all.
    ``tiles`` and ``seconds`` are sums over receipts of work done, seconds of all workers together,
    ``tiles_per_second_now`` what the processes at work make together. ``cost_done`` of ``cost_total`` needs no more
    work. ``worker_seconds_left`` is None where no slide was timed yet, ``seconds_left`` also where nobody works.
    ``readers``: how many of the slides done were read by what. ``device_time`` are sums over receipts of extract.
    ``said_done``: where nobody can tell here what is done (no weights, no backend), how many receipts say that they
    are; all but the quarantined count as ``todo`` then.
    """

    stage: str
    done: int
    quarantined: int
    todo: int
    tiles: int = 0
    seconds: float = 0.0
    note: str = ""
    readers: Mapping[str, int] = field(default_factory=dict)
    running: int = 0
    workers: int = 0
    tiles_per_second_now: float = 0.0
    cost_done: int = 0
    cost_total: int = 0
    worker_seconds_left: float | None = None
    seconds_left: float | None = None
    device_time: DeviceTime = field(default_factory=DeviceTime)
    said_done: int | None = None

    @property
    def tiles_per_second(self) -> float:
        return self.tiles / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Every stage, every quarantined slide with its reason, the processes that work or died, and the jobs."""

    stages: tuple[StageStatus, ...]
    quarantined: tuple[tuple[str, Receipt], ...]
    processes: tuple[ProcessHealth, ...]
    jobs: Jobs

    def as_json(self) -> Json:
        return {
            "stages": [
                {
                    **asdict(stage),
                    "tiles_per_second": stage.tiles_per_second,
                    "waited_share": stage.device_time.waited_share,
                }
                for stage in self.stages
            ],
            "quarantined": [{"stage": stage, **receipt_json(receipt)} for stage, receipt in self.quarantined],
            "processes": [
                {
                    **asdict(one.heartbeat),
                    "standing": one.health,
                    "why": one.why,
                    "seconds_silent": one.seconds_silent,
                    "tiles_per_second": one.tiles_per_second,
                    "idle_shares": one.idle_shares,
                    "waited_share": one.waited_share,
                }
                for one in self.processes
            ],
            "jobs": asdict(self.jobs),
        }


def run_status(run: RunDir) -> RunStatus:
    """Where the run stands. Raises InputError for a folder that is no run, or bad tables."""
    config, slides, sent = run.config(), run.slides(), tuple(sent_jobs(run))
    spec, problem = _spec(config)
    with ThreadPoolExecutor(READERS) as pool:
        asked, jobs = datetime.now(UTC), pool.submit(query_jobs, sent)
        tiles = list(pool.map(partial(tile_state, run, config.tile, read_slides=False), slides))
        features = [] if spec is None else list(pool.map(partial(_features, run, config, spec), tiles))
    added = added_states(run, slides, {"tile": tiles, "extract": features})
    titles = {"tile": tiles, f"extract {config.extract.name}": features or tiles, **added}
    todo = {title: {one.slide.slide_id for one in found if one.status == "todo"} for title, found in titles.items()}
    processes = processes_of(run, jobs.result(), asked, todo)
    stages = [_slide_stage(title, found, processes) for title, found in titles.items()]
    if spec is None:
        # Without the weights nobody can tell which features are current; what is known is still shown.
        said_done = _said_done(run.receipts("extract", config.extract.name), [slide.slide_id for slide in slides])
        stages[1] = _unknown(stages[1], problem, said_done)
    stages += _in_order(_cohort_stages(run, config, spec, problem, features), run, features)
    held = [*(features or tiles), *(one for name, states in added.items() for one in states if one.stage == name)]
    quarantined = [(one.stage, one.receipt) for one in held if one.status == "quarantined" and one.receipt]
    left = {stage.stage.partition(" ")[0]: todo.get(stage.stage) for stage in stages if stage.todo}
    return RunStatus(tuple(stages), tuple(quarantined), processes, that_matter(jobs.result(), slides, left))


def _spec(config: RunConfig) -> tuple[Json | None, str]:
    try:
        return run_spec(config), ""
    except HypoxiaError as error:
        return None, error.problem


def _features(run: RunDir, config: RunConfig, spec: Json, tiles: SlideState) -> SlideState:
    return feature_state(run, config.extract.name, spec, tiles)


def _unknown(stage: StageStatus, problem: str, said_done: int) -> StageStatus:
    """What a stage's standing is without the spec, by which what is there would be told to be current."""
    todo = stage.done + stage.todo
    return StageStatus(
        stage.stage, 0, stage.quarantined, todo, note=problem, running=stage.running, said_done=said_done
    )


def _said_done(folder: Path, names: Sequence[str]) -> int:
    """How many receipts of these names say that the work is done, be it of the present run.toml or not."""
    with ThreadPoolExecutor(READERS) as pool:
        receipts = list(pool.map(partial(read_receipt, folder), names))
    return sum(receipt is not None and receipt.status == "done" for receipt in receipts)


def processes_of(
    run: RunDir, jobs: Jobs, asked: datetime, todo: Mapping[str, Collection[str]]
) -> tuple[ProcessHealth, ...]:
    """The queue was asked for what was sent, and says nothing of jobs that users began by hand."""
    queue = None if jobs.queued is None else {one.job: one for one in jobs.queued}
    sent = {one.job_id for one in jobs.sent}
    now = datetime.now(UTC)
    judged = [
        assess(running, queue if running.job.partition("_")[0] in sent else None, asked, now, _is_alive)
        for running in read_heartbeats(run)
    ]
    return tuple(process for process in judged if still_matters(process, todo))


def _is_alive(running: Heartbeat) -> bool | None:
    """Of a process of this machine; None for another's."""
    return Path("/proc", str(running.pid)).exists() if running.host == platform.node() else None


def _slide_stage(title: str, states: Sequence[SlideState], processes: Sequence[ProcessHealth]) -> StageStatus:
    stage = title.partition(" ")[0]
    done = [one for one in states if one.status == "done"]
    todo = [one for one in states if one.status == "todo"]
    receipts = [one.receipt for one in done if one.receipt is not None and one.receipt.key == one.key]
    costs = {one.slide.slide_id: one.slide.cost for one in states}
    pace = measured(receipts, costs, lambda receipt: receipt.seconds)
    cost_left = sum(one.slide.cost for one in todo)
    mine = [one for one in processes if one.title == title]
    at_work = [one for one in mine if one.health == "working"]
    return StageStatus(
        title,
        done=len(done),
        quarantined=sum(one.status == "quarantined" for one in states),
        todo=len(todo),
        tiles=sum(_tiles_handled(stage, receipt) for receipt in receipts),
        seconds=sum(receipt.seconds for receipt in receipts),
        readers=dict(Counter(one.reader for one in done if one.reader).most_common()) if stage == "tile" else {},
        running=sum(len(one.heartbeat.in_flight) for one in mine if one.health in ("working", "silent")),
        workers=sum(one.heartbeat.workers for one in at_work),
        tiles_per_second_now=sum(one.tiles_per_second for one in at_work),
        cost_done=sum(costs.values()) - cost_left,
        cost_total=sum(costs.values()),
        worker_seconds_left=None if pace is None else cost_left * pace.value,
        seconds_left=None if pace is None else seconds_left(cost_left, pace.value, at_work),
        device_time=device_time_of(receipts),
    )


def _tiles_handled(stage: str, receipt: Receipt) -> int:
    """Tiles decided on (tile) or put through the network (extract); a receipt written after a kill has no seconds."""
    if not receipt.seconds:
        return 0
    return planned_tiles(receipt) if stage == "tile" else receipt.rows


def _cohort_stages(
    run: RunDir, config: RunConfig, spec: Json | None, problem: str, features: Sequence[SlideState]
) -> list[StageStatus]:
    """train, evaluate and report; what was made of another cohort or run.toml counts as to do."""
    n_models = len(model_names(config.train))
    try:
        cohort = _cohort(run, config, spec, problem, features)
        folds = cohort.fold_sets()
        planned = cohort.planned(folds)
    except HypoxiaError as error:
        waiting = [StageStatus("train", 0, 0, n_models, note=error.problem), StageStatus("evaluate", 0, 0, 1)]
        shown = run.report_file.exists() and not run.metrics_file.exists()
        stages = [*waiting, _file_stage("report", shown)]
        return stages if spec is not None or error.problem != problem else _unknown_stages(run, config, stages)
    trained = sum(model_key(run.model(model.name)) == model.key for model in planned)
    metrics = run.metrics()
    evaluated = metrics is not None and metrics.get("key") == cohort.evaluation_key(folds)
    return [
        StageStatus("train", trained, 0, n_models - trained),
        _file_stage("evaluate", evaluated),
        _file_stage("report", evaluated and _is_newer(run.report_file, run.metrics_file)),
    ]


def _in_order(built_in: Sequence[StageStatus], run: RunDir, features: Sequence[SlideState]) -> list[StageStatus]:
    """These, and between them the stages that are judged by their receipts."""
    by_name = {stage.stage: stage for stage in built_in}
    ready = bool(features) and all(one.status != "todo" for one in features)
    return [
        _file_stage(stage.name, ready and is_current(run, stage, features)) if stage.key else by_name[stage.name]
        for stage in stages_of("cohort")
    ]


def _unknown_stages(run: RunDir, config: RunConfig, stages: Sequence[StageStatus]) -> list[StageStatus]:
    models = [name for name, _, _ in model_names(config.train)]
    said = (
        _said_done(run.receipts("train"), models),
        _said_done(run.receipts("evaluate"), [COHORT]),
        int(run.report_file.exists()),
    )
    return [_unknown(stage, stage.note, done) for stage, done in zip(stages, said, strict=True)]


def _cohort(run: RunDir, config: RunConfig, spec: Json | None, problem: str, features: Sequence[SlideState]) -> Cohort:
    patients = run.patients()
    if all(patient.label is None for patient in patients):
        raise NotReadyError("no patient has a label")
    if spec is None:
        raise NotReadyError(problem)
    require_ready(run, features)
    known = patients_with_slides([one.slide for one in features], patients)
    return Cohort(run, config, spec, tuple(features), known)


def _is_newer(file: Path, than: Path) -> bool:
    return file.exists() and file.stat().st_mtime_ns >= than.stat().st_mtime_ns


def _file_stage(name: str, done: bool) -> StageStatus:
    return StageStatus(name, int(done), 0, int(not done))
