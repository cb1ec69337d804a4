"""Several cases, one after the other, in a folder of their own."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hypoxia_hpc.bench.case import Case, Place
from hypoxia_hpc.bench.measuring import CASE_SECONDS, Measurement, measure
from hypoxia_hpc.bench.rounds import Work
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.stores.commit import machine_errors, make_folder

SLIDES = "slides"


def default_folder() -> Path:
    """Where slides are kept and stores are written and deleted, unless it is said."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hypoxia_hpc"


def measure_all(
    cases: Sequence[Case],
    folder: Path,
    keep: Callable[[Measurement], object],
    *,
    progress: Progress,
    stop: threading.Event,
    seconds: float = CASE_SECONDS,
) -> None:
    """Measure each case, and ``keep`` it before the next one, which may fail. Slides are made once and stay below
    ``folder``, all else that is written there is deleted.

    Raises WrongAnswerError, MachineError, what ``keep`` raises; Stopped on request.
    """
    progress.begin("bench", len(cases), len(cases), "case")
    try:
        with machine_errors(folder):
            make_folder(folder)
            for case in cases:
                _go_on(stop, f" before {case.name}")
                progress.note(f"{case.name}: {case.summary}")
                found = _measure_apart(case, folder, seconds, partial(_go_on, stop, f" in {case.name}"))
                keep(found)
                if found.agreement:
                    progress.note(f"{case.name}: checked, {found.agreement}")
                progress.item(1)
    finally:
        progress.end()


def _go_on(stop: threading.Event, where: str) -> None:
    if stop.is_set():
        raise Stopped(
            f"stopped on request{where}; figures of cases before it, if there are any, are kept",
            remedy="give the command again: it begins anew (--only CASE measures one alone)",
        )


def _measure_apart(case: Case, folder: Path, seconds: float, go_on: Work) -> Measurement:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-bench-") as scratch:
        return measure(case, Place(Path(scratch), folder / SLIDES), seconds, go_on)
