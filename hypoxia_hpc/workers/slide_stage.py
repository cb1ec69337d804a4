"""What all stages that go slide by slide share: skip what is done, keep quarantines, write receipts.

A stage gives a ``SlideStage``: how to make its key and its store. Everything here is the same for all of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import ExtractWork, Receipt, Slide, SlideSource, TileWork
from hypoxia_hpc.runs.device_time import DeviceTime, device_time_of
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt, write_receipt
from hypoxia_hpc.stores.commit import discard_unfinished
from hypoxia_hpc.stores.integrity import store_key
from hypoxia_hpc.workers.allocation import WHOLE, Allocation
from hypoxia_hpc.workers.heartbeat import HeartbeatFile, WorkDone
from hypoxia_hpc.workers.messages import Processed, Ticked
from hypoxia_hpc.workers.pool import DroppedItem, FailedItem, Finished, Nothing, ProcessPool, refuse_left
from hypoxia_hpc.workers.scheduler import News, Scheduler, scheduler_of

NOT_READY = "not-ready"
# What is wrong here is no property of the slide: mended, its key is the same, so these quarantines do not hold.
TRIED_AGAIN = frozenset({"damaged-store", "slide-changed", "slide-gone"})


class HeldUpError(SlideError):
    """An earlier stage holds this slide up: quarantined there (with that reason), or not done yet (``not-ready``)."""


class SlideStage(Protocol):
    """What a stage does to one slide. Must be picklable."""

    @property
    def run(self) -> RunDir:
        """The run whose slides these are."""

    @property
    def receipts(self) -> Path:
        """Folder of this stage's receipts."""

    def target(self, slide: Slide) -> Path:
        """The store this stage makes."""

    def key(self, slide: Slide) -> str:
        """Expected key of that store. Raises HeldUpError, or SlideError when the inputs cannot be read."""

    def key_unread(self, slide: Slide, reason: str) -> str:
        """Key of a quarantine where the inputs cannot be read: holds until that changes."""

    def made_of(self, slide: Slide) -> SlideSource | None:
        """What of the inputs entered the key, for the receipt of a quarantine: whether it holds is then known without
        reading them again."""

    def rows(self, slide: Slide) -> int:
        """Rows of the committed store."""

    def make(self, slide: Slide, key: str, tick: Callable[[int], None]) -> TileWork | ExtractWork:
        """Make and commit the store; returns details for the receipt. Raises SlideError to quarantine."""


