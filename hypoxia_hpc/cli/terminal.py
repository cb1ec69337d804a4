"""What the user sees: progress while a stage works, and its results as plain text."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from hypoxia_hpc.records import Json, Receipt

if TYPE_CHECKING:
    from rich.progress import Progress

    from hypoxia_hpc.workers.slide_stage import StageOutcome

PLAIN_SECONDS = 30.0
HEADLINE_METRICS = {
    "roc_auc": "AUC",
    "accuracy": "accuracy",
    "f1_1": "F1 hypoxic",
    "f1_0": "F1 normoxic",
    "f1_macro": "F1 macro",
}


def say(text: str) -> None:
    """Lines of result, to standard output."""
    _write(text, sys.stdout)


def tell(text: str) -> None:
    """Lines about the work, to standard error."""
    _write(text, sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    try:
        print(harmless(text), file=stream, flush=True)
    except BrokenPipeError:
        # Whoever reads (head, less) has enough of it; the work goes on, and its exit code is told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def harmless(text: str) -> str:
    """The text with escapes for what a terminal would obey rather than show: file names may hold anything."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text
    )


class PlainProgress:
    """Progress for log files: a line when a stage begins and ends, and now and then between."""

    def __init__(self) -> None:
        self._pace = Pace("", 0, 0, "")
        self._last = 0.0

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        self._pace, self._last = Pace(title, items, cost, unit), time.monotonic()
        if items:
            tell(f"{title}: {items:,} {unit}")

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
        parts = [f"{self.title}: {self.items_done:,}/{self.items:,} {self.unit}"]
        if self.tiles:
            parts.append(f"{self.tiles / max(seconds, 1e-9):,.0f} tiles/s")
        if self.items_done == self.items:
            parts.append(f"took {duration(seconds)}")
        elif self.cost_done:
            parts.append(f"{duration(seconds * (self.cost - self.cost_done) / self.cost_done)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def progress_for(stream_is_terminal: bool) -> PlainProgress:
    return BarProgress() if stream_is_terminal else PlainProgress()


def outcome_line(outcome: StageOutcome) -> str:
    """What a per-slide stage did, in one line."""
    parts = [f"{len(outcome.made)} done now", f"{len(outcome.found)} done before"]
    if outcome.quarantined:
        parts.append(f"{len(outcome.quarantined)} quarantined ({reasons(outcome.quarantined)})")
    if outcome.not_ready:
        parts.append(f"{len(outcome.not_ready)} not ready")
    return f"{outcome.stage}: {', '.join(parts)}"


def reasons(receipts: Iterable[Receipt]) -> str:
    """``no-tissue 3, no-mpp 1``: most frequent first."""
    counts = Counter(receipt.reason for receipt in receipts)
    return ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the last one is not padded. Control characters are shown as escapes."""
    lines = [[_one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(header))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines]
    return "\n".join([padded[0], "-" * min(max(map(len, padded)), 100), *padded[1:]])


def _one_line(cell: str) -> str:
    return harmless(cell).replace("\n", "\\n").replace("\t", "\\t")


def metrics_table(metrics: Json) -> str:
    """Models by metrics of the test patients, each value with its interval; slide and tile AUC beside them, and of a
    cross-validation the AUC of its folds."""
    rows, folds = [], metrics.get("folds", {})
    for model, sets in metrics["models"].items():
        levels = sets.get("test", {})
        cells = [_interval(levels.get("patient", {}).get(name)) for name in HEADLINE_METRICS]
        others = [_value(levels.get(level, {}).get("roc_auc")) for level in ("slide", "tile")]
        rows.append([model, *cells, *others, *([_span(folds.get(model, {}))] if folds else [])])
    n = max((count for count in map(_patients, metrics["models"].values()) if count), default=0)
    if not n:
        return "no labelled test patient has features (all their slides are quarantined): nothing to measure"
    n_folds = max(map(len, folds.values()), default=0)
    header = [f"{n} test patients", *HEADLINE_METRICS.values(), "slide AUC", "tile AUC"]
    return table([*header, f"AUC of {n_folds} folds"] if folds else header, rows)


def _span(folds: Json) -> str:
    """Smallest and largest patient AUC of the folds' test sets."""
    areas = [sets.get("test", {}).get("patient", {}).get("roc_auc", {}).get("value") for sets in folds.values()]
    known = [area for area in areas if area is not None]
    return f"{min(known):.2f} to {max(known):.2f}" if known else "-"


def _patients(sets: Json) -> int:
    return int(sets.get("test", {}).get("patient", {}).get("accuracy", {}).get("n", 0))


def _interval(metric: Json | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    if metric["low"] is None:
        return f"{metric['value']:.2f}"
    return f"{metric['value']:.2f} ({metric['low']:.2f}-{metric['high']:.2f})"


def _value(metric: Json | None) -> str:
    return "-" if metric is None or metric["value"] is None else f"{metric['value']:.2f}"
