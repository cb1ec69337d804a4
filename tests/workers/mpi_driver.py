"""The command line with a fault in it. Run by test_mpi.py; worker processes import this file again.

FAULT=rank: an unforeseen exception in the process of one rank. FAULT=late: a rank that begins seconds after the
others. FAULT=lost: one that never does. FAULT=<slide_id>: an exception in whichever worker process has that slide.
FAULT=dies-<slide_id>: that process is killed.
"""

import os
import signal
import time
from collections.abc import Callable

from hypoxia_hpc.cli import app
from hypoxia_hpc.records import Slide, TileWork
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.tile import TileStage

FAULT = os.environ["FAULT"]
SECONDS = {"late": 3.0, "lost": 3600.0}
make = TileStage.make
slides = RunDir.slides


def slip(run: RunDir) -> tuple[Slide, ...]:
    raise KeyError("a slip of ours")


def slides_later(run: RunDir) -> tuple[Slide, ...]:
    time.sleep(SECONDS[FAULT])
    return slides(run)


def make_but_one(work: TileStage, slide: Slide, key: str, tick: Callable[[int], None]) -> TileWork:
    if slide.slide_id == FAULT:
        raise KeyError("a slip of ours")
    if f"dies-{slide.slide_id}" == FAULT:
        os.kill(os.getpid(), signal.SIGKILL)
    return make(work, slide, key, tick)


# Real ranks and workers, which import this file: nothing but an attribute can put a fault into them.
TileStage.make = make_but_one  # type: ignore[method-assign]
if FAULT == "rank":
    RunDir.slides = slip  # type: ignore[method-assign]
if FAULT in SECONDS:
    RunDir.slides = slides_later  # type: ignore[method-assign]

if __name__ == "__main__":
    app.main()