@dataclass(frozen=True, slots=True)
class ProcessSlide:
    """The work on one slide as a worker process does it."""

    work: SlideStage
    retry: bool

    def __call__(self, slide: Slide, tick: Callable[[int], None]) -> Processed:
        held = read_receipt(self.work.receipts, slide.slide_id)
        try:
            key, unread = self.work.key(slide), None
        except HeldUpError as error:
            held_up = Receipt(slide.slide_id, "quarantined", "", reason=error.reason, detail=str(error))
            return Processed(held_up, fresh=False)
        except SlideError as error:
            key, unread = self.work.key_unread(slide, error.reason), error
        if held is not None and held.key == key and self._holds(held):
            return Processed(held, False)
        if unread is None and store_key(self.work.target(slide)) == key:
            if held is None or held.key != key or held.status != "done":
                held = self._recovered(slide, key)
            return Processed(held, False)
        receipt = self._attempt(slide, key, unread, tick)
        if held is not None and held.key == key:
            receipt = replace(receipt, attempts=held.attempts + 1)
        write_receipt(self.work.receipts, receipt)
        return Processed(receipt, True)

    def _holds(self, receipt: Receipt) -> bool:
        return receipt.status == "quarantined" and not self.retry and receipt.reason not in TRIED_AGAIN

    def _attempt(self, slide: Slide, key: str, unread: SlideError | None, tick: Callable[[int], None]) -> Receipt:
        started = time.perf_counter()
        try:
            if unread is not None:
                raise unread
            made = self.work.make(slide, key, tick)
        except SlideError as error:
            return Receipt(
                slide.slide_id,
                "quarantined",
                key,
                reason=error.reason,
                detail=str(error),
                seconds=time.perf_counter() - started,
                details=self.work.made_of(slide),
            )
        queued = made.queued_seconds if isinstance(made, ExtractWork) else 0.0
        return Receipt(
            slide.slide_id,
            "done",
            key,
            rows=self.work.rows(slide),
            seconds=time.perf_counter() - started - queued,
            bytes=_tree_bytes(self.work.target(slide)),
            details=made,
        )

    def _recovered(self, slide: Slide, key: str) -> Receipt:
        """The receipt of a store that was committed by a process which died before it could write one."""
        target = self.work.target(slide)
        receipt = Receipt(slide.slide_id, "done", key, rows=self.work.rows(slide), bytes=_tree_bytes(target))
        write_receipt(self.work.receipts, receipt)
        return receipt


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What a stage did: receipts of the slides made now and found done, of all in quarantine (without a key where an
    earlier stage put them there), of those whose inputs are not ready, and of those that hit a bug of ours (they are in
    quarantine too). ``told``: ids of the slides whose quarantine the progress has shown."""

    stage: str
    made: tuple[Receipt, ...]
    found: tuple[Receipt, ...]
    quarantined: tuple[Receipt, ...]
    not_ready: tuple[Receipt, ...] = ()
    bugs: tuple[Receipt, ...] = ()
    told: tuple[str, ...] = ()


def work_through(
    title: str,
    slides: Sequence[Slide],
    work: SlideStage,
    *,
    workers: int,
    retry: bool,
    progress: Progress,
    stop: threading.Event,
    allocation: Allocation = WHOLE,
    at_once: int = 1,
    init_worker: Callable[[int], None] | None = None,
    tell_each: bool = True,
) -> StageOutcome:
    """Take every slide through a stage in worker processes. One bad slide never ends it.

    A worker processes ``at_once`` slides in as many threads: ``work`` has to allow that. ``init_worker``: as in
    ``ProcessPool``. ``tell_each``: the progress shows each slide that goes to quarantine.

    Under MPI all ranks call this with the same slides, and each takes the slides that rank 0 deals to it; rank 0's
    outcome is that of all of them, another rank's its own.

    Raises:
        MachineError, InputError, NotReadyError: what no other slide would survive either.
        Stopped: on request; on every rank.
    """
    gathered, process = _Gathered(slides, progress, tell_each), ProcessSlide(work, retry)
    scheduler, ended = scheduler_of(allocation, slides, stop, gathered.hear), partial(_discard, work)
    size, total = min(workers, len(slides)), sum(slide.cost for slide in slides)
    pool = ProcessPool(process, size, stop, at_once=at_once, init_worker=init_worker, ended=ended)
    file = HeartbeatFile(work.run, title, allocation, len(slides), total)
    rank_worker = RankWorker(work, scheduler, pool, file)
    progress.begin(title, len(slides), total, "slide")
    try:
        with file.kept(rank_worker.work_done):
            rank_worker.process_all()
            refuse_left(scheduler.end(len(slides) - len(gathered.processed)))
    finally:
        progress.end()
    return _sum_up(title, gathered.processed, tell_each=tell_each)


def _discard(work: SlideStage, slide: Slide, pid: int) -> None:
    """What a worker process that has ended left of a slide's store."""
    discard_unfinished(work.target(slide), pid)


