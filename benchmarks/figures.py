"""Figures with their targets, printed as they are found and kept for the JSON file."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hypoxia_hpc.bench.environment import machine
from hypoxia_hpc.bench.rounds import Laps, busy, median_seconds
from hypoxia_hpc.bench.running import SLIDES, default_folder

UNITS = {
    "%": (100, "{:,.0f} %"),
    "x": (1, "{:,.2f} x"),
    "MB": (1, "{:,.0f} MB"),
    "s": (1, "{:,.2f} s"),
    "ms": (1e3, "{:,.1f} ms"),
    "": (1, "{:,.0f}"),
    "cosine": (1, "{:.6f}"),
    "of 10,000": (1e4, "{:,.1f} / 10^4"),
}


def ratio(laps: Laps, slower: str, faster: str, time_of: str = "clock") -> float:
    """Median over the rounds of the time of ``slower`` over that of ``faster``."""
    pairs = zip(laps[slower], laps[faster], strict=True)
    return float(statistics.median(getattr(one, time_of) / getattr(other, time_of) for one, other in pairs))


def slides_dir() -> Path:
    """Where slides are made and kept by default."""
    return default_folder() / SLIDES


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``target`` is the least value, or the most where ``at_most``; without one it is reported,
    not counted. ``value`` is None where it could not be measured: ``note`` says why. ``by_processor`` is the same
    figure of the processor's times."""

    name: str
    value: float | None
    unit: str = "x"
    target: float | None = None
    at_most: bool = False
    by_processor: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        if self.value is None:
            return False
        return self.value <= self.target if self.at_most else self.value >= self.target

    def row(self) -> str:
        counted = {True: "met", False: "NOT MET", None: ""}[self.met]
        sign = "" if self.target is None else ("<= " if self.at_most else ">= ") + self._shown(self.target)
        by_processor = "" if self.by_processor is None else self._shown(self.by_processor)
        cells = f"{self.name:88}{self._shown(self.value):>12}{by_processor:>12}{sign:>14}  {counted:8}"
        return f"{cells}{self.note}".rstrip()

    def _shown(self, value: float | None) -> str:
        factor, shape = UNITS[self.unit]
        return "-" if value is None else shape.format(value * factor)


HEAD = f"{'figure':88}{'by clock':>12}{'processor':>12}{'target':>14}"


@dataclass(slots=True)
class Report:
    """Everything that was found."""

    figures: list[Figure] = field(default_factory=list)
    rates: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)

    def say(self, line: str) -> None:
        self.notes.append(line)
        print(line, flush=True)

    def add(self, *figures: Figure) -> None:
        self.figures.extend(figures)

    def rate(self, title: str, laps: Laps, n_tiles: int) -> None:
        """Print and keep what every competitor made of the same tiles."""
        self.say(f"\n{title}: {n_tiles:,} tiles; the processor was ours for {busy(laps):.0%} of the time")
        for name, column in laps.items():
            processor = statistics.median(one.processor for one in column)
            self.say(
                f"  {name:44}{n_tiles / median_seconds(column):10,.0f} tiles/s{n_tiles / processor:10,.0f} by processor"
            )
        self.rates[title] = {
            "tiles": n_tiles,
            "seconds": {name: [asdict(one) for one in column] for name, column in laps.items()},
        }

    def table(self) -> None:
        print("\n" + HEAD)
        for figure in self.figures:
            print(figure.row())

    def write(self, path: Path) -> None:
        content = {
            "machine": self.machine,
            "figures": [{**asdict(figure), "met": figure.met} for figure in self.figures],
            "rates": self.rates,
            "notes": self.notes,
        }
        path.write_text(json.dumps(content, indent=1, allow_nan=True) + "\n")


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of a benchmark: what it has found, where its files are kept, and how much is done."""

    report: Report
    folder: Path
    quick: bool
    rounds: int


Section = Callable[[Any], None]


def run_sections(bench: Bench, sections: Mapping[str, Section], json_file: Path | None) -> None:
    """Do each part, say what it took, print the table and write all of it to ``json_file``."""
    started = time.perf_counter()
    bench.folder.mkdir(parents=True, exist_ok=True)
    bench.report.say(f"{bench.report.machine}")
    for name, section in sections.items():
        part_started = time.perf_counter()
        section(bench)
        bench.report.say(f"({name}: {time.perf_counter() - part_started:,.0f} s)")
    bench.report.say(
        f"{time.perf_counter() - started:,.0f} s; load average before {bench.report.machine['load_average']}, "
        f"after {os.getloadavg()}"
    )
    bench.report.table()
    if json_file:
        bench.report.write(json_file)
