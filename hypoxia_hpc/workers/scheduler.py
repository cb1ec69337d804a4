"""Slides are dealt to this process alone, or to all ranks of an MPI job, each when one of its workers is free.

Rank 0 holds the slides, costliest first. A rank with a free worker asks for a slide and receives a slide_id; it sends
back what became of the slide. At the end rank 0 tells every rank that all is over. The messages are those of
messages.py. No rank waits for a message: it looks for messages in turns, between two looks at its own workers.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.workers.allocation import Allocation
from hypoxia_hpc.workers.messages import (
    Dealt,
    Ended,
    FromRoot,
    GivenBack,
    Processed,
    StopRequested,
    Ticked,
    ToRoot,
    WorkerFree,
    decode,
    encode,
    unknown_message,
)
from hypoxia_hpc.workers.mpi import Ranks
from hypoxia_hpc.workers.pool import POLL_SECONDS, InOrder, Nothing, Source

# A turn of a rank that waits for a message takes 40 µs of the processor. A message takes some turns of both ranks, so
# turns are short while messages pass (at 5 ms a turn a worker waited 30 ms for its next slide), and long after a while.
AT_ONCE_SECONDS, SOON_SECONDS, LATER_SECONDS = 0.0005, 0.005, 0.05
TALK_SECONDS, HURRY_SECONDS = 0.02, 1.0
TILES_SECONDS = 1.0


News = Processed | Ticked


class Scheduler(Source[Slide], Protocol):
    """Where slides come from, and where news of them go."""

    def tell(self, news: News) -> None:
        """Pass on what happened in this process."""

    def give_back(self, slide: Slide) -> None:
        """Return a slide that was dealt and is not begun, because this process stops."""

    def end(self, left: int) -> int:
        """After the last event: how many slides are left to do in the whole share. ``left`` is what this process
        counted; it is the answer where the process is alone or rank 0."""


def scheduler_of(
    allocation: Allocation, slides: Sequence[Slide], stop: threading.Event, hear: Callable[[News], None]
) -> Scheduler:
    """``hear`` receives the news of this process; on rank 0 also those of all other ranks."""
    if allocation.ranks is None or allocation.ranks.size == 1:
        return LocalScheduler(deque(slides), stop, hear)
    if allocation.rank == 0:
        return RootScheduler(allocation.ranks, slides, stop, hear)
    return RankScheduler(allocation.ranks, slides, stop, hear)


@dataclass(frozen=True, slots=True)
class LocalScheduler(InOrder[Slide]):
    """One process alone."""

    tell: Callable[[News], None]

    def give_back(self, slide: Slide) -> None:
        """Nothing to do: it stays among those left."""

    def end(self, left: int) -> int:
        return left


class RootScheduler:
    """Rank 0: deals to its own workers and to the other ranks."""

    def __init__(
        self, ranks: Ranks, slides: Sequence[Slide], stop: threading.Event, hear: Callable[[News], None]
    ) -> None:
        self._ranks = ranks
        self._slides = deque(slides)
        self._stop = stop
        self._stopped_elsewhere = False
        self._asking: deque[int] = deque()
        self._n_out = 0
        self._heard_at = -math.inf
        self.tell = hear

    def next_item(self) -> Slide | Nothing:
        if self._is_dealing:
            return self._slides.popleft()
        return Nothing.NOT_YET if self._n_out else Nothing.NO_MORE

    def turn(self) -> float:
        for rank, text in self._ranks.received():
            self._heard_at = time.monotonic()
            self._take(rank, decode(text, rank))
        while self._asking and self._is_dealing:
            self._send(self._asking.popleft(), Dealt(self._slides.popleft().slide_id))
            self._n_out += 1
        if time.monotonic() - self._heard_at < TALK_SECONDS:
            return AT_ONCE_SECONDS
        return SOON_SECONDS if self._is_dealing else LATER_SECONDS

    def give_back(self, slide: Slide) -> None:
        """Nothing to do: it stays among those left."""

    def end(self, left: int) -> int:
        for rank in range(1, self._ranks.size):
            self._send(rank, Ended(left))
        return left

    @property
    def _is_dealing(self) -> bool:
        return bool(self._slides) and not self._stop.is_set() and not self._stopped_elsewhere

    def _take(self, rank: int, message: ToRoot | FromRoot) -> None:
        match message:
            case WorkerFree():
                self._asking.append(rank)
            case Processed():
                self._n_out -= 1
                self.tell(message)
            case GivenBack():
                self._n_out -= 1
            case Ticked():
                self.tell(message)
            case StopRequested():
                self._stopped_elsewhere = True
            case _:
                raise unknown_message(message, rank)

    def _send(self, rank: int, message: FromRoot) -> None:
        self._ranks.send(encode(message), rank)


class RankScheduler:
    """Any other rank: asks rank 0 for one slide after the other, and reports what became of each."""

    def __init__(
        self, ranks: Ranks, slides: Sequence[Slide], stop: threading.Event, hear: Callable[[News], None]
    ) -> None:
        self._ranks = ranks
        self._by_id = {slide.slide_id: slide for slide in slides}
        self._stop = stop
        self._hear = hear
        self._dealt: deque[Slide] = deque()
        self._asked_at: float | None = None
        self._tiles, self._tiles_told_at = 0, time.monotonic()
        self._has_told_stop = False
        self._left: int | None = None

    def next_item(self) -> Slide | Nothing:
        if self._dealt:
            return self._dealt.popleft()
        if self._left is not None:
            return Nothing.NO_MORE
        if self._asked_at is None:
            self._send(WorkerFree())
            self._asked_at = time.monotonic()
        return Nothing.NOT_YET

    def turn(self) -> float:
        for rank, text in self._ranks.received():
            self._take(rank, decode(text, rank))
        if self._stop.is_set() and not self._has_told_stop:
            self._has_told_stop = True
            self._send(StopRequested())
        if time.monotonic() - self._tiles_told_at >= TILES_SECONDS:
            self._tell_tiles()
        if self._dealt or self._left is not None:
            return 0.0
        if self._asked_at is None:
            return POLL_SECONDS
        return AT_ONCE_SECONDS if time.monotonic() - self._asked_at < HURRY_SECONDS else LATER_SECONDS

    def tell(self, news: News) -> None:
        self._hear(news)
        if isinstance(news, Ticked):
            self._tiles += news.tiles
            return
        self._tell_tiles()
        self._send(news)

    def give_back(self, slide: Slide) -> None:
        self._send(GivenBack(slide.slide_id))

    def end(self, left: int) -> int:
        return self._left or 0

    def _take(self, rank: int, message: ToRoot | FromRoot) -> None:
        match message:
            case Ended():
                self._left = message.left
            case Dealt():
                self._asked_at = None
                self._dealt.append(self._known(message.slide_id))
            case _:
                raise unknown_message(message, rank)

    def _known(self, slide_id: str) -> Slide:
        slide = self._by_id.get(slide_id)
        if slide is None:
            raise InputError(
                f"rank 0 dealt slide {slide_id!r}, which slides.csv does not have here",
                remedy="every node has to see the same run directory; then run the same command again",
            )
        return slide

    def _tell_tiles(self) -> None:
        self._tiles_told_at = time.monotonic()
        if self._tiles:
            self._send(Ticked(self._tiles))
            self._tiles = 0

    def _send(self, message: ToRoot) -> None:
        self._ranks.send(encode(message), 0)
