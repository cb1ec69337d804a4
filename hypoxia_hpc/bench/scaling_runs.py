"""Scaling, measured: `tile` as a process of its own on as many cores as it has workers, sizes in turn, in a copy of the
run's run.toml and slides.csv. The run itself is read and never written."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hypoxia_hpc.bench.case import require
from hypoxia_hpc.bench.environment import Environment, environment
from hypoxia_hpc.bench.rounds import LOOK_SECONDS, on_cores, usable_cores
from hypoxia_hpc.bench.running import SLIDES
from hypoxia_hpc.bench.scaling import Plan, SizeLap, curve, evenly, load_of, sizes_up_to, slides_of_sizes
from hypoxia_hpc.bench.scaling_records import By, Mode, ScalingRecord, Task
from hypoxia_hpc.bench.slides import made, recipes
from hypoxia_hpc.cohorts.tables import read_columns, slides_csv
from hypoxia_hpc.config import RunConfig, preset, render_config
from hypoxia_hpc.config.paths import COHORT
from hypoxia_hpc.config.text_paths import text_of_path
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError, Stopped, some, some_names
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Receipt, Slide
from hypoxia_hpc.runs.device_time import threads_of
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stages.tile import STAGE
from hypoxia_hpc.stores.commit import committed_file, machine_errors, make_folder
from hypoxia_hpc.workers.heartbeat import read_heartbeats

# Of a generated cohort: enough that start and end of the command (1.2 s) are less than a tenth of its time with one
# worker, 0.36 s a slide on a core of a Xeon of family 6, model 207.
LEAST_SLIDES, SLIDES_A_CORE = 40, 8
QUARANTINED, STOPPED, LAST_LINES = 3, 75, 5


@dataclass(frozen=True, slots=True)
class Asked:
    """``run``: whose slides are tiled; None: a generated cohort. ``n_slides`` of them; None: all of the run's, or as
    many as the cores ask for."""

    run: Path | None
    n_slides: int | None
    mode: Mode
    by: By
    rounds: int


def measure_scaling(asked: Asked, folder: Path, *, progress: Progress, stop: threading.Event) -> ScalingRecord:
    """The curve from one core to all of them. What is written below ``folder`` is deleted, but for the one slide of a
    generated cohort.

    Raises InputError, NotReadyError where `tile` fails, WrongAnswerError, MachineError; Stopped on request.
    """
    sizes = sizes_up_to(len(usable_cores()))
    launcher = mpiexec() if asked.by == "ranks" else None
    with machine_errors(folder):
        make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-bench-") as scratch:
            run = workload(asked, Path(scratch), folder / SLIDES, max(sizes))
            return measured(asked, sizes, Tiling(run, launcher, stop), progress, folder)


def mpiexec() -> Path:
    """The one beside this Python, else that of the search path. Raises MachineError."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise MachineError(
            "there is no mpiexec beside this Python or in PATH", remedy="pip install mpich mpi4py, or leave out --ranks"
        )
    return Path(found)


class Tiled(Protocol):
    """A way to tile slides of a run by a number of workers, ranks or array elements."""

    @property
    def run(self) -> RunDir:
        """Whose slides."""

    @property
    def task(self) -> Task | None:
        """The size of an array element; None for workers and ranks."""

    def lap(self, size: int, slides: Sequence[Slide]) -> SizeLap:
        """Tile these slides anew by ``size`` workers, ranks or array elements."""

    def receipts(self, slides: Sequence[Slide]) -> dict[str, Receipt]:
        """Those of the slides that have tiles since the last lap, by id."""

    def environment(self, folder: Path) -> Environment:
        """What it is measured on."""


