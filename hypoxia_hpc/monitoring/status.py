"""status: how far a run is, stage by stage, who works on it now, and what SLURM says. Only small files are read."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hypoxia_hpc.models.outside import out_of_date
from hypoxia_hpc.monitoring.process_health import ProcessHealth, assess, seconds_left, still_matters
from hypoxia_hpc.networks.backbones.needed import torch_entry
from hypoxia_hpc.records import Json, Receipt
from hypoxia_hpc.runs.cohort import Cohort, model_names, patients_with_slides
from hypoxia_hpc.runs.device_time import DeviceTime, device_time_of
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import OF_OWN_MODELS, is_predicted
from hypoxia_hpc.runs.rates import measured, planned_tiles
from hypoxia_hpc.runs.receipts import COHORT, Of, read_receipt, receipt_json
from hypoxia_hpc.runs.region_files import UNUSED, unused_regions
from hypoxia_hpc.runs.stages import stage_named
from hypoxia_hpc.runs.state import SlideState, odd_slides
from hypoxia_hpc.runs.survey import (
    STATE_READERS,
    CohortProgress,
    Survey,
    cohort_progress,
    own_receipt,
    survey_run,
)
from hypoxia_hpc.slurm.jobs import Jobs, query_jobs, that_matter
from hypoxia_hpc.slurm.queue import sent_jobs
from hypoxia_hpc.workers.heartbeat import Heartbeat, read_heartbeats

FEATURES = "extract"  # the stage whose spec a machine may not know


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Counts of one stage.

    ``todo`` slides are neither done nor quarantined; ``running`` of them are being worked on by ``workers`` in all.
    ``tiles`` and ``seconds`` are sums over receipts of work done, seconds of all workers together,
    ``tiles_per_second_now`` what the processes at work make together. ``cost_done`` of ``cost_total`` needs no more
    work. ``worker_seconds_left`` is None where no slide was timed yet, ``seconds_left`` also where no process works.
    ``readers``: how many of the slides done were read by what. ``device_time`` are sums over receipts of extract.
    ``said_done``: where it cannot be told here what is done (no weights, no backend, a key of another package that
    fails), how many receipts say that they are; all but the quarantined count as ``todo`` then.
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
    """Every stage, every quarantined slide with its reason, the processes that work or died, and the jobs. ``remarks``:
    what is odd about slides that are tiled all the same, a sentence for each kind with the ids of the slides.
    ``torch_for``: the entry of run.toml that makes PyTorch the backend of all stages; empty where the
    machine decides."""

    stages: tuple[StageStatus, ...]
    quarantined: tuple[tuple[str, Receipt], ...]
    processes: tuple[ProcessHealth, ...]
    jobs: Jobs
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    torch_for: str = ""

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
            "remarks": dict(self.remarks),
            "backend": "torch" if self.torch_for else "",
        }


def run_status(run: RunDir) -> RunStatus:
    """Where the run stands. Raises InputError for a folder that is no run, or bad tables."""
    sent = tuple(sent_jobs(run))
    with ThreadPoolExecutor(1) as pool:  # the queue answers while files are read
        asked, jobs = datetime.now(UTC), pool.submit(query_jobs, sent)
        survey = survey_run(run)
    states = {**survey.by_stage, FEATURES: survey.furthest}
    titles = {stage: _title(stage, survey) for stage in states}
    todo = {titles[stage]: _todo(found) for stage, found in states.items()}
    processes = processes_of(run, jobs.result(), asked, todo)
    by_slide = {stage: _of_slides(survey, titles[stage], found, processes) for stage, found in states.items()}
    if survey.unknown is not None:
        # Without the spec nothing can be said of features; receipts still show how much was done once.
        receipts = run.receipts(FEATURES, survey.config.extract.name)
        said_done = _said_done(receipts, [slide.slide_id for slide in survey.slides])
        by_slide[FEATURES] = _unknown(by_slide[FEATURES], survey.unknown.problem, said_done)
    stages = [*by_slide.values(), *_cohort_stages(survey)]
    left = {stage.stage.partition(" ")[0]: todo.get(stage.stage) for stage in stages if stage.todo}
    matter = that_matter(jobs.result(), survey.slides, left)
    odd = odd_slides(survey.tiles)
    if unused := unused_regions(survey.config.tile, survey.slides):
        odd[UNUSED] = unused
    entry = torch_entry(survey.config)
    return RunStatus(tuple(stages), tuple(_quarantined(survey)), processes, matter, odd, entry)


def _title(stage: str, survey: Survey) -> str:
    """What ``status`` and heartbeats call a stage: features have a name of their own."""
    return f"{stage} {survey.config.extract.title}" if stage == FEATURES else stage


def _todo(states: Sequence[SlideState]) -> set[str]:
    return {one.slide.slide_id for one in states if one.status == "todo"}


def _quarantined(survey: Survey) -> Iterator[tuple[str, Receipt]]:
    """Each once, in the stage that holds it up."""
    added = (one for name, states in survey.added.items() for one in states if one.stage == name)
    for state in (*survey.furthest, *added):
        if state.status == "quarantined" and state.receipt:
            yield state.stage, state.receipt


def _of_slides(
    survey: Survey, title: str, states: Sequence[SlideState], processes: Sequence[ProcessHealth]
) -> StageStatus:
    """A stage that goes slide by slide; unknown, where a function of the package that adds it fails."""
    stage = _slide_stage(title, states, processes)
    problem = next((one.problem for one in states if one.problem), "")
    if not problem:
        return stage
    return _unknown(stage, problem, _said_done(survey.run.receipts(title), [one.slide.slide_id for one in states]))


def _unknown(stage: StageStatus, problem: str, said_done: int) -> StageStatus:
    """A stage of which nothing can be called done or stale, for want of the spec or of a key."""
    todo = stage.done + stage.todo
    return StageStatus(
        stage.stage, 0, stage.quarantined, todo, note=problem, running=stage.running, said_done=said_done
    )


def _said_done(folder: Path, names: Sequence[str], of: Of = "slide") -> int:
    """How many receipts of these names say that the work is done, of the present run.toml or of another one."""
    with ThreadPoolExecutor(STATE_READERS) as pool:
        receipts = list(pool.map(lambda name: read_receipt(folder, name, of), names))
    return sum(receipt is not None and receipt.status == "done" for receipt in receipts)


def processes_of(
    run: RunDir, jobs: Jobs, asked: datetime, todo: Mapping[str, Collection[str]]
) -> tuple[ProcessHealth, ...]:
    """The queue knows only the jobs that ``submit`` sent, none that users started by hand."""
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
    receipts = [receipt for one in done if (receipt := own_receipt(one)) is not None]
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


def _cohort_stages(survey: Survey) -> list[StageStatus]:
    """The stages after the slides; what was made of another cohort or run.toml counts as to do, and nothing does of
    a stage that needs labels where there are none."""
    progress = cohort_progress(survey)
    stages = _labelled_stages(survey, progress)
    if not is_predicted(survey.run):
        return stages
    predict = _predict_stage(survey)
    report = StageStatus("report", 0, 0, 1) if predict.todo else None
    others = [one if report is None or one.stage != "report" else report for one in stages]
    return [predict, *(one for one in others if one.stage not in OF_OWN_MODELS)]


def _predict_stage(survey: Survey) -> StageStatus:
    """Of a run that was predicted with models of another one, which has no models of its own."""
    name = "predict"
    if survey.spec is None:
        why = "" if survey.unknown is None else survey.unknown.problem
        return _unknown(StageStatus(name, 0, 0, 1), why, _said(survey, name))
    patients = patients_with_slides(survey.slides, survey.patients)
    why, remedy = out_of_date(Cohort(survey.run, survey.config, survey.spec, survey.features, patients))
    return StageStatus(name, int(not why), 0, int(bool(why)), note=f"out of date: {why}; {remedy}" if why else "")


def _labelled_stages(survey: Survey, progress: CohortProgress) -> list[StageStatus]:
    first = next(iter(progress.done))
    stages = [
        StageStatus(
            name,
            done,
            0,
            of - done if survey.is_labelled or not stage_named(name).labelled else 0,
            note=progress.problem if name == first else "",
        )
        for name, (done, of) in progress.done.items()
    ]
    unknown = {one.stage: one.note for one in stages} if progress.is_unknown else progress.failing
    return [
        _unknown(one, unknown[one.stage], _said(survey, one.stage)) if one.stage in unknown else one for one in stages
    ]


def _said(survey: Survey, stage: str) -> int:
    """How much of a stage its receipts say is done."""
    if stage == "train":
        return _said_done(
            survey.run.receipts(stage), [name for name, _, _ in model_names(survey.config.train)], "model"
        )
    if stage == "report":
        return int(survey.run.report_file.exists())
    return _said_done(survey.run.receipts(stage), [COHORT], "cohort")
