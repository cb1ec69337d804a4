"""What ``status``, ``submit``, ``estimate`` and ``doctor`` show: values of these commands as plain text."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.terminal import duration, reasons, table

if TYPE_CHECKING:
    from hypoxia_hpc.scale.checks import Check
    from hypoxia_hpc.scale.disks import Room
    from hypoxia_hpc.scale.estimate import RunEstimate, StageEstimate
    from hypoxia_hpc.scale.processes import Process
    from hypoxia_hpc.scale.queue import Failed, Queued
    from hypoxia_hpc.scale.rates import Figure
    from hypoxia_hpc.scale.slurm import Ask
    from hypoxia_hpc.scale.status import Jobs, RunStatus, StageStatus
    from hypoxia_hpc.scale.submission import Plan

# Longer tables end in "and N more": --json has them whole.
MOST_ROWS = 20
PREFIXES = ("", "k", "M", "G", "T", "P")
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


def estimate_text(estimate: RunEstimate, root: str) -> Iterator[str]:
    """Blocks of lines."""
    yield table(
        ["still to do", "slides", "tiles", "files, folders", "bytes", "core-hours", "GPU-hours"],
        [_estimate_row(stage) for stage in estimate.stages],
    )
    if estimate.train_bytes is not None:
        yield f"train holds {within(estimate.train_bytes, 'B')} in memory: features of training and validation patients"
    yield f"\nroom in {root} ({estimate.mount.kind or 'file system of unknown kind'}):"
    yield from (_room_line(estimate, room) for room in estimate.rooms)
    if not any(room.source != "free" for room in estimate.rooms):
        yield "  quota: no program here tells of one"
    yield "\nreckoned from these, in brackets the range they should lie in:"
    rates = [[name, figure_text, figure.origin] for name, figure_text, figure in _rates(estimate)]
    yield table(["", "", "origin"], rates)
    if estimate.unread:
        yield f"\nnote: headers that could not be read: {', '.join(estimate.unread)}; see hypoxia-hpc doctor {root}"


def _estimate_row(stage: StageEstimate) -> list[str]:
    gpu = "" if stage.gpu_hours is None else _hours(stage.gpu_hours)
    tiles, nbytes = within(stage.tiles), within(stage.nbytes, "B")
    return [stage.stage, f"{stage.slides:,}", tiles, f"{stage.files:,}", nbytes, _hours(stage.core_hours), gpu]


def _hours(figure: Figure) -> str:
    return within(figure) if figure.high >= 0.01 or not figure.high else "below 0.01"


def _room_line(estimate: RunEstimate, room: Room) -> str:
    nbytes = "no limit of bytes" if room.nbytes is None else amount(room.nbytes, "B")
    files = "no limit of files" if room.files is None else f"{room.files:,} files"
    verdict = "enough" if estimate.is_enough(room) else "NOT ENOUGH, if all comes as large as it may"
    return f"  {room.source}: {nbytes}, {files}: {verdict}"


def _rates(estimate: RunEstimate) -> list[tuple[str, str, Figure]]:
    rates, cost = estimate.rates, estimate.mean_cost
    device = "a GPU" if rates.gpu else "a core"
    return [
        ("to tile a slide of mean cost on a core", within(rates.tile_seconds.times(cost), "s"), rates.tile_seconds),
        ("tiles kept of such a slide", within(rates.tiles.times(cost)), rates.tiles),
        ("a kept tile", within(rates.tile_bytes, "B"), rates.tile_bytes),
        (
            f"to extract a thousand tiles on {device}",
            within(rates.extract_seconds.times(1000), "s"),
            rates.extract_seconds,
        ),
        ("a feature vector", within(rates.feature_bytes, "B"), rates.feature_bytes),
    ]


def within(figure: Figure, unit: str = "") -> str:
    """``6.9 TB (2.1 TB - 12 TB)``; no range where there is none."""
    value, low, high = (amount(number, unit) for number in (figure.value, figure.low, figure.high))
    return value if low == high else f"{value} ({low} - {high})"


def amount(number: float, unit: str = "") -> str:
    """Three digits that count, and k, M, G, T or P: ``6.93 TB``, ``412``, ``3.2 M``."""
    power = 0
    while abs(number) >= 999.5 and power < len(PREFIXES) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.3g} {PREFIXES[power]}{unit}".rstrip()


def doctor_text(found: Sequence[Check]) -> Iterator[str]:
    """Everything but the slides that are well, where these are many."""
    well = [one for one in found if one.name.startswith("slide ") and one.verdict == "ok"]
    left_out = well if len(well) > MOST_ROWS else []
    shown = [one for one in found if one not in left_out]
    yield table(["check", "", "found"], [[one.name, one.verdict, first_line(one.detail)] for one in shown])
    if left_out:
        yield f"… and {_some(len(left_out), 'slide')} ok (--json has all)"
    bad = [one for one in found if one.verdict == "bad"]
    yield from (f"\n{one.name}: {one.detail}" for one in bad if "\n" in one.detail)
    yield f"\n{len(bad)} bad" if bad else "\nnothing bad"


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def _cut(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    more = f"\n… and {len(rows) - MOST_ROWS} more (--json has all)" if len(rows) > MOST_ROWS else ""
    return table(header, rows[:MOST_ROWS]) + more


def _some(n: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"


def asked_table(asks: Sequence[Ask], ids: Mapping[str, Sequence[str]]) -> str:
    """What was asked for, a line for each stage; ``ids`` are those of its jobs, none where it was not sent."""
    rows = []
    for ask in asks:
        part = f"{ranges(ask.elements)} of {ask.of}" if ask.elements is not None else "1 job"
        most = f", {ask.throttle} at once" if ask.throttle is not None and ask.elements is not None else ""
        where = f"{ask.ranks} ranks x {ask.cpus} cores on {ask.nodes} nodes" if ask.ranks > 1 else f"{ask.cpus} cores"
        gres = f", {ask.gres}" if ask.gres else ""
        memory = f"{ask.memory_mb / 1000:.1f} GB{' a node' if ask.nodes > 1 else ''}"
        jobs = " ".join(ids.get(ask.stage, ()))
        rows.append(
            [ask.stage, jobs, part + most, where + gres, memory, f"{ask.minutes // 60} h {ask.minutes % 60:02d} min"]
        )
    return table(["stage", "job", "elements", "each: cores", "memory", "time limit"], rows)


def dry_run_text(plan: Plan) -> Iterator[str]:
    """The script, and the lines that send it, as bash: each job's id in a variable of its stage's name."""
    yield f"# {plan.script}\n{plan.text}"
    lines: list[str] = []
    before: list[str] = []
    for job in plan.jobs:
        names = [f"{job.ask.stage}_{number}" for number, _ in enumerate(job.arrays)]
        for name, array in zip(names, job.arrays, strict=True):
            arguments = plan.arguments(job, array, [f"${other}" for other in before])
            # Of the arguments only the dependency names variables, and it holds nothing else that a shell would read.
            words = [one if one.startswith("--dependency=") else shlex.quote(one) for one in ["sbatch", *arguments]]
            lines.append(f"{name}=$({' '.join(words)})")
        before = names
    yield "\n".join(lines)
