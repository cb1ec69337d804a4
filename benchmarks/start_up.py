"""What `hypoxia-hpc tile` of one slide takes from the command on: python benchmarks/start_up.py [--before CHECKOUT]

In paired rounds: the command until its first native tile is decoded and until its end, the DeepZoom loop in a process
of its own, and what no change of ours can undercut: Python, numpy and numba alone. ``--before``: another checkout,
whose command takes part, too.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

HERE, MARK = Path(__file__).resolve(), "HYPOXIA_BENCHMARK_MARK"
DECODERS = "hypoxia_hpc.slides.decoders"
ROUNDS, QUICK_ROUNDS = 10, 3
MOST_SECONDS_TO_FIRST, LEAST_TIMES_DEEPZOOM = 1.2, 3.0
FLOORS = {"python": "pass", "python, numpy and numba": "import numpy, numba"}


class Marking(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """In a worker: writes down when the first native tile is decoded. Imports nothing before it would be imported."""

    def __init__(self) -> None:
        self.spec: ModuleSpec | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != DECODERS:
            return None
        sys.meta_path.remove(self)
        self.spec = importlib.util.find_spec(fullname)
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        assert self.spec is not None and self.spec.loader is not None  # noqa: S101
        self.spec.loader.exec_module(module)
        codec_of = module.codec_of

        def marked(*arguments: object, **options: object) -> object:
            codec = codec_of(*arguments, **options)
            return codec._replace(decode=noted(codec.decode))

        module.codec_of = marked


def noted(decode: Callable[..., int]) -> Callable[..., int]:
    """Decodes, and after the first call notes the clock and this process's own time."""
    mark = Path(os.environ[MARK])

    def first(*arguments: object) -> int:
        form = decode(*arguments)
        if not mark.exists():
            mark.write_text(f"{time.monotonic()} {time.process_time()}")
        return form

    return first


if __name__ == "__mp_main__" and MARK in os.environ:
    sys.meta_path.insert(0, Marking())


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds of one command by the clock and of the processor, and until its first native tile (worker alone: of the
    processor)."""

    clock: float
    processor: float
    first: float = 0.0
    worker: float = 0.0


def timed(command: Sequence[str | Path], mark: Path, package: Path | None = None) -> Start:
    """Run a command in a Python of its own, with the package of a checkout. Raises CalledProcessError."""
    mark.unlink(missing_ok=True)
    names = {MARK: str(mark)} | ({"PYTHONPATH": str(package)} if package else {})
    before, started = os.times(), time.monotonic()
    subprocess.run([sys.executable, *command], env=os.environ | names, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    ended, after = time.monotonic(), os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    if not mark.exists():
        return Start(ended - started, processor)
    first, worker = map(float, mark.read_text().split())
    return Start(ended - started, processor, first - started, worker)


def run_of(slide: Path, folder: Path) -> Path:
    """A run of this slide alone."""
    from hypoxia_hpc.progress import NoProgress
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.stages.demo import demo_config
    from hypoxia_hpc.stages.init import init

    (folder / "slides").mkdir()
    (folder / "slides" / slide.name).symlink_to(slide)
    run = folder / "run"
    init(
        RunDir(run),
        demo_config(1, trained=False),
        folder / "slides",
        patients=None,
        progress=NoProgress(),
        stop=threading.Event(),
    )
    return run


def tile(run: Path, package: Path, mark: Path) -> Start:
    """One `tile` of a run of which nothing is done."""
    for name in ("tiles", "receipts/tile"):
        shutil.rmtree(run / name, ignore_errors=True)
    return timed([HERE, "command", "tile", run], mark, package)


def deepzoom(slide: Path, run: Path) -> None:
    """The reference study's loop, as a process of its own does it."""
    import numpy as np

    from hypoxia_hpc.bench import delivery
    from hypoxia_hpc.bench.peers import DEEPZOOM
    from hypoxia_hpc.runs.directory import RunDir

    plan = delivery.plan_of(slide, RunDir(run).config().tile)
    tile_px = plan.tile_px
    DEEPZOOM.deliver(slide, plan, lambda: np.empty((tile_px, tile_px, 3), dtype=np.uint8))


def measure(works: Mapping[str, Callable[[], Start]], rounds: int) -> dict[str, list[Start]]:
    """One of each a round, another one first each time, after one of each that is not counted."""
    names = list(works)
    for name in names:
        works[name]()
    found: dict[str, list[Start]] = {name: [] for name in names}
    for number in range(rounds):
        lead = number % len(names)
        for name in names[lead:] + names[:lead]:
            found[name].append(works[name]())
    return found


def start_up(bench: object, before: Path | None) -> None:
    from figures import Bench, Figure

    from hypoxia_hpc.bench.slides import made, recipes

    assert isinstance(bench, Bench)  # noqa: S101
    slide = made(recipes(quick=bench.quick)["jpeg-20x"], bench.folder)
    with TemporaryDirectory() as name:
        folder = Path(name)
        run, mark = run_of(slide, folder), folder / "mark"
        packages = {"tile": HERE.parents[1]} | ({"tile, before": before} if before else {})
        works = {title: partial(tile, run, package, mark) for title, package in packages.items()}
        works["DeepZoom loop"] = partial(timed, [HERE, "deepzoom", slide, run], mark, HERE.parents[1])
        works |= {title: partial(timed, ["-c", code], mark) for title, code in FLOORS.items()}
        found = measure(works, bench.rounds)
    for title, starts in found.items():
        clock, processor, first, worker = (
            statistics.median(getattr(one, part) for one in starts)
            for part in ("clock", "processor", "first", "worker")
        )
        until = f"; first native tile after {first:.2f} s ({worker:.2f} s of the worker)" if first else ""
        bench.report.say(f"  {title:26}{clock:8.2f} s, {processor:.2f} s of the processor{until}")
    bench.report.add(
        Figure(
            "first native tile decoded",
            statistics.median(one.first for one in found["tile"]),
            "s",
            target=MOST_SECONDS_TO_FIRST,
            at_most=True,
        ),
        Figure(
            "the whole command against the DeepZoom loop",
            ratio(found, "DeepZoom loop", "tile", "clock"),
            target=LEAST_TIMES_DEEPZOOM,
            by_processor=ratio(found, "DeepZoom loop", "tile", "processor"),
        ),
        Figure(
            "first native tile against Python, numpy and numba alone",
            statistics.median(
                one.first / floor.clock for one, floor in zip(found["tile"], found[list(FLOORS)[-1]], strict=True)
            ),
        ),
    )
    if before:
        bench.report.add(
            Figure("first native tile, before against now", ratio(found, "tile, before", "tile", "first")),
            Figure(
                "the whole command, before against now",
                ratio(found, "tile, before", "tile", "clock"),
                by_processor=ratio(found, "tile, before", "tile", "processor"),
            ),
        )


def ratio(found: Mapping[str, Sequence[Start]], slower: str, faster: str, part: str) -> float:
    pairs = zip(found[slower], found[faster], strict=True)
    return statistics.median(getattr(one, part) / getattr(other, part) for one, other in pairs)


def main() -> None:
    from figures import Bench, Report, run_sections, slides_dir

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--slides-dir", type=Path, default=slides_dir())
    options = parser.parse_args()
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    bench = Bench(Report(), options.slides_dir, options.quick, rounds)
    run_sections(bench, {"start-up": partial(start_up, before=options.before)}, options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["command"]:
        from hypoxia_hpc.__main__ import main as run_command

        del sys.argv[1]
        run_command()
    elif sys.argv[1:2] == ["deepzoom"]:
        deepzoom(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
