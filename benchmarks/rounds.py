"""Paired rounds: everything takes its turn in every round, so that what disturbs the machine disturbs all alike.

A lap has two times: by the clock, which is what counts, and of the processor. On a quiet machine they are equal for
work on one core; where others compute on the same cores, the clock's is the larger, and ratios of it are noisy.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("numpy", "numba", "openslide-python", "openslide-bin", "imagecodecs", "simplejpeg", "pillow", "zarr"),
    *("tiffslide", "cucim-cu12", "keras", "tensorflow", "jax", "torch", "timm", "openvino"),
)
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Lap:
    """Seconds of one piece of work: by the clock, and of the processor (all threads of this process)."""

    clock: float
    processor: float


Laps = dict[str, list[Lap]]


def lap(work: Callable[[], object]) -> Lap:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return Lap(time.perf_counter() - clock, time.process_time() - processor)


def paired(works: Mapping[str, Callable[[], object]], rounds: int, tidy: Callable[[], object] = lambda: None) -> Laps:
    """Laps of all works, one a round; another one is first in each round. ``tidy`` comes after each, untimed."""
    names, laps = list(works), {name: [] for name in works}
    for number in range(rounds):
        lease = number % len(names)
        for name in names[lease:] + names[:lease]:
            laps[name].append(lap(works[name]))
            tidy()
    return laps


def ratio(laps: Laps, slower: str, faster: str, time_of: str = "clock") -> float:
    """Median over the rounds of the time of ``slower`` over that of ``faster``."""
    pairs = zip(laps[slower], laps[faster], strict=True)
    return statistics.median(getattr(one, time_of) / getattr(other, time_of) for one, other in pairs)


def median_seconds(laps: list[Lap]) -> float:
    return statistics.median(one.clock for one in laps)


def busy(laps: Laps) -> float:
    """Share of the clock's time in which the processor worked for us: 1 on a quiet machine, for work on one core."""
    every = [one for column in laps.values() for one in column]
    return sum(one.processor for one in every) / sum(one.clock for one in every)


def usable_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


@contextmanager
def on_one_core() -> Iterator[None]:
    """This process, and what it starts meanwhile, on one core alone: the one that others use least just now."""
    cores = os.sched_getaffinity(0)
    before = _idle_ticks()
    time.sleep(LOOK_SECONDS)
    after = _idle_ticks()
    os.sched_setaffinity(0, {max(cores, key=lambda core: after[core] - before[core])})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _idle_ticks() -> dict[int, int]:
    """Time that each core has been idle."""
    lines = Path("/proc/stat").read_text().splitlines()
    columns = [line.split() for line in lines if line.startswith("cpu") and line[3].isdigit()]
    return {int(name[3:]): int(idle) for name, _, _, _, idle, *_ in columns}


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "processor": _processor(),
        "cores": len(usable_cores()),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "commit": _commit(),
        "load_average": os.getloadavg(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines[: lines.index("")] if ":" in line)
    fields = {name.strip(): value.strip() for name, value in told.items()}
    return " ".join(filter(None, (fields.get("model name"), f"family {fields.get('cpu family')}", fields.get("model"))))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    asked = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*")
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603
