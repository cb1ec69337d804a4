"""The command line with a fault in it. Run by test_mpi.py; worker processes import this file again.

FAULT=rank: an exception nobody foresaw in the process of one rank. FAULT=<slide_id>: the same in whichever worker
process has that slide.
"""

import os
from collections.abc import Callable

from hypoxia_hpc import cli
from hypoxia_hpc.records import Json, Slide
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.stages.tile import TileWork

FAULT = os.environ["FAULT"]
make = TileWork.make


def slip(run: RunDir) -> tuple[Slide, ...]:
    raise KeyError("a slip of ours")


def make_but_one(work: TileWork, slide: Slide, key: str, tick: Callable[[int], None]) -> Json:
    if slide.slide_id == FAULT:
        raise KeyError("a slip of ours")
    return make(work, slide, key, tick)


TileWork.make = make_but_one  # type: ignore[method-assign]
if FAULT == "rank":
    RunDir.slides = slip  # type: ignore[method-assign]

if __name__ == "__main__":
    cli.main()
