"""Scaling over array elements, measured: `tile` as submit sends it, with 1, 2, 4 ... elements in turn, each time in a
new copy of the run. Times are those of accounting. Jobs and copies are gone at the end, however that comes."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypoxia_hpc.bench.case import require
from hypoxia_hpc.bench.environment import Environment
from hypoxia_hpc.bench.nodes import environment_of_nodes
from hypoxia_hpc.bench.running import SLIDES
from hypoxia_hpc.bench.scaling import SizeLap
from hypoxia_hpc.bench.scaling_records import ScalingRecord, Task
from hypoxia_hpc.bench.scaling_runs import LAST_LINES, Asked, copied_run, done_receipts, measured, workload
from hypoxia_hpc.bench.scaling_tasks import (
    config_of_tasks,
    lap_of_tasks,
    refuse_too_few,
    refuse_too_many,
    requeued,
    sizes_to,
    task_of,
)
from hypoxia_hpc.cohorts.tables import read_columns, slides_csv
from hypoxia_hpc.config import SlurmTable, render_config
from hypoxia_hpc.config.loading import parse_config
from hypoxia_hpc.config.site_file import read_site_file, site_file
from hypoxia_hpc.errors import HypoxiaError, MachineError, NotReadyError, Stopped, some
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import MOST_TABLE_BYTES, UnfitFileError, read_plain
from hypoxia_hpc.records import Receipt, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.cancel import cancel_jobs
from hypoxia_hpc.slurm.chain import Part
from hypoxia_hpc.slurm.queue import COMPLETED, Ended, query_sacct, query_squeue, sent_jobs
from hypoxia_hpc.slurm.starts import Start, query_starts
from hypoxia_hpc.stages.submit import plan_submission, submit
from hypoxia_hpc.stages.tile import STAGE
from hypoxia_hpc.stores.commit import committed_file, machine_errors, make_folder
from hypoxia_hpc.workers.heartbeat import read_heartbeats

PROGRAMS = ("sbatch", "squeue", "scancel", "sacct")
# Of the time waited so far the queue is asked after a tenth, within these: the controller serves others, too.
LEAST_PAUSE, MOST_PAUSE = 1.0, 10.0
QUEUE_NOTE_SECONDS = 60.0
# Accounting hears of the end of a job later than the queue; a step that is cancelled is killed after KillWait (30 s).
ACCOUNTING_SECONDS, CANCEL_SECONDS = 120.0, 90.0
# Times that a lap is measured anew when SLURM has begun one of its elements twice.
MOST_TRIES = 3


def measure_tasks(asked: Asked, n: int, folder: Path, *, progress: Progress, stop: threading.Event) -> ScalingRecord:
    """The curve from one array element to ``n``. What is written below ``folder``, which all nodes have to see, is
    deleted, but for the one slide of a generated cohort.

    Raises InputError, NotReadyError where a job fails, WrongAnswerError, MachineError; Stopped on request.
    """
    require_slurm()
    table = _table(asked.run)
    refuse_too_many(n, table)
    task = task_of(table)
    with machine_errors(folder):
        make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder.resolve(), prefix=".tmp-bench-") as scratch:
            run = workload(asked, Path(scratch), folder / SLIDES, n * task.workers)
            tiling = ArrayTiling(run, task, Path(scratch), progress, stop)
            return measured(asked, sizes_to(n), tiling, progress, folder)


def require_slurm() -> None:
    """Raises MachineError where jobs cannot be sent from, or accounting does not answer."""
    instead = "over the cores of this machine: leave out --tasks"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise MachineError(
            f"--tasks sends jobs to SLURM, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this "
            "machine",
            remedy=f"log in to the cluster and give the command there; {instead}",
        )
    _, why = query_sacct(["1"])
    if why:
        raise MachineError(
            f"--tasks takes times from the accounting of SLURM, which does not answer: {why}",
            remedy=f"try again later, or ask the site whether it has accounting (slurmdbd); {instead}",
        )


def _table(run: Path | None) -> SlurmTable:
    """[site.slurm] of a run, or for a generated cohort that of the site file."""
    if run is not None:
        return RunDir(run).config().site.slurm
    site = site_file()
    given = None if site is None else read_site_file(site)
    return parse_config({"study": "hypoxia"}, source="a generated cohort", site=given).site.slurm


@dataclass
class ArrayTiling:
    """The command `submit` on copies of a run in ``folder``, for `tile` alone. ``last``: the copy of the lap before,
    ``nodes``: names of those that elements ran on, ``said``: what the user has been told."""

    run: RunDir
    task: Task
    folder: Path
    progress: Progress
    stop: threading.Event
    last: RunDir | None = None
    laps: int = 0
    nodes: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)

    def lap(self, size: int, slides: Sequence[Slide]) -> SizeLap:
        """Tile these slides anew by ``size`` elements; again, where SLURM has begun one of them twice. Raises
        InputError, NotReadyError, MachineError, Stopped."""
        refuse_too_few(len(slides), size, self.task)
        for _ in range(MOST_TRIES):
            run = self._copy(size, slides)
            starts, ended = self._sent(run, size)
            again = requeued(starts)
            if not again:
                return lap_of_tasks(self.task, starts, ended, read_heartbeats(run), self.receipts(slides))
            self.progress.note(f"SLURM has begun {', '.join(again)} more than once: measured anew")
        raise NotReadyError(
            f"SLURM has begun elements more than once in each of {MOST_TRIES} tries, so their times say nothing",
            remedy="measure where jobs are not preempted ([site.slurm] partition, qos), or when nodes do not fail",
        )

    def receipts(self, slides: Sequence[Slide]) -> dict[str, Receipt]:
        """Those of the slides that have tiles since the last lap, by id."""
        return {} if self.last is None else done_receipts(self.last, slides)

    def environment(self, folder: Path) -> Environment:
        """That of the nodes that elements ran on."""
        image = self.run.config().site.slurm.image
        return environment_of_nodes(self.nodes, folder, None if image is None else Path(image))

    def _copy(self, size: int, slides: Sequence[Slide]) -> RunDir:
        """A run of these slides alone, in a folder that no node has seen yet; the one before is deleted."""
        if self.last is not None:
            shutil.rmtree(self.last.root, ignore_errors=True)
        self.laps += 1
        copy = self.last = copied_run(self.run, self.folder / f"bench-{size}-{self.laps}")
        table, wanted = read_columns(copy.slides_file), {slide.slide_id for slide in slides}
        committed_file(copy.slides_file, slides_csv(table[table["slide_id"].isin(wanted)]).encode())
        committed_file(copy.config_file, render_config(config_of_tasks(copy.config(), size)).encode())
        return copy

    def _sent(self, run: RunDir, size: int) -> tuple[tuple[Start, ...], tuple[Ended, ...]]:
        """Send the elements and wait for their end: every start of theirs, and how they ended."""
        plan = plan_submission(run, retry=False, part=Part(STAGE, STAGE))
        parts = [job.request.of for job in plan.jobs]
        require(parts == [size], f"submit cuts the slides into {parts} parts where {size} were asked for")
        self._tell(*plan.notes)
        with cancelled_at_a_fault(run):
            for _ in submit(run, plan):
                pass
            self._wait(run)
            starts, ended = self._accounted(run)
        refuse_failed(ended, plan.logs)
        self.nodes |= {one.node for one in ended}
        return starts, ended

    def _wait(self, run: RunDir) -> None:
        """Until no element is in the queue."""
        began, ids = time.monotonic(), [one.job_id for one in sent_jobs(run)]
        while True:
            queued, why = query_squeue(ids)
            if queued == []:
                return
            waited = time.monotonic() - began
            if why:
                self._tell(f"{why}; asking again")
            elif waited > QUEUE_NOTE_SECONDS and queued and all(one.phase != "running" for one in queued):
                self._tell(f"job {ids[0]} waits in the queue: {queued[0].state.lower()} ({queued[0].reason})")
            self._pause(min(MOST_PAUSE, max(LEAST_PAUSE, waited / 10)))

    def _accounted(self, run: RunDir) -> tuple[tuple[Start, ...], tuple[Ended, ...]]:
        """What accounting knows, once it has heard of the end of every element. Raises MachineError where it does not
        hear of it."""
        sent = sent_jobs(run)
        ids, jobs = [one.job_id for one in sent], {job for one in sent for job in one.jobs()}
        until, why = time.monotonic() + ACCOUNTING_SECONDS, "it has not heard of the end of all elements"
        while time.monotonic() < until:
            starts, said = query_starts(ids)
            accounted, said_too = query_sacct(ids)
            if starts is not None and accounted is not None:
                # For a second the first line of an array is that of a job without index.
                ended = tuple(one for one in accounted.ended if one.job in jobs)
                began = {one.job for one in starts} | {one.job for one in ended if one.state != COMPLETED}
                if jobs <= {one.job for one in ended} & began:
                    return tuple(one for one in starts if one.job in jobs), ended
            why = said or said_too or why
            self._pause(LEAST_PAUSE)
        raise MachineError(
            f"accounting does not tell the times of job {', '.join(ids)}: {why}",
            remedy="look at sacct --jobs with these numbers, and measure again when it answers",
        )

    def _pause(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped("stopped on request", remedy="nothing was kept; give the command again")

    def _tell(self, *notes: str) -> None:
        """Each once."""
        for note in notes:
            if note not in self.said:
                self.said.add(note)
                self.progress.note(note)


@contextmanager
def cancelled_at_a_fault(run: RunDir) -> Iterator[None]:
    """Whatever ends the block other than its end: the jobs of the run are cancelled, and it waits until they are out of
    the queue, for they write in its folder."""
    try:
        yield
    except BaseException:
        with suppress(HypoxiaError):
            cancel_jobs(run)
            _until_gone([one.job_id for one in sent_jobs(run)])
        raise


def _until_gone(ids: Sequence[str]) -> None:
    until = time.monotonic() + CANCEL_SECONDS
    while ids and time.monotonic() < until and query_squeue(ids)[0] != []:
        time.sleep(LEAST_PAUSE)


def refuse_failed(ended: Sequence[Ended], logs: Path) -> None:
    """Raises NotReadyError that names every element that did not complete, and the end of the log of one."""
    failed = [one for one in ended if one.state != COMPLETED]
    if failed:
        said = _end_of_log(logs / f"{STAGE}-{failed[0].job}.out")
        raise NotReadyError(
            f"{some(len(failed), 'element')} of {STAGE} did not end well; {failed[0].job} said: {said}",
            offending=[f"{one.job}: {one.state.lower()}, exit code {one.exit_code}, on {one.node}" for one in failed],
            remedy="mend what it says, then measure again",
        )


def _end_of_log(file: Path) -> str:
    try:
        lines = read_plain(file, MOST_TABLE_BYTES).decode(errors="replace").strip().splitlines()
    except (OSError, UnfitFileError):
        return f"nothing: there is no log {file}; --folder has to name a folder that all nodes see"
    return "\n".join(lines[-LAST_LINES:])
