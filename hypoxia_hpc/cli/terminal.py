"""The terminal: lines of result, lines about the work, and progress while a stage works."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import time
from typing import TYPE_CHECKING, TextIO

from hypoxia_hpc.cli.text.words import duration, harmless
from hypoxia_hpc.errors import some

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_SECONDS = 30.0


# Why something could not be written to a stream, by its descriptor: its disk is full; and where it led.
_UNWRITTEN: dict[int, tuple[str, int]] = {}


def say(text: str) -> None:
    """Lines of result, to standard output."""
    _write(text, sys.stdout)


def tell(text: str) -> None:
    """Lines about the work, to standard error."""
    _write(text, sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    """The work goes on where nothing can be written: it ends with its own exit code, or :func:`end_streams` says so."""
    try:
        print(harmless(text), file=stream, flush=True)
    except BrokenPipeError:  # the reader (head, less) has enough of it
        _lead_nowhere(stream)
    except OSError as error:  # a full disk
        _give_up(stream, error)


def _give_up(stream: TextIO, error: OSError) -> None:
    _UNWRITTEN[stream.fileno()] = str(error.strerror), os.dup(stream.fileno())
    _lead_nowhere(stream)


def _lead_nowhere(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def lost_reader(stream: TextIO) -> bool:
    """Whether the stream is not read any more (head has enough of a help page); from then on it leads nowhere."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    if is_lost := bool(poll.poll(0)):
        _lead_nowhere(stream)
    return is_lost


def begin_streams() -> None:
    """Standard streams that are closed (``2>&-``) lead nowhere; else the next file that is opened would take their
    place, and what is said would go there. No character is an error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - for the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def end_streams() -> bool:
    """Whether all results could be written; a note in the log says what could not. Where the log is what could not be
    written, the note has its place as soon as its disk has room again: it never stands among results, which may be
    JSON."""
    for stream in (sys.stdout, sys.stderr):
        _write_rest(stream)
    for number, (why, left) in _UNWRITTEN.items():
        what = "results" if number == 1 else "the log"
        note = f"note: not all of {what} could be written: {why}\n"
        with contextlib.suppress(OSError):
            os.write(left if number != 1 else sys.stderr.fileno(), note.encode())
    return 1 not in _UNWRITTEN


def _write_rest(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError as error:
        _give_up(stream, error)
        stream.flush()


class PlainProgress:
    """Progress for log files: a line when a stage begins and ends, and now and then between."""

    def __init__(self) -> None:
        self._pace = Pace("", 0, 0, "")
        self._last = 0.0

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        self._pace, self._last = Pace(title, items, cost, unit), time.monotonic()
        if items:
            tell(f"{title}: {some(items, unit)}")

    def count(self, n: int) -> None:
        self._pace.tiles += n
        self._now_and_then()

    def item(self, cost: float) -> None:
        self._pace.item(cost)
        self._now_and_then()

    def note(self, text: str) -> None:
        tell(f"{self._pace.title}: {text}" if self._pace.title else text)

    def end(self) -> None:
        if self._pace.items:
            tell(self._pace.line())
        self._pace = Pace("", 0, 0, "")

    def _now_and_then(self) -> None:
        if time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            tell(self._pace.line())


class BarProgress(PlainProgress):
    """Progress for a terminal: one live bar."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Progress | None = None

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._pace = Pace(title, items, cost, unit)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            TextColumn("{task.fields[line]}", markup=False),
        )
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._bar.add_task(title, total=cost or 1, line="")
        self._bar.start()
        self._now_and_then()

    def note(self, text: str) -> None:
        if self._bar is not None:
            line = harmless(f"{self._pace.title}: {text}")
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            tell(text)

    def end(self) -> None:
        if self._bar is not None:
            self._now_and_then()
            self._bar.stop()
            self._bar = None
        self._pace = Pace("", 0, 0, "")

    def _now_and_then(self) -> None:
        if self._bar is not None:
            line = self._pace.line().removeprefix(f"{self._pace.title}: ")
            self._bar.update(self._bar.task_ids[0], completed=self._pace.cost_done, line=line)


class Pace:
    """How fast a stage goes and how long it will take, by cost."""

    def __init__(self, title: str, items: int, cost: float, unit: str) -> None:
        self.title, self.items, self.cost, self.unit = title, items, cost, unit
        self.items_done, self.cost_done, self.tiles = 0, 0.0, 0
        self._started = time.monotonic()

    def item(self, cost: float) -> None:
        self.items_done += 1
        self.cost_done += cost

    def line(self) -> str:
        seconds = time.monotonic() - self._started
        parts = [f"{self.title}: {self.items_done:,}/{some(self.items, self.unit)}"]
        if self.tiles:
            parts.append(f"{self.tiles / max(seconds, 1e-9):,.0f} tiles/s")
        if self.items_done == self.items:
            parts.append(f"took {duration(seconds)}")
        elif self.cost_done:
            parts.append(f"{duration(seconds * (self.cost - self.cost_done) / self.cost_done)} left")
        return ", ".join(parts)


def progress_for(stream_is_terminal: bool) -> PlainProgress:
    return BarProgress() if stream_is_terminal else PlainProgress()
