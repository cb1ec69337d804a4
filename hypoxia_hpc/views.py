"""What ``status``, ``estimate`` and ``doctor`` show: values of these commands as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.terminal import duration, reasons, table

if TYPE_CHECKING:
    from hypoxia_hpc.scale.processes import Process
    from hypoxia_hpc.scale.queue import Ended, Queued
    from hypoxia_hpc.scale.status import Jobs, RunStatus, StageStatus

# Longer tables end in "and N more": --json has them whole.
MOST_ROWS = 20
EXIT_MEANINGS = {
    "1": "a bug: the end of its log",
    "2": "bad configuration or table: the end of its log",
    "4": "cannot go on there (disk, permission, image, device): the end of its log",
    "5": "an earlier stage is incomplete",
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
    return f"{duration(stage.seconds_left)} with {_some(stage.workers, 'worker')}"


def _read_by(readers: Mapping[str, int]) -> str:
    """``read by native-jpeg 58, openslide 3``."""
    return "read by " + ", ".join(f"{reader} {n:,}" for reader, n in readers.items()) if readers else ""


def _processes(processes: Sequence[Process]) -> Iterator[str]:
    at_work = [one for one in processes if one.standing in ("working", "silent")]
    if at_work:
        hosts = sorted({one.running.host for one in at_work})
        workers = sum(one.running.workers for one in at_work)
        yield f"\nat work: {_some(len(at_work), 'process')} on {', '.join(hosts)}, {_some(workers, 'worker')}"
        yield _cut(["process", "host", "slides", "tiles/s", "idle", "last heard"], [_work_row(one) for one in at_work])
    over = [one for one in processes if one.standing in ("dead", "failed", "stopped")]
    if over:
        yield "\nnot at work any more, with slides left to do:"
        yield _cut(["process", "host", "", "in flight", "last heard"], [_over_row(one) for one in over])


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
        yield _cut(["stage", "job", "", "elements", "where, or why not"], list(_queue_rows(jobs, jobs.queued)))
    elif jobs.queued is not None:
        yield "\nin the queue: nothing of this run"
    if any(one.standing == "held" for one in jobs.queued or ()):
        yield "held ones start after: scontrol release JOB"
    if any(one.reason == "DependencyNeverSatisfied" for one in jobs.queued or ()):
        yield "a dependency that is never satisfied: scancel that job, mend what failed, and submit again"
    if jobs.failed:
        yield "\nfailed, and not sent again since:"
        yield _cut(["stage", "job", "node", "", "ran", "most memory"], [_failed_row(one) for one in jobs.failed])
        yield f"logs: {run}/slurm/logs; what is not done is sent again by: hypoxia-hpc submit {run}"
    for note in jobs.notes:
        yield f"\nnote: {note}"


def _queue_rows(jobs: Jobs, queued: Sequence[Queued]) -> Iterator[list[str]]:
    """One row for all elements of a job that stand alike."""
    stages = {one.job_id: one.stage for one in jobs.sent}
    groups: dict[tuple[str, str, str], list[Queued]] = {}
    for one in queued:
        why = "" if one.standing == "running" else one.reason
        groups.setdefault((one.job.partition("_")[0], one.standing, why), []).append(one)
    for (job, standing, why), alike in groups.items():
        nodes = Counter(one.node for one in alike if one.node)
        elements = [int(index) for one in alike if (index := one.job.partition("_")[2])]
        where = ", ".join(f"{node} {n}" if n > 1 else node for node, n in sorted(nodes.items()))
        yield [stages.get(job, ""), job, standing, ranges(elements), why or where]


def _failed_row(ended: Ended) -> list[str]:
    code = ended.exit_code.partition(":")[0]
    meaning = f" {code}: {EXIT_MEANINGS[code]}" if ended.state == "FAILED" and code in EXIT_MEANINGS else ""
    shown = meaning or (f" {ended.exit_code}" if ended.exit_code not in ("0:0", "") else "")
    memory = f"{ended.most_memory / 2**30:.1f} GiB" if ended.most_memory else ""
    return [ended.stage, ended.job, ended.node, f"{ended.state}{shown}", ended.elapsed, memory]


def ranges(numbers: Sequence[int]) -> str:
    """``0-4,7``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def _quarantined(state: RunStatus, run: str) -> Iterator[str]:
    receipts = [receipt for _, receipt in state.quarantined]
    yield f"\n{_some(len(receipts), 'slide')} quarantined: {reasons(receipts)}"
    rows = [
        [stage, one.slide_id, one.reason, str(one.attempts), first_line(one.detail)] for stage, one in state.quarantined
    ]
    yield table(["quarantined in", "slide", "reason", "attempts", "detail"], rows)
    yield f"\nTo try them again: hypoxia-hpc tile {run} --retry (or extract)"


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def _cut(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    more = f"\n… and {len(rows) - MOST_ROWS} more (--json has all)" if len(rows) > MOST_ROWS else ""
    return table(header, rows[:MOST_ROWS]) + more


def _some(n: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"
