"""What ``status`` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.terminal import duration, reasons, table
from hypoxia_hpc.views.words import amount, cut_table, first_line, ranges, some

if TYPE_CHECKING:
    from hypoxia_hpc.scale.jobs import Jobs
    from hypoxia_hpc.scale.processes import Process
    from hypoxia_hpc.scale.queue import Failed, Queued
    from hypoxia_hpc.scale.status import RunStatus, StageStatus

EXIT_MEANINGS = {
    "1": "a bug: the end of its log",
    "2": "bad configuration or table: the end of its log",
    "4": "cannot go on there (disk, permission, image, device): the end of its log",
    "5": "an earlier stage is incomplete",
    "9": "killed (too little memory?): the end of its log",
    "75": "stopped, and requeued as often as it may be",
}


def status_text(state: RunStatus, run: str) -> Iterator[str]:
    """Blocks of lines."""
    yield table(
        ["stage", "done", "quarantined", "to do", "running", "tiles/s a worker", "time left", ""],
        [_stage_row(stage) for stage in state.stages],
    )
    yield from _processes(state.processes)
    yield from _jobs(state.jobs, run)
    if state.quarantined:
        yield from _quarantined(state, run)


def _stage_row(stage: StageStatus) -> list[str]:
    counts = [f"{n:,}" for n in (stage.done, stage.quarantined, stage.todo)]
    rate = f"{stage.tiles_per_second:,.0f}" if stage.tiles else ""
    running = f"{stage.running:,}" if stage.workers or stage.running else ""
    return [stage.stage, *counts, running, rate, _time_left(stage), stage.note or _read_by(stage.readers)]


def _time_left(stage: StageStatus) -> str:
    if not stage.todo or stage.worker_seconds_left is None:
        return ""
    if stage.seconds_left is None:
        return f"{duration(stage.worker_seconds_left)} of one worker"
    return f"{duration(stage.seconds_left)} with {some(stage.workers, 'worker')}"


def _read_by(readers: Mapping[str, int]) -> str:
    """``read by native-jpeg 58, openslide 3``."""
    return "read by " + ", ".join(f"{reader} {n:,}" for reader, n in readers.items()) if readers else ""


def _processes(processes: Sequence[Process]) -> Iterator[str]:
    at_work = [one for one in processes if one.standing in ("working", "silent")]
    if at_work:
        hosts = sorted({one.running.host for one in at_work})
        workers = sum(one.running.workers for one in at_work)
        yield f"\nat work: {some(len(at_work), 'process')} on {', '.join(hosts)}, {some(workers, 'worker')}"
        yield cut_table(
            ["process", "host", "slides", "tiles/s", "idle", "last heard"], [_work_row(one) for one in at_work]
        )
    over = [one for one in processes if one.standing in ("dead", "failed", "stopped")]
    if over:
        yield "\nnot at work any more, with slides left to do:"
        yield cut_table(["process", "host", "", "in flight", "last heard"], [_over_row(one) for one in over])


def _name(process: Process) -> str:
    running = process.running
    where = f" share {running.share[0]}/{running.share[1]}" if running.share[1] > 1 else ""
    rank = f" rank {running.rank}" if running.ranks > 1 else ""
    return f"{process.title}{where}{rank}" + (f" job {running.job}" if running.job else f" pid {running.pid}")


def _work_row(process: Process) -> list[str]:
    running = process.running
    slides = f"{running.slides_done:,}" + ("" if running.slides_total is None else f" of {running.slides_total:,}")
    silent = f"{duration(process.seconds_silent)} ago: {process.why}" if process.standing == "silent" else "now"
    return [_name(process), running.host, slides, f"{process.tiles_per_second:,.0f}", _idle(process), silent]


def _idle(process: Process) -> str:
    """``3 %``, of each worker where they differ."""
    shares = [f"{share:.0%}" for share in process.idle_shares]
    return shares[0] if len(set(shares)) == 1 else " ".join(shares[:8]) + (" …" if len(shares) > 8 else "")


def _over_row(process: Process) -> list[str]:
    in_flight = list(process.running.in_flight)
    shown = ", ".join(in_flight[:3]) + (f" and {len(in_flight) - 3} more" if len(in_flight) > 3 else "")
    why = f"{process.standing}: {process.why}" if process.why else process.standing
    return [_name(process), process.running.host, why, shown, f"{duration(process.seconds_silent)} ago"]


def _jobs(jobs: Jobs, run: str) -> Iterator[str]:
    if jobs.queued:
        yield "\nin the queue:"
        yield cut_table(["stage", "job", "", "elements", "where, or why not"], list(_queue_rows(jobs, jobs.queued)))
    elif jobs.queued is not None:
        yield "\nin the queue: nothing of this run"
    if any(one.standing == "held" for one in jobs.queued or ()):
        yield "held ones start after: scontrol release JOB"
    if any(one.reason == "DependencyNeverSatisfied" for one in jobs.queued or ()):
        yield "a dependency that is never satisfied: scancel that job, mend what failed, and submit again"
    if jobs.failed:
        yield "\nfailed, and not sent again since:"
        yield cut_table(["stage", "job", "node", "", "ran", "most memory"], [_failed_row(one) for one in jobs.failed])
        yield f"logs: {run}/slurm/logs; what is not done is sent again by: hypoxia-hpc submit {run}"
    if jobs.queued is None and jobs.sent:
        yield f"\nnote: nobody knows what waits or runs: {jobs.why_not_queued}"
    if jobs.failed is None and jobs.sent:
        yield f"\nnote: nobody knows how jobs ended: {jobs.why_not_ended}"


def _queue_rows(jobs: Jobs, queued: Sequence[Queued]) -> Iterator[list[str]]:
    """One row for all elements of a job that stand alike, in the order in which jobs were sent, running ones first."""
    stages = {one.job_id: one.stage for one in jobs.sent}
    place = {job_id: number for number, job_id in enumerate(stages)}
    groups: dict[tuple[int, bool, str, str, str], list[Queued]] = {}
    for one in queued:
        job, is_running = one.job.partition("_")[0], one.standing == "running"
        why = "" if is_running else one.reason
        groups.setdefault((place.get(job, -1), not is_running, job, one.standing, why), []).append(one)
    for (_, _, job, standing, why), alike in sorted(groups.items()):
        nodes = Counter(one.node for one in alike if one.node)
        elements = [int(index) for one in alike if (index := one.job.partition("_")[2])]
        where = ", ".join(f"{node} {n}" if n > 1 else node for node, n in sorted(nodes.items()))
        yield [stages.get(job, ""), job, standing, ranges(elements), why or where]


def _failed_row(failed: Failed) -> list[str]:
    how = failed.how
    code = how.exit_code.partition(":")[0]
    meaning = f" {code}: {EXIT_MEANINGS[code]}" if how.state == "FAILED" and code in EXIT_MEANINGS else ""
    shown = meaning or (f" {how.exit_code}" if how.exit_code not in ("0:0", "") else "")
    memory = amount(how.most_memory, "B") if how.most_memory else ""
    return [failed.stage, how.job, how.node, f"{how.state}{shown}", how.elapsed, memory]


def _quarantined(state: RunStatus, run: str) -> Iterator[str]:
    receipts = [receipt for _, receipt in state.quarantined]
    yield f"\n{some(len(receipts), 'slide')} quarantined: {reasons(receipts)}"
    rows = [
        [stage, one.slide_id, one.reason, str(one.attempts), first_line(one.detail)] for stage, one in state.quarantined
    ]
    yield table(["quarantined in", "slide", "reason", "attempts", "detail"], rows)
    yield f"\nTo try them again: hypoxia-hpc tile {run} --retry (or extract)"
