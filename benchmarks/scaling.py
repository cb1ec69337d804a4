"""Two MPI ranks of one worker each against one, tiling the same slides: python benchmarks/scaling.py [--quick]

The command line as users run it (``mpiexec … hypoxia-hpc tile RUN --workers 1 --mpi``), every rank on a core of its
own. Its gain is set against what the bare decoder gains from a second process in the same round. Beginning and end are
left out (Python, MPI, the first slide's kernels, the last slide, which one rank alone has): what the same command takes
for a few slides is subtracted from what it takes for many. The gain with them is printed beside.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from figures import Figure, Report, slides_dir
from one_core import Bench
from pool import pool, seconds
from worker import fastest_decoder, scratch

from hypoxia_hpc.bench.rounds import Lap, usable_cores
from hypoxia_hpc.bench.scaling_runs import processor_seconds
from hypoxia_hpc.config import preset
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.workers.heartbeat import read_heartbeats

TARGET = 0.95
MPIEXEC = Path(sys.executable).with_name("mpiexec")
FEW, MANY, QUICK_MANY = 8, 48, 32
DECODED = 5


@dataclass(frozen=True, slots=True)
class Tiled:
    """The command on many slides and on a few; ``idle`` is the share of the time with many that workers had none."""

    many: Lap
    few: Lap
    idle: float

    @property
    def work(self) -> float:
        """Seconds without those of beginning and end."""
        return self.many.clock - self.few.clock


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of many links to one slide and of a few."""

    many: RunDir
    few: RunDir

    def tiled(self, cores: Sequence[int]) -> Tiled:
        """Tile all slides of both anew by a rank on each of these cores."""
        few, many = timed(self.few, cores), timed(self.many, cores)
        files = read_heartbeats(self.many)
        spent = [(sum(file.busy_seconds), sum(file.idle_seconds)) for file in files if file.state == "ended"]
        at_work, idle = map(sum, zip(*spent, strict=True))
        return Tiled(many, few, idle / (at_work + idle))


def timed(run: RunDir, cores: Sequence[int]) -> Lap:
    """Seconds that tiling all slides of a run anew takes, and of the processor in all its processes."""
    for made in ("tiles", "receipts/tile", "running"):
        with suppress(FileNotFoundError):
            shutil.rmtree(run.root / made)
    tile = [sys.executable, "-m", "hypoxia_hpc", "tile", str(run.root), "--workers", "1", "--mpi"]
    ranks = [["-n", "1", "taskset", "-c", str(core), *tile] for core in cores]
    command = [str(MPIEXEC), *ranks[0], *(word for rank in ranks[1:] for word in (":", *rank))]
    clock, processor = time.perf_counter(), processor_seconds()
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return Lap(time.perf_counter() - clock, processor_seconds() - processor)


def new_run(bench: Bench, folder: Path, n_slides: int) -> RunDir:
    """A run of several links to one slide, which keeps no pixels: disks do not get faster with processes."""
    (folder / "slides").mkdir(parents=True)
    for number in range(n_slides):
        os.link(bench.slide("jpeg-20x"), folder / "slides" / f"S{number:02d}.svs")
    run = RunDir(folder / "run")
    init(run, preset("hypoxia", {"tile": {"pixels": "none"}}), folder / "slides")
    return run


def two_ranks(bench: Bench) -> None:
    name = "two one-worker ranks against one, as a share of what the bare decoder gains"
    cores, path = usable_cores()[:2], bench.slide("jpeg-20x")
    if len(cores) < 2:
        bench.report.add(Figure(name, None, "%", TARGET, note="needs two cores"))
        return
    rounds = []
    with scratch(bench) as folder, pool(path, fastest_decoder(path), cores) as ends:
        n_many = QUICK_MANY if bench.quick else MANY
        runs = Runs(new_run(bench, folder / "many", n_many), new_run(bench, folder / "few", FEW))
        timed(runs.few, cores)  # compiles the kernels, and has the file in memory
        for _ in range(bench.rounds):
            # One rank's time is the mean of the two cores': they need not be equally fast.
            alone = runs.tiled(cores[:1]), runs.tiled(cores[1:])
            rounds.append(Round(*alone, runs.tiled(cores), decoder_gain(ends)))
            bench.report.say(rounds[-1].line())
    bench.report.add(
        Figure(name, statistics.median(one.gain / one.decoder_gain for one in rounds), "%", TARGET),
        Figure("two one-worker ranks against one", statistics.median(one.gain for one in rounds)),
        Figure(
            f"the same on {n_many} slides, beginning and end included", statistics.median(r.gain_of_all for r in rounds)
        ),
    )


@dataclass(frozen=True, slots=True)
class Round:
    """One rank on either core, two ranks on both, and what two decoders gain over one."""

    first: Tiled
    second: Tiled
    both: Tiled
    decoder_gain: float

    @property
    def gain(self) -> float:
        return (self.first.work + self.second.work) / 2 / self.both.work

    @property
    def gain_of_all(self) -> float:
        return (self.first.many.clock + self.second.many.clock) / 2 / self.both.many.clock

    @property
    def busy(self) -> float:
        """Share of the clock's time in which one rank alone had its core; less than 1 where others computed there."""
        alone = [self.first.many, self.second.many]
        return sum(lap.processor for lap in alone) / sum(lap.clock for lap in alone)

    def line(self) -> str:
        return (
            f"  one rank {self.first.work:.1f} s and {self.second.work:.1f} s, two {self.both.work:.1f} s (beside "
            f"{self.both.few.clock:.1f} s for {FEW} slides; workers idle {self.both.idle:.1%}); gain {self.gain:.2f}, "
            f"of the decoder {self.decoder_gain:.2f}; the processor was ours for {self.busy:.0%} of one rank's time"
        )


def decoder_gain(ends: Sequence[Connection]) -> float:
    """As many slides as a core decodes in some seconds, by one process and by two at a time."""
    alone = both = 0.0
    for _ in range(DECODED):
        alone += seconds(ends[:1], "decoder") + seconds(ends[1:], "decoder")
        both += seconds(ends, "decoder")
    return alone / both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller slide, fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found, and the machine, there")
    parser.add_argument("--slides-dir", type=Path, default=slides_dir(), help=f"where slides are ({slides_dir()})")
    arguments = parser.parse_args()
    bench = Bench(Report(), arguments.slides_dir, arguments.quick, 3 if arguments.quick else 5)
    bench.folder.mkdir(parents=True, exist_ok=True)
    bench.report.say(f"{bench.report.machine}")
    two_ranks(bench)
    bench.report.say(f"load average before {bench.report.machine['load_average']}, after {os.getloadavg()}")
    bench.report.table()
    if arguments.json:
        bench.report.write(arguments.json)


if __name__ == "__main__":
    main()
