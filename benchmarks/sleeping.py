"""Stands for hypoxia-hpc in jobs of benchmarks/simulation.py: each slide sleeps as long as RUN/asleep.json says that
one core takes for it.

Which slides a job has, how its worker processes get them and how it is stopped is the suite's own code, as is the job
script that starts this. A slide that has slept leaves a file, so that a job that is started again goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.records import Slide
from hypoxia_hpc.workers.pool import Finished, deal
from hypoxia_hpc.workers.shares import parse_share, slides_of_share


def sleep(slide: Slide, tick: Callable[[int], None], seconds: dict[str, float]) -> None:
    time.sleep(seconds[slide.slide_id])
    tick(1)


def stop_by_signal() -> threading.Event:
    """Set by the first SIGUSR1; the second ends this process at once, as it does in hypoxia-hpc."""
    stop = threading.Event()

    def heard(*_: object) -> None:
        if stop.is_set():
            os._exit(75)
        stop.set()

    signal.signal(signal.SIGUSR1, heard)
    return stop


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("stage")
    parser.add_argument("run", type=Path)
    parser.add_argument("--share", default="0/1")
    parser.add_argument("--workers", type=int, help="given for stages on cores alone; in others a slide has all cores")
    options, stop = parser.parse_args(), stop_by_signal()
    asleep: dict[str, Any] = json.loads((options.run / "asleep.json").read_text())
    slides = [Slide(name, options.run, name, cost) for name, cost in asleep["costs"].items()]
    done = options.run / "done" / options.stage
    done.mkdir(parents=True, exist_ok=True)
    cores = 1 if options.workers else int(os.environ["SLURM_CPUS_PER_TASK"])
    slow = asleep["slow"].get(os.environ.get("SLURMD_NODENAME", ""), 1.0)
    seconds = {name: slow * one / cores for name, one in asleep["seconds"][options.stage].items()}
    todo = [one for one in slides_of_share(slides, parse_share(options.share)) if not (done / one.slide_id).exists()]
    try:
        for event in deal(todo, partial(sleep, seconds=seconds), workers=options.workers or 1, stop=stop):
            if isinstance(event, Finished):
                (done / event.item.slide_id).touch()
    except Stopped:
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
