"""Slides are dealt to this process alone, or to all ranks of an MPI job, each when a worker of it is free.

Rank 0 holds the slides, costliest first. A rank with a free worker asks, and is told a slide_id; what became of it goes
back, and at the end rank 0 tells all that it is over. Messages are JSON objects with one of the entries below. No rank
waits for a message: all is done in turns, between listening to its own workers.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Receipt, Slide
from hypoxia_hpc.runs.receipts import receipt_json, receipt_of
from hypoxia_hpc.workers.allocation import Allocation
from hypoxia_hpc.workers.mpi import Ranks
from hypoxia_hpc.workers.pool import POLL_SECONDS, InOrder, Nothing, Source, Ticked

# To rank 0: a worker is free; a slide is over; one is not begun any more; so many tiles were done; a signal came.
WANT, PROCESSED, GIVEN_BACK, TILES, STOP = "want", "attended", "given back", "tiles", "stop"
# From rank 0: a slide to work on; nothing is under way any more, and so many slides are left to do.
SLIDE, END = "slide", "end"
# A turn of a rank that waits for a message: 40 µs of the processor. A message takes some turns of both ranks, so both
# hurry while they talk (at 5 ms a turn a worker waited 30 ms for its next slide); after a while they do not any more.
AT_ONCE_SECONDS, SOON_SECONDS, LATER_SECONDS = 0.0005, 0.005, 0.05
TALK_SECONDS, HURRY_SECONDS = 0.02, 1.0
TILES_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of a slide: its receipt, whether anything was done now, and whether it hit a bug of ours."""

    receipt: Receipt
    fresh: bool
    bug: bool = False


News = Processed | Ticked


class Scheduler(Source[Slide], Protocol):
    """Where slides come from, and where news of them go."""

    def tell(self, news: News) -> None:
        """Something happened here."""

    def give_back(self, slide: Slide) -> None:
        """It was dealt and is not begun any more, since all is to stop."""

    def end(self, left: int) -> int:
        """How many slides are left to do in the whole share, after the last event; ``left`` is what this process
        knows, which counts where it is alone or rank 0."""


def scheduler_of(
    allocation: Allocation, slides: Sequence[Slide], stop: threading.Event, hear: Callable[[News], None]
) -> Scheduler:
    """``hear`` gets the news that this process is responsible for: all of them on rank 0, where they are gathered."""
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
        """Nobody waits for it."""

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
            self._take(rank, json.loads(text))
        while self._asking and self._is_dealing:
            self._send(self._asking.popleft(), {SLIDE: self._slides.popleft().slide_id})
            self._n_out += 1
        if time.monotonic() - self._heard_at < TALK_SECONDS:
            return AT_ONCE_SECONDS
        return SOON_SECONDS if self._is_dealing else LATER_SECONDS

    def give_back(self, slide: Slide) -> None:
        """Nobody waits for it."""

    def end(self, left: int) -> int:
        for rank in range(1, self._ranks.size):
            self._send(rank, {END: left})
        return left

    @property
    def _is_dealing(self) -> bool:
        return bool(self._slides) and not self._stop.is_set() and not self._stopped_elsewhere

    def _take(self, rank: int, message: Mapping[str, Any]) -> None:
        if WANT in message:
            self._asking.append(rank)
        elif PROCESSED in message:
            self._n_out -= 1
            self.tell(Processed(receipt_of(message[PROCESSED]), message["fresh"], message["bug"]))
        elif GIVEN_BACK in message:
            self._n_out -= 1
        elif TILES in message:
            self.tell(Ticked(message[TILES]))
        else:
            self._stopped_elsewhere = True

    def _send(self, rank: int, message: Mapping[str, object]) -> None:
        self._ranks.send(json.dumps(message), rank)


class RankScheduler:
    """Any other rank: asks rank 0 for one slide after the other, and tells it what became of them."""

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
            self._send({WANT: 1})
            self._asked_at = time.monotonic()
        return Nothing.NOT_YET

    def turn(self) -> float:
        for _, text in self._ranks.received():
            self._take(json.loads(text))
        if self._stop.is_set() and not self._has_told_stop:
            self._has_told_stop = True
            self._send({STOP: True})
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
        self._send({PROCESSED: receipt_json(news.receipt), "fresh": news.fresh, "bug": news.bug})

    def give_back(self, slide: Slide) -> None:
        self._send({GIVEN_BACK: slide.slide_id})

    def end(self, left: int) -> int:
        return self._left or 0

    def _take(self, message: Mapping[str, Any]) -> None:
        if END in message:
            self._left = message[END]
            return
        self._asked_at = None
        slide = self._by_id.get(message[SLIDE])
        if slide is None:
            raise InputError(
                f"rank 0 dealt slide {message[SLIDE]!r}, which slides.csv does not have here",
                remedy="every node has to see the same run directory; then run the same command again",
            )
        self._dealt.append(slide)

    def _tell_tiles(self) -> None:
        self._tiles_told_at = time.monotonic()
        if self._tiles:
            self._send({TILES: self._tiles})
            self._tiles = 0

    def _send(self, message: Mapping[str, object]) -> None:
        self._ranks.send(json.dumps(message), 0)