class _Gathered:
    """The news of all processes that work on the slides, passed on to the progress."""

    def __init__(self, slides: Sequence[Slide], progress: Progress, tell_each: bool) -> None:
        self.processed: list[Processed] = []
        self._costs = {slide.slide_id: slide.cost for slide in slides}
        self._progress, self._tell_each = progress, tell_each

    def hear(self, news: News) -> None:
        if isinstance(news, Ticked):
            self._progress.count(news.tiles)
            return
        self.processed.append(news)
        receipt = news.receipt
        if news.fresh and receipt.status == "quarantined" and self._tell_each:
            first_line = receipt.detail.partition("\n")[0]
            self._progress.note(f"quarantined {receipt.name}: {receipt.reason}: {first_line}")
        if news.fresh and isinstance(receipt.details, ExtractWork | TileWork) and receipt.details.note:
            self._progress.note(f"{receipt.name}: {receipt.details.note}")
        self._progress.item(self._costs[receipt.name])


class RankWorker:
    """The slides that this process itself works on: from the scheduler to the process pool, and their results back."""

    def __init__(
        self, work: SlideStage, scheduler: Scheduler, pool: ProcessPool[Slide, Processed], file: HeartbeatFile
    ) -> None:
        self._work, self._scheduler, self._pool, self._file = work, scheduler, pool, file
        self._slides, self._cost, self._tiles = 0, 0, 0
        self._device_time = DeviceTime()

    def process_all(self) -> None:
        """Work until the scheduler has no more slides."""
        with closing(self._pool.events(self)) as events:
            for event in events:
                if isinstance(event, Ticked):
                    self._tiles += event.tiles
                    self._scheduler.tell(event)
                    continue
                if isinstance(event, DroppedItem):
                    self._scheduler.give_back(event.item)
                    continue
                self._slides += 1
                self._cost += event.item.cost
                processed = event.result if isinstance(event, Finished) else _quarantine(self._work, event)
                self._device_time += device_time_of([processed.receipt] if processed.fresh else [])
                self._scheduler.tell(processed)

    def next_item(self) -> Slide | Nothing:
        return self._scheduler.next_item()

    def turn(self) -> float:
        self._file.now_and_then(self.work_done)
        return self._scheduler.turn()

    def work_done(self) -> WorkDone:
        busy, idle = self._pool.seconds()
        return WorkDone(
            self._slides,
            self._cost,
            self._tiles,
            in_flight=tuple(slide.slide_id for slide in self._pool.in_flight),
            busy_seconds=tuple(round(seconds, 1) for seconds in busy),
            idle_seconds=tuple(round(seconds, 1) for seconds in idle),
            device_seconds=round(self._device_time.device_seconds, 1),
            waited_seconds=round(self._device_time.waited_seconds, 1),
            bytes_read=self._device_time.bytes_read,
        )


def _quarantine(work: SlideStage, failed: FailedItem[Slide]) -> Processed:
    try:
        key = work.key(failed.item)
    except SlideError as error:
        key = work.key_unread(failed.item, error.reason)
    receipt = Receipt(
        failed.item.slide_id,
        "quarantined",
        key,
        reason=failed.why,
        detail=failed.detail,
        attempts=failed.attempts,
        details=work.made_of(failed.item),
    )
    write_receipt(work.receipts, receipt)
    return Processed(receipt, fresh=True, bug=failed.why == "internal-error")


def _sum_up(stage: str, processed: Sequence[Processed], *, tell_each: bool) -> StageOutcome:
    in_order = sorted(processed, key=lambda one: one.receipt.name)
    done = [one for one in in_order if one.receipt.status == "done"]
    waiting = [one.receipt for one in in_order if one.receipt.reason == NOT_READY]
    return StageOutcome(
        stage,
        made=tuple(one.receipt for one in done if one.fresh),
        found=tuple(one.receipt for one in done if not one.fresh),
        quarantined=tuple(
            one.receipt for one in in_order if one.receipt.status == "quarantined" and one.receipt.reason != NOT_READY
        ),
        not_ready=tuple(waiting),
        bugs=tuple(one.receipt for one in in_order if one.bug),
        told=tuple(
            one.receipt.name for one in in_order if tell_each and one.fresh and one.receipt.status == "quarantined"
        ),
    )


def _tree_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