def measured(asked: Asked, sizes: Sequence[int], tiling: Tiled, progress: Progress, folder: Path) -> ScalingRecord:
    """The curve over these sizes. Raises InputError, NotReadyError, WrongAnswerError, MachineError, Stopped."""
    progress.begin("scaling", 1 + asked.rounds * len(sizes), 1 + asked.rounds * len(sizes), "measurement")
    try:
        slides = _chosen(tiling.run.slides(), asked.n_slides)
        slides_of_sizes(asked.mode, slides, sizes)  # refuses too few of them before any is tiled
        receipts = _warmed(tiling, slides, max(sizes), progress)
        kept = [slide for slide in slides if slide.slide_id in receipts]
        of_sizes = slides_of_sizes(asked.mode, kept, sizes)
        plan = Plan(asked.mode, asked.by, "run" if asked.run else "generated", asked.rounds, of_sizes, tiling.task)
        laps = _laps(plan, tiling, receipts, progress)
    finally:
        progress.end()
    rows = {slide_id: receipt.rows for slide_id, receipt in receipts.items()}
    loads = {size: load_of(own, rows) for size, own in of_sizes.items()}
    return curve(plan, loads, laps, tiling.environment(folder))


def _chosen(slides: Sequence[Slide], n: int | None) -> list[Slide]:
    """That many slides, from the costliest to the cheapest alike; all of them where it is not said. Raises
    InputError."""
    ordered = sorted(slides, key=lambda slide: slide.cost, reverse=True)
    if n is not None and n > len(ordered):
        raise InputError(f"--slides {n}: the run has {some(len(ordered), 'slide')}", remedy="ask for fewer, or for all")
    return evenly(ordered, n or len(ordered))


def _warmed(tiling: Tiled, slides: Sequence[Slide], size: int, progress: Progress) -> dict[str, Receipt]:
    """Tile all slides once, untimed: kernels are compiled, files in the page cache. Receipts of those that have tiles,
    by id; the others are named and left out. Raises NotReadyError."""
    progress.note(f"tiling {some(len(slides), 'slide')} once, untimed")
    tiling.lap(size, slides)
    receipts = tiling.receipts(slides)
    progress.item(1)
    if others := sorted({slide.slide_id for slide in slides} - receipts.keys()):
        left_out = some(len(others), "slide")
        progress.note(f"left out, because tile puts them in quarantine: {left_out} ({some_names(others)})")
    return receipts


def _laps(plan: Plan, tiling: Tiled, expected: Mapping[str, Receipt], progress: Progress) -> dict[int, list[SizeLap]]:
    """Laps of all sizes, one a round; another one is first in each round. Every lap's tiles are counted."""
    sizes = sorted(plan.slides)
    laps: dict[int, list[SizeLap]] = {size: [] for size in sizes}
    for number in range(plan.rounds):
        first = number % len(sizes)
        for size in sizes[first:] + sizes[:first]:
            own = plan.slides[size]
            laps[size].append(tiling.lap(size, own))
            rows = {slide_id: receipt.rows for slide_id, receipt in tiling.receipts(own).items()}
            require(
                rows == {one.slide_id: expected[one.slide_id].rows for one in own},
                f"{size} at a time make other tiles of the same slides than the first run made",
            )
            progress.item(1)
    return laps


