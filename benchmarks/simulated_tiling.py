"""Real tiling on the live test cluster, and simulated: from how long the slides of one run took follows how long
another one takes.

At most two elements of one worker run at once, for the machine has two cores.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from figures import slides_dir
from simulated_cluster import CORES, FILES, HOLD_SECONDS, NODES, NOTICE_SECONDS, Measured, accounted, own

from hypoxia_hpc.bench.slides import made, recipes
from hypoxia_hpc.config import preset
from hypoxia_hpc.monitoring.remaining import remaining
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import read_receipt
from hypoxia_hpc.simulation.cluster import Cluster, Controller, StartUp
from hypoxia_hpc.simulation.run import simulate
from hypoxia_hpc.simulation.work import SlideWork
from hypoxia_hpc.slurm.sizing import chain_of, slide_requests
from hypoxia_hpc.stages.init import init

from live_cluster import Cluster as LiveCluster  # isort: skip - simulated_cluster says where it is

KINDS = ("jpeg-20x", "jpeg-40x", "jpeg2000-20x")
KNOWN, ASKED = 9, 48
AT_ONCE, ELEMENTS, LONGEST = 2, 6, 1200.0
SLURM = {"cpus": 1, "memory_gb": 1.0, "hours": 1e-6, "throttle": AT_ONCE, "most_elements": ELEMENTS}

# Pixels of all these slides would fill a disk.
SETTINGS = {"tile": {"pixels": "none"}, "extract": {"weights": "random"}, "site": {"slurm": SLURM}}


def compared_tiling(live: LiveCluster, submit: float, free: float) -> dict[str, Any]:
    """Seconds of tile as measured and as simulated. ``submit``, ``free``: of the cluster, as measured with jobs that
    sleep; what a task takes to start is measured here."""
    _, first = _tiled(live, "known", KNOWN)  # in it kernels are compiled
    known, again = _tiled(live, "measured", KNOWN)
    run, found = _tiled(live, "asked", ASKED)
    start_up = _start_up(known, again)
    begin, end = found.time_of("tile")
    makes = _simulated(run, _pace(known), start_up, submit, free)
    return {
        "slides": ASKED,
        "known": KNOWN,
        "start_up": round(start_up, 1),
        "seconds_of_first": round(first.seconds, 1),
        "measured": round(end - begin, 1),
        "simulated": round(makes, 1),
        "off": round(makes / (end - begin) - 1, 3),
        "load_average": [round(one, 1) for one in os.getloadavg()],
    }


def _tiled(live: LiveCluster, name: str, n: int) -> tuple[RunDir, Measured]:
    """A run whose slides are tiled by ``submit``, and when its elements ran."""
    run = _new_run(live, live.folder / name, n)
    command = [sys.executable, "-m", "hypoxia_hpc", "submit", run.root, "--upto", "tile"]
    live.run(command, check=True, timeout=120)
    jobs = [file.stem for file in (run.root / "slurm" / "jobs").glob("*.json")]
    for job in jobs:
        live.wait(job, LONGEST, hurry=False)
    rows = accounted(live, jobs)
    least = min(begin for _, begin, _ in rows)
    found = Measured([("tile", begin - least, end - least) for _, begin, end in rows], 0.0)
    undone = [slide.slide_id for slide in run.slides() if _receipt(run, slide.slide_id) is None]
    if undone:
        raise RuntimeError(f"{run.root}: not tiled: {', '.join(undone)}")
    return run, found


def _new_run(live: LiveCluster, folder: Path, n: int) -> RunDir:
    (folder / "slides").mkdir(parents=True)
    files = [made(recipes(quick=False)[kind], slides_dir()) for kind in KINDS]
    for number in range(n):
        shutil.copy(files[number % len(files)], folder / "slides" / f"S{number:02d}.svs")
    run = RunDir(folder / "run")
    init(run, preset("hypoxia", SETTINGS), folder / "slides")
    own(live, folder)
    return run


def _receipt(run: RunDir, slide_id: str) -> Receipt | None:
    return read_receipt(run.receipts("tile"), slide_id)


def _seconds(run: RunDir) -> dict[str, float]:
    found = {slide.slide_id: _receipt(run, slide.slide_id) for slide in run.slides()}
    return {slide_id: receipt.seconds for slide_id, receipt in found.items() if receipt is not None}


def _pace(run: RunDir) -> float:
    """Seconds per unit of cost."""
    return sum(_seconds(run).values()) / sum(slide.cost for slide in run.slides())


def _start_up(run: RunDir, found: Measured) -> float:
    """What an element takes beside its slides."""
    whole = sum(end - begin for _, begin, end in found.starts)
    return (whole - sum(_seconds(run).values())) / len(found.starts)


def _simulated(run: RunDir, pace: float, start_up: float, submit: float, free: float) -> float:
    """As submit would send it now, had nothing been done: from its first begin to its end."""
    slides, config = run.slides(), run.config()
    ids = {"tile": frozenset(slide.slide_id for slide in slides)}
    paces = remaining(run, retry=False, only_to_show=True).pace
    jobs = chain_of(slide_requests(slides, ids, {"tile": None}, paces, config.site.slurm), 1001)
    work = {"tile": {slide.slide_id: SlideWork(slide.slide_id, pace * slide.cost) for slide in slides}}
    controller = Controller(submit, 0.0, free, HOLD_SECONDS, NOTICE_SECONDS)
    cluster = Cluster(len(NODES), CORES, 0, controller, FILES, {"tile": StartUp(start_up)})
    times = simulate(jobs, slides, work, cluster, config.site.slurm).times["tile"]
    return times.end - times.begin
