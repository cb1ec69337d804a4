"""Chains of sleeping jobs on the live test cluster, and the same chains simulated: set-ups, runs, comparison.

The job script, its requeues, shares, worker processes and calls of sbatch are those of hypoxia-hpc; ``sleeping.py``
stands for the work. What the cluster itself takes (start of a job, time between two) is measured in a chain of its own.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "tests" / "cluster"), str(HERE.parent / "tests")]

from chains import own  # noqa: E402
from live_cluster import Cluster as LiveCluster  # noqa: E402

from hypoxia_hpc.config import SiteTable, SlurmTable  # noqa: E402
from hypoxia_hpc.records import Slide  # noqa: E402
from hypoxia_hpc.runs.rates import Figure  # noqa: E402
from hypoxia_hpc.simulation.cluster import Cluster, Controller, FileSystem, Outage, StartUp  # noqa: E402
from hypoxia_hpc.simulation.run import Simulated, simulate  # noqa: E402
from hypoxia_hpc.simulation.work import SlideWork  # noqa: E402
from hypoxia_hpc.slurm.chain import Job, Plan  # noqa: E402
from hypoxia_hpc.slurm.resources import within  # noqa: E402
from hypoxia_hpc.slurm.script import job_script  # noqa: E402
from hypoxia_hpc.slurm.sizing import chain_of, slide_requests  # noqa: E402

NODES = ("n1", "n2")
CORES = 2
# SLURM holds a requeued job for the life of its credential (AuthInfo, cred_expire) and a second.
HOLD_SECONDS = 121.0
# A node counts as down after SlurmdTimeout of tests/cluster/live/slurm.conf, and is looked at every third of that.
NOTICE_SECONDS = 17.5
STAGES = ("tile", "extract")
LONGEST = 900.0
# Time limits are looked at every 30 s, and the signal before one comes up to that much too early.
EARLY_SECONDS = 15.0
# Sleeping loads no file system.
FILES = FileSystem(1e12, 1e12, 1e9)


@dataclass(frozen=True, slots=True)
class Setup:
    """A chain: seconds of each slide in ``tile`` (those of ``extract`` are ``extract`` times as long), how far they are
    from what their cost says (a log-normal's sigma), and what [site.slurm] says. ``minutes``: time limit, where it is
    to be shorter than what submit asks for; ``slow``: factor of the time on a node; ``dies_at``: seconds after which
    node n2 loses its power; ``back_after``: seconds until it is back."""

    name: str
    seconds: Sequence[float]
    table: SlurmTable
    extract: float = 1.0
    scatter: float = 0.0
    minutes: int | None = None
    slow: Mapping[str, float] = field(default_factory=dict)
    dies_at: float | None = None
    back_after: float = 60.0

    @property
    def slides(self) -> list[Slide]:
        return [
            Slide(f"s{number:03d}", Path("/"), f"p{number}", round(1000 * one))
            for number, one in enumerate(self.seconds)
        ]

    def times(self) -> dict[str, dict[str, float]]:
        """By stage and slide: the seconds that it sleeps."""
        drawn = random.Random(self.name)  # noqa: S311
        factors = [math.exp(self.scatter * drawn.gauss(0, 1)) for _ in self.seconds]
        pairs = [*zip(self.slides, factors, strict=True)]
        return {
            stage: {slide.slide_id: round(pace * slide.cost / 1000 * factor, 3) for slide, factor in pairs}
            for stage, pace in zip(STAGES, (1.0, self.extract), strict=True)
        }

    def jobs(self) -> list[Job]:
        """As submit makes them."""
        ids = frozenset(slide.slide_id for slide in self.slides)
        paces = [Figure(pace / 1000, pace / 1000, pace / 1000, "stated") for pace in (1.0, self.extract)]
        requests = slide_requests(
            self.slides,
            dict.fromkeys(STAGES, ids),
            dict.fromkeys(STAGES, None),
            dict(zip(STAGES, paces, strict=True)),
            self.table,
        )
        limited = requests if self.minutes is None else [within(one, self.minutes) for one in requests]
        return chain_of(limited, 1001)


def table(parts_of_seconds: float, **settings: Any) -> SlurmTable:
    """[site.slurm] by which a part has that many seconds of work."""
    chosen = {"cpus": 1, "memory_gb": 0.5, "stop_seconds": 20, **settings}
    return SlurmTable.model_validate({"hours": parts_of_seconds / 3600, **chosen})


def uneven(n: int, low: float, high: float, seed: int) -> list[float]:
    drawn = random.Random(seed)  # noqa: S311
    return [round(drawn.uniform(low, high), 1) for _ in range(n)]


CALIBRATION = Setup("calibration", [8.0] * 12, table(8.0))
SETUPS = (
    Setup("two parts of two workers", uneven(32, 3, 9, 1), table(50, cpus=2)),
    Setup("eight parts of one worker", uneven(40, 4, 12, 2), table(42)),
    Setup("many small parts", uneven(48, 2, 6, 3), table(19), extract=1.5),
    Setup("at most two elements at once", uneven(32, 3, 9, 4), table(26, throttle=2)),
    Setup("one slide as long as a quarter of the rest", [90.0, *uneven(40, 4, 12, 5)], table(55)),
    Setup("slides that take other times than their costs say", uneven(40, 4, 12, 6), table(42), scatter=0.5),
    Setup("a node half as fast", uneven(40, 4, 12, 7), table(42), slow={"n2": 2.0}),
    Setup("a node that loses its power", uneven(40, 4, 12, 8), table(42), dies_at=40.0),
    Setup("a time limit, and requeues", uneven(40, 6, 10, 9), table(108), extract=0.5, minutes=2),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Of every start of an element its stage, and when it began and ended, in seconds from the first call of sbatch;
    the seconds that a call of sbatch took."""

    starts: Sequence[tuple[str, float, float]]
    submit: float

    def time_of(self, stage: str) -> tuple[float, float]:
        """Its first begin and last end."""
        found = [one for one in self.starts if one[0] == stage]
        return min(one[1] for one in found), max(one[2] for one in found)

    @property
    def seconds(self) -> float:
        return max(end for *_, end in self.starts)


def measured(live: LiveCluster, setup: Setup) -> Measured:
    """Send the chain of a set-up and wait for its end."""
    folder = live.folder / setup.name.replace(" ", "-")
    plan = _written(live, folder, setup)
    began = time.time()
    names = [call.name for call in plan.calls()]
    lines = ["set -e", *plan.commands(), *(f"echo ${name}" for name in names)]
    ids = live.run(["bash", "-c", "\n".join(lines)], check=True, timeout=120).stdout.split()
    submit = (time.time() - began) / len(ids)
    _kill_node(live, setup, began)
    for job in ids:
        live.wait(job, LONGEST, hurry=False)
    stage_of = {job: name.rpartition("_")[0] for name, job in zip(names, ids, strict=True)}
    starts = [(stage_of[job], start - began, end - began) for job, start, end in accounted(live, ids)]
    undone = [stage for stage in STAGES if len([*(folder / "done" / stage).iterdir()]) != len(setup.seconds)]
    if undone:
        raise RuntimeError(f"{setup.name}: not all slides of {', '.join(undone)} are done, see {plan.logs}")
    return Measured(starts, submit)


def _written(live: LiveCluster, folder: Path, setup: Setup) -> Plan:
    """All that its jobs need, in a folder of the cluster's user."""
    folder.mkdir()
    program = folder / "hypoxia-hpc"
    shutil.copy(HERE / "sleeping.py", folder / "sleeping.py")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {folder / "sleeping.py"} "$@"\n')
    program.chmod(0o755)
    slow = {node: setup.slow.get(node, 1.0) for node in NODES}
    costs = {slide.slide_id: slide.cost for slide in setup.slides}
    (folder / "asleep.json").write_text(json.dumps({"costs": costs, "seconds": setup.times(), "slow": slow}))
    text = job_script(folder, str(program), None, [], SiteTable(slurm=setup.table), retry=False)
    plan = Plan(folder, setup.table, text, tuple(setup.jobs()), (), "now")
    plan.logs.mkdir(parents=True)
    plan.script.write_text(text)
    own(live, folder)
    return plan


def _kill_node(live: LiveCluster, setup: Setup, began: float) -> None:
    if setup.dies_at is None:
        return
    time.sleep(max(0.0, began + setup.dies_at - time.time()))
    live.crash_node("n2")
    threading.Timer(setup.back_after, live.restart_node, ["n2"]).start()


def accounted(live: LiveCluster, ids: Sequence[str]) -> list[tuple[str, float, float]]:
    """Job, begin and end of every start of every element, also of those that were requeued, as accounting knows it."""
    deadline = time.monotonic() + 60
    while True:
        command = ["sacct", "-D", "-n", "-P", "-X", "--format=JobID,Start,End", f"--jobs={','.join(ids)}"]
        rows = [line.split("|") for line in live.run(command, check=True).stdout.splitlines()]
        ran = [row for row in rows if row[1][:1].isdigit()]
        if rows and all(row[2][:1].isdigit() for row in ran):
            return [(job.partition("_")[0], _seconds(start), _seconds(end)) for job, start, end in ran]
        if time.monotonic() > deadline:
            raise TimeoutError(f"accounting does not know the ends of all of {ids}: {rows}")
        time.sleep(2)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What the cluster takes, in seconds: as of `Controller` and `StartUp`."""

    submit: float
    start: float
    free: float
    start_up: float


def calibrated(found: Measured, setup: Setup) -> Calibrated:
    """From a chain of elements of one slide each, of equal length."""
    (slept,) = set(setup.seconds)
    tile = sorted((begin, end) for stage, begin, end in found.starts if stage == "tile")
    lanes = CORES * len(NODES)
    first = [begin for begin, _ in tile[:lanes]]
    ends = sorted(end for _, end in tile)
    gaps = [begin - end for (begin, _), end in zip(tile[lanes:], ends, strict=False)]
    return Calibrated(
        submit=found.submit,
        start=max(0.0, (max(first) - min(first)) / (lanes - 1)),
        free=max(0.0, statistics.mean(gaps)),
        start_up=statistics.mean(end - begin for begin, end in tile) - slept,
    )


def cluster_of(known: Calibrated, setup: Setup) -> Cluster:
    outages = () if setup.dies_at is None else (Outage(1, setup.dies_at, setup.back_after),)
    return Cluster(
        len(NODES),
        CORES,
        0,
        Controller(known.submit, known.start, known.free, HOLD_SECONDS, NOTICE_SECONDS, EARLY_SECONDS),
        FILES,
        dict.fromkeys(STAGES, StartUp(known.start_up)),
        slow={NODES.index(node): factor for node, factor in setup.slow.items()},
        outages=outages,
    )


def simulated(known: Calibrated, setup: Setup) -> Simulated:
    work = {
        stage: {name: SlideWork(name, seconds) for name, seconds in of_stage.items()}
        for stage, of_stage in setup.times().items()
    }
    return simulate(setup.jobs(), setup.slides, work, cluster_of(known, setup), setup.table)


def compared(setup: Setup, found: Measured, made: Simulated) -> dict[str, Any]:
    """Seconds as measured and as simulated, and how far these are off, of the whole and of each stage (from its first
    begin to its last end)."""
    pairs = {"whole": (found.seconds, made.seconds)}
    for stage in STAGES:
        begin, end = found.time_of(stage)
        pairs[stage] = (end - begin, made.times[stage].end - made.times[stage].begin)
    return {
        "setup": setup.name,
        "parts": {job.request.stage: job.request.of for job in setup.jobs()},
        "starts": {"measured": len(found.starts), "simulated": sum(one.starts for one in made.times.values())},
        **{
            name: {"measured": round(real, 1), "simulated": round(model, 1), "off": round(model / real - 1, 3)}
            for name, (real, model) in pairs.items()
        },
    }