@dataclass(frozen=True, slots=True)
class Tiling:
    """The command `tile` on a run of ours, by workers, or by MPI ranks of one worker each."""

    run: RunDir
    launcher: Path | None
    stop: threading.Event
    task: None = None

    def lap(self, size: int, slides: Sequence[Slide]) -> SizeLap:
        """Tile these slides anew on ``size`` cores. Raises NotReadyError, Stopped."""
        for made_before in ("tiles", "receipts/tile", "running"):
            shutil.rmtree(self.run.root / made_before, ignore_errors=True)
        wanted = self.run.root / "wanted.txt"
        wanted.write_text("".join(f"{slide.slide_id}\n" for slide in slides), encoding="utf-8")
        with on_cores(size):
            clock, processor = time.perf_counter(), processor_seconds()
            code, said = self._run(self.command(size, wanted))
            clock, processor = time.perf_counter() - clock, processor_seconds() - processor
        self._refuse_failed(code, said)
        return self._lap(clock, processor, slides)

    def _run(self, command: Sequence[str]) -> tuple[int, str]:
        """Exit code of the command, and what it said on stderr. A stop is passed on to it, once: two stop at once."""
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
            is_told = False
            try:
                while True:
                    with suppress(subprocess.TimeoutExpired):
                        said = process.communicate(timeout=LOOK_SECONDS)[1]
                        return process.returncode, said
                    if self.stop.is_set() and not is_told:
                        process.terminate()
                        is_told = True
            except BaseException:
                process.kill()
                raise

    def command(self, size: int, wanted: Path) -> list[str]:
        """`tile` of the slides named in a file, by ``size`` workers or ranks."""
        tile = [sys.executable, "-m", "hypoxia_hpc", "tile", str(self.run.root), "--slides-from", str(wanted)]
        if self.launcher is None:
            return [*tile, "--workers", str(size)]
        return [str(self.launcher), "-n", str(size), *tile, "--workers", "1", "--mpi"]

    def receipts(self, slides: Sequence[Slide]) -> dict[str, Receipt]:
        """Those of slides that have tiles, by id."""
        return done_receipts(self.run, slides)

    def environment(self, folder: Path) -> Environment:
        """That of this machine."""
        return environment(folder)

    def _lap(self, clock: float, processor: float, slides: Sequence[Slide]) -> SizeLap:
        told = read_heartbeats(self.run)
        busy, idle = (sum(sum(getattr(one, f"{name}_seconds")) for one in told) for name in ("busy", "idle"))
        done = self.receipts(slides).values()
        return SizeLap(clock, processor, busy, idle, sum(one.seconds for one in done), threads_of(done))

    def _refuse_failed(self, code: int, said: str) -> None:
        if self.stop.is_set() or code == STOPPED:
            raise Stopped("stopped on request; nothing was kept", remedy="give the command again: it begins anew")
        if code not in (0, QUARANTINED):
            last = "\n".join(said.strip().splitlines()[-LAST_LINES:])
            raise NotReadyError(
                f"tile ended with {code} and said: {last}", remedy="mend what it says, then measure again"
            )


def done_receipts(run: RunDir, slides: Sequence[Slide]) -> dict[str, Receipt]:
    """Of these slides those that a run has tiles of, by id."""
    found = {slide.slide_id: read_receipt(run.receipts(STAGE), slide.slide_id) for slide in slides}
    return {slide_id: one for slide_id, one in found.items() if one is not None and one.status == "done"}


def processor_seconds() -> float:
    """Of all processes so far that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def workload(asked: Asked, scratch: Path, slides_folder: Path, n_cores: int) -> RunDir:
    """A run directory of ours: a copy of the user's tables, or links to one generated slide."""
    if asked.run is not None:
        return copied_run(RunDir(asked.run), scratch / "run")
    n_slides = asked.n_slides or max(LEAST_SLIDES, SLIDES_A_CORE * n_cores)
    links = scratch / "slides"
    links.mkdir()
    slide = made(recipes(quick=True)["jpeg-20x"], slides_folder)
    for number in range(n_slides):
        os.link(slide, links / f"S{number:05d}.svs")
    run = RunDir(scratch / "run")
    init(run, preset("hypoxia", {}), links)
    return run


def copied_run(run: RunDir, folder: Path) -> RunDir:
    """What `tile` reads of a run, in a folder of its own: run.toml and slides.csv with absolute paths, and images.csv.
    Raises InputError."""
    config, slides = run.config(), run.slides()
    copy = RunDir(folder)
    paths = [text_of_path(slide.path) for slide in slides]
    committed_file(copy.slides_file, slides_csv(read_columns(run.slides_file).assign(path=paths)).encode())
    if run.images_file.exists():
        shutil.copyfile(run.images_file, copy.images_file)
    committed_file(copy.config_file, render_config(_with_own_stain(config, run)).encode())
    return copy


def _with_own_stain(config: RunConfig, run: RunDir) -> RunConfig:
    """The cohort's stain is asked for again where the run itself has not made it yet."""
    stain = config.tile.stain
    if stain.reference != str(run.stain_file.absolute()) or run.stain_file.exists():
        return config
    own = config.tile.model_copy(update={"stain": stain.model_copy(update={"reference": COHORT})})
    return config.model_copy(update={"tile": own})
