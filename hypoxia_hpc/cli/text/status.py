"""What ``status`` shows."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.stages import quarantined_text, reasons, remarks_text
from hypoxia_hpc.cli.text.words import amount, cut_table, duration, ranges, table
from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.records import SlideSource
from hypoxia_hpc.runs.stages import stages_of

if TYPE_CHECKING:
    from hypoxia_hpc.monitoring.process_health import ProcessHealth
    from hypoxia_hpc.monitoring.status import RunStatus, StageStatus
    from hypoxia_hpc.records import Receipt, StageUsage
    from hypoxia_hpc.runs.device_time import DeviceTime
    from hypoxia_hpc.slurm.jobs import Jobs
    from hypoxia_hpc.slurm.queue import FailedJob, Queued, Sent

NOT_STARTED = "the program or the image could not be started"
# In front of where to look. What ended with 1 may be a bug as well as srun's own refusal, which ends so, too.
EXIT_MEANINGS = {
    "1": "",
    "2": "bad configuration or table",
    "4": "cannot go on there (disk, permission, image, device)",
    "5": "an earlier stage is incomplete",
    "9": "killed (too little memory?)",
    "75": "stopped, and requeued as often as it may be",
    "126": NOT_STARTED,
    "127": NOT_STARTED,
    "137": "killed (too little memory?)",
    "255": NOT_STARTED,
}
# Reasons of squeue that time does not mend: the job asks for what it may not have.
NEVER_STARTS = re.compile(
    "BadConstraints|Partition(Time|Node)Limit|InvalidAccount|InvalidQOS|(Account|QOS)NotAllowed"
    "|(Assoc|QOS)Max[A-Za-z]+PerJob(Limit)?"
)

NOT_KNOWN = "not known"
JOULES_OF_KWH = 3_600_000
PARTITION_IS_DOWN = ("PartitionDown", "PartitionInactive")


def status_text(state: RunStatus, run: str) -> Iterator[str]:
    """Blocks of lines. ``run`` is the run directory as the user gave it."""
    yield table(
        ["stage", "done", "quarantined", "to do", "running", "tiles/s a worker", "time left", ""],
        [_stage_row(stage) for stage in state.stages],
    )
    if state.torch_for:
        yield f"backend of all stages: PyTorch, for {state.torch_for}"
    yield from _processes(state.processes)
    yield from _jobs(state.jobs, run)
    yield from remarks_text(state.remarks)
    if state.quarantined:
        yield from _quarantined(state, run)


def _stage_row(stage: StageStatus) -> list[str]:
    known = stage.said_done is None
    counts = [f"{stage.done:,}" if known else "?", f"{stage.quarantined:,}", f"{stage.todo:,}" if known else "?"]
    rate = f"{stage.tiles_per_second:,.0f}" if stage.tiles else ""
    running = f"{stage.running:,}" if stage.workers or stage.running else ""
    last = _unknown(stage) or stage.note or _read_by(stage.readers) or _waited(stage.device_time)
    return [stage.stage, *counts, running, rate, _time_left(stage), last]


def _unknown(stage: StageStatus) -> str:
    """``unknown here: no weights; 21 receipts say done``. A report has no receipt, its page is looked for."""
    if stage.said_done is None:
        return ""
    n = stage.said_done
    said = "no receipt says done" if n == 0 else "1 receipt says done" if n == 1 else f"{n:,} receipts say done"
    if stage.stage == "report":
        said = "a page is there" if n else "no page is there"
    return f"unknown here{': ' if stage.note else ''}{stage.note}; {said}"


def _time_left(stage: StageStatus) -> str:
    if not stage.todo or stage.worker_seconds_left is None:
        return ""
    if stage.seconds_left is None:
        return f"{duration(stage.worker_seconds_left)} of one worker"
    return f"{duration(stage.seconds_left)} with {some(stage.workers, 'worker')}"


def _read_by(readers: Mapping[str, int]) -> str:
    """``read by native-jpeg 58, openslide 3``."""
    return "read by " + ", ".join(f"{reader} {n:,}" for reader, n in readers.items()) if readers else ""


def _waited(device_time: DeviceTime) -> str:
    """``device waited 1 % for data, read 4.1 GB``."""
    share = device_time.waited_share
    read = f", read {amount(device_time.bytes_read, 'B')}" if device_time.bytes_read else ""
    return "" if share is None else f"device waited {share:.0%} for data{read}"


def _processes(processes: Sequence[ProcessHealth]) -> Iterator[str]:
    at_work = [one for one in processes if one.health in ("working", "silent")]
    if at_work:
        hosts = sorted({one.heartbeat.host for one in at_work})
        workers = sum(one.heartbeat.workers for one in at_work)
        yield f"\nat work: {some(len(at_work), 'process')} on {some_names(hosts)}, {some(workers, 'worker')}"
        yield cut_table(
            ["process", "host", "slides", "tiles/s", "idle", "device waits", "last heard"],
            [_work_row(one) for one in at_work],
        )
    over = [one for one in processes if one.health in ("dead", "failed", "stopped")]
    if over:
        yield "\nnot at work any more, with slides left to do:"
        yield cut_table(["process", "host", "", "in flight", "last heard"], [_over_row(one) for one in over])


def _name(process: ProcessHealth) -> str:
    heartbeat = process.heartbeat
    where = f" share {heartbeat.share[0]}/{heartbeat.share[1]}" if heartbeat.share[1] > 1 else ""
    rank = f" rank {heartbeat.rank}" if heartbeat.ranks > 1 else ""
    return f"{process.title}{where}{rank}" + (f" job {heartbeat.job}" if heartbeat.job else f" pid {heartbeat.pid}")


def _work_row(process: ProcessHealth) -> list[str]:
    heartbeat = process.heartbeat
    slides = f"{heartbeat.slides_done:,}" + (
        "" if heartbeat.slides_total is None else f" of {heartbeat.slides_total:,}"
    )
    silent = f"{duration(process.seconds_silent)} ago: {process.why}" if process.health == "silent" else "now"
    share = process.waited_share
    waits = "" if share is None else f"{share:.0%}"
    return [_name(process), heartbeat.host, slides, f"{process.tiles_per_second:,.0f}", _idle(process), waits, silent]


def _idle(process: ProcessHealth) -> str:
    """``3 %``, of each worker where they differ."""
    shares = [f"{share:.0%}" for share in process.idle_shares]
    return shares[0] if len(set(shares)) == 1 else " ".join(shares[:8]) + (" …" if len(shares) > 8 else "")


def _over_row(process: ProcessHealth) -> list[str]:
    in_flight = list(process.heartbeat.in_flight)
    shown = ", ".join(in_flight[:3]) + (f" and {len(in_flight) - 3} more" if len(in_flight) > 3 else "")
    why = f"{process.health}: {process.why}" if process.why else process.health
    return [_name(process), process.heartbeat.host, why, shown, f"{duration(process.seconds_silent)} ago"]


def _jobs(jobs: Jobs, run: str) -> Iterator[str]:
    if jobs.queued:
        yield "\nin the queue:"
        yield cut_table(["stage", "job", "", "elements", "where, or why not"], list(_queue_rows(jobs, jobs.queued)))
    elif jobs.queued is not None:
        yield "\nin the queue: nothing of this run"
    elif jobs.accounted:
        yield "\nin the queue, as sacct last heard:"
        yield cut_table(["stage", "job", "", "elements", "where"], list(_queue_rows(jobs, jobs.accounted)))
    if any(one.phase == "held" for one in jobs.queued or ()):
        yield "held ones start after: scontrol release JOB"
    yield from _never_start(jobs.queued or (), shlex.quote(run))
    if any(one.reason in PARTITION_IS_DOWN for one in jobs.queued or ()):
        yield "a partition is down: mend [site.slurm] partition and submit again, or wait until it is up"
    if jobs.failed:
        yield "\nfailed, and not sent again since:"
        yield cut_table(["stage", "job", "node", "", "ran", "most memory"], list(_failed_rows(jobs.failed)))
        when = "" if jobs.queued is not None else ", when squeue answers again"
        yield f"logs: {run}/slurm/logs; what is not done is sent again by: hypoxia-hpc submit {shlex.quote(run)}{when}"
    yield from _spent(jobs.spent)
    if jobs.queued is None and jobs.sent:
        yield f"\nnote: it is not known what waits or runs: {jobs.why_not_queued}"
    if jobs.unknown:
        yield f"note: sacct has not heard of {some(jobs.unknown, 'job')} either: they may wait, run or be over"
    if jobs.failed is None and jobs.sent:
        yield f"\nnote: it is not known how jobs ended: {jobs.why_not_ended}"


def _spent(spent: Sequence[StageUsage]) -> Iterator[str]:
    """A line for each stage; where accounting does not say, neither does the table."""
    if spent:
        yield "\nwhat jobs that are over had and used, as sacct says:"
        header = ["stage", "jobs", "core hours", "cores busy", "memory of a node", "longest", "GPU", "energy"]
        yield table(header, map(_spent_row, spent))


def _spent_row(one: StageUsage) -> list[str]:
    asked = f" of {amount(one.memory_asked, 'B')}" if one.memory_asked else ""
    memory = NOT_KNOWN if one.memory_used is None else amount(one.memory_used, "B")
    limit = f" of {duration(one.limit_seconds)}" if one.limit_seconds else ""
    return [
        one.stage,
        f"{one.jobs:,}",
        f"{one.core_seconds / 3600:,.1f}",
        NOT_KNOWN if one.cpu_share is None else f"{one.cpu_share:.0%}",
        memory + asked,
        duration(one.longest_seconds) + limit,
        _spent_gpu(one),
        NOT_KNOWN if one.joules is None else f"{one.joules / JOULES_OF_KWH:.2g} kWh{_of_jobs(one)}",
    ]


def _spent_gpu(one: StageUsage) -> str:
    """``8.0 h, at most 87 %, 38.9 GB``; nothing of a stage that had none."""
    if not one.gpu_seconds:
        return ""
    share = f"use {NOT_KNOWN}" if one.gpu_share is None else f"at most {one.gpu_share:.0%} busy"
    memory = f", {amount(one.gpu_memory, 'B')}" if one.gpu_memory else ""
    return f"{one.gpu_seconds / 3600:,.1f} h, {share}{memory}"


def _of_jobs(one: StageUsage) -> str:
    return "" if one.measured_jobs == one.jobs else f" of {some(one.measured_jobs, 'job')}"


def _never_start(queued: Sequence[Queued], run: str) -> Iterator[str]:
    remedies = {"[site.slurm] in run.toml": _is_refused, "what it waits for": _waits_in_vain}
    for what, is_so in remedies.items():
        if jobs := " ".join(dict.fromkeys(_array(one.job) for one in queued if is_so(one))):
            yield f"what will not start: scancel {jobs}, mend {what}, then hypoxia-hpc submit {run}"


def _is_refused(job: Queued) -> bool:
    return job.phase == "pending" and NEVER_STARTS.fullmatch(job.reason) is not None


def _waits_in_vain(job: Queued) -> bool:
    return job.reason == "DependencyNeverSatisfied"


def _queue_rows(jobs: Jobs, queued: Sequence[Queued]) -> Iterator[list[str]]:
    """One row for all elements of a stage, of one submission, that stand alike, in the order in which jobs were sent,
    running ones first."""
    sent = {one.job_id: one for one in jobs.sent}
    place = {key: number for number, key in enumerate(dict.fromkeys(map(_submission, jobs.sent)))}
    groups: dict[tuple[int, bool, str, str, str], list[Queued]] = {}
    for one in queued:
        known, is_running = sent.get(_array(one.job)), one.phase == "running"
        never = "will not start: " if _is_refused(one) or _waits_in_vain(one) else ""
        why = "" if is_running else never + one.reason
        number, stage = (place[_submission(known)], known.stage) if known is not None else (-1, "")
        groups.setdefault((number, not is_running, stage, one.phase, why), []).append(one)
    for (_, _, stage, phase, why), alike in sorted(groups.items()):
        nodes = Counter(one.node for one in alike if one.node)
        parts = [part for one in alike if (part := _part(one.job, sent)) is not None]
        where = some_names([f"{node} {n}" if n > 1 else node for node, n in sorted(nodes.items())])
        yield [stage, ranges([int(_array(one.job)) for one in alike]), phase, ranges(parts), why or where]


def _array(job: str) -> str:
    return job.partition("_")[0]


def _part(job: str, sent: Mapping[str, Sent]) -> int | None:
    """Which part of its stage an element does; None for a job that is no array."""
    array, _, index = job.partition("_")
    return int(index) + (sent[array].first if array in sent else 0) if index else None


def _submission(sent: Sent) -> tuple[str, str]:
    """The jobs of a stage that were sent together: an old record, without a name for that, stands alone."""
    return sent.stage, sent.logs or sent.job_id


def _failed_rows(failed: Sequence[FailedJob]) -> Iterator[list[str]]:
    """One row for all elements of a stage, of one submission, that ended alike, with the longest time and the most
    memory of them."""
    groups: dict[tuple[str, ...], list[FailedJob]] = {}
    for one in failed:
        key = (one.stage, one.logs or _array(one.how.job), one.how.state, one.how.exit_code)
        groups.setdefault(key, []).append(one)
    for alike in groups.values():
        first, ends = alike[0], [one.how for one in alike]
        nodes = some_names(sorted({end.node for end in ends if end.node}))
        longest = max((end.elapsed for end in ends), key=lambda text: (len(text), text))
        most = max(end.usage.memory or 0 for end in ends)
        why = f"{first.how.state} {_exit_words(first)}".rstrip()
        yield [
            first.stage,
            _name_of_all([end.job for end in ends]),
            nodes,
            why,
            longest,
            amount(most, "B") if most else "",
        ]


def _name_of_all(jobs: Sequence[str]) -> str:
    """``7_3``, ``7_[0-4]`` for elements of one array, ``7-9`` for several jobs."""
    arrays = sorted({int(_array(job)) for job in jobs})
    if len(jobs) == 1:
        return jobs[0]
    indices = [int(index) for job in jobs if (index := job.partition("_")[2])]
    return f"{arrays[0]}_[{ranges(indices)}]" if len(arrays) == 1 else ranges(arrays)


def _exit_words(failed: FailedJob) -> str:
    """The name of the log is as submit asks for it."""
    how = failed.how
    code = how.exit_code.partition(":")[0]
    if how.state != "FAILED" or code not in EXIT_MEANINGS:
        return how.exit_code if how.exit_code != "0:0" else ""
    log = f"{failed.logs}/{failed.stage}-{how.job}.out".removeprefix("/")
    return f"{code}: " + "; ".join(filter(None, [EXIT_MEANINGS[code], f"see the end of {log}"]))


def _quarantined(state: RunStatus, run: str) -> Iterator[str]:
    receipts = [receipt for _, receipt in state.quarantined]
    yield f"\n{some(len(receipts), 'slide')} quarantined: {reasons(receipts)}"
    yield from quarantined_text(state.quarantined)
    first, *others = (stage.name for stage in stages_of("slide"))
    again = f"hypoxia-hpc {first} {shlex.quote(run)} --retry (or {', '.join(others)})"
    if any(_is_imported(receipt) for receipt in receipts):
        again = f"hypoxia-hpc import-features {shlex.quote(run)} DIR --retry"
    yield f"\nTo try them again: {again}"


def _is_imported(receipt: Receipt) -> bool:
    """Is it of a slide whose features were to come from another tool?"""
    return isinstance(receipt.details, SlideSource) and receipt.details.fingerprint.startswith(IMPORTED)
