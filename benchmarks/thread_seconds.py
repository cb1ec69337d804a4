"""What counting the seconds of threads costs: python benchmarks/thread_seconds.py BASE [--pairs N]

The real slide of the package to its tile store, with the package of BASE (a commit of before, or a folder with its
files; 4e258bb is the last one) and with this one, in turn on one core. Where a process has its memory changes its speed
for as long as it lives, by more than is looked for here: so there are several pairs of processes. Printed are medians
over the pairs of the time here over that of BASE, each with the interval that holds it with 95 % confidence.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compare import HERE, checkout

from hypoxia_hpc.bench.measuring import spread
from hypoxia_hpc.bench.rounds import on_one_core

SLIDE = HERE.parent / "hypoxia_hpc" / "slides" / "CMU-1-Small-Region.svs"
WARM, ROUNDS = 3, 20
# Tiles the slide for each line that it reads, and says how many seconds of the clock and of the processor it took.
WORKER = """
import shutil, sys, time
from pathlib import Path
from hypoxia_hpc.bench.delivery import into_store
from hypoxia_hpc.config import TileTable
slide, scratch = map(Path, sys.argv[1:])
for _ in sys.stdin:
    clock, processor = time.perf_counter(), time.process_time()
    into_store(slide, TileTable(), scratch)
    print(time.perf_counter() - clock, time.process_time() - processor, flush=True)
    shutil.rmtree(scratch / "tiles")
"""
Seconds = tuple[float, float]


@contextmanager
def worker(tree: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with the package of a tree."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-c", WORKER, str(SLIDE), scratch]
        environment = os.environ | {"PYTHONPATH": str(tree)}
        with subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=scratch
        ) as process:
            yield process


def lap(process: subprocess.Popen[str]) -> Seconds:
    """Seconds of the clock and of the processor for one slide."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the worker has no pipes")
    process.stdin.write("go\n")
    process.stdin.flush()
    clock, processor = map(float, process.stdout.readline().split())
    return clock, processor


def ratios(base: Path) -> Seconds:
    """Of the medians of one pair of processes: by the clock, and of the processor."""
    theirs: list[Seconds] = []
    ours: list[Seconds] = []
    with worker(base) as first, worker(HERE.parent) as second:
        for number in range(WARM + ROUNDS):
            turns = [(theirs, first), (ours, second)]
            for laps, process in turns[:: -1 if number % 2 else 1]:
                laps.append(lap(process))
    clock, processor = (
        statistics.median(one[at] for one in ours[WARM:]) / statistics.median(one[at] for one in theirs[WARM:])
        for at in (0, 1)
    )
    return clock, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE")
    parser.add_argument("--pairs", type=int, default=12)
    asked = parser.parse_args()
    with checkout(asked.base) as base, on_one_core():
        found = [ratios(base) for _ in range(asked.pairs)]
    for name, column in zip(("clock", "processor"), zip(*found, strict=True), strict=True):
        one = spread(list(column))
        print(f"{name}: {one.value:.4f} ({one.low:.4f} to {one.high:.4f}) of the time of {asked.base}")


if __name__ == "__main__":
    main()
