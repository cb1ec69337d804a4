"""Joules between two looks at the counters of this machine, each with its source; where there is none, why.

The processor's counters are RAPL's, as Linux shows them (``Documentation/power/powercap``): microjoules of a package,
which begin anew at ``max_energy_range_uj``. A GPU's is NVML's ``nvmlDeviceGetTotalEnergyConsumption``: millijoules
since the driver was loaded, renewed every 20 to 100 ms. Both count all that runs there, and what it takes when idle.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.machine.gpus import VISIBLE
from hypoxia_hpc.reading import listed

POWERCAP = Path("/sys/class/powercap")
ZONE = re.compile("intel-rapl:[0-9]+")
# Also ``package-0-die-1``. Beside packages there are their parts, memory (``dram``), which lies below a package and is
# not counted in it, and the whole platform (``psys``), which has the packages in it.
PACKAGE = "package-"
RAPL, NVML = "RAPL", "NVML"


@dataclass(frozen=True, slots=True)
class Counter:
    """``joules`` since some time, by ``source``, which begin anew at ``range_joules`` (0: they do not)."""

    source: str
    joules: float
    range_joules: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """Counters by name, at one time, and ``missing``: why others could not be read."""

    counters: Mapping[str, Counter] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def __add__(self, other: Look) -> Look:
        return Look({**self.counters, **other.counters}, self.missing + other.missing)


def spent(before: Look, after: Look) -> dict[str, float]:
    """Joules between two looks by source, of counters that both saw. A counter that is lower than before began anew
    once: looks lie less than a range apart, which is minutes."""
    joules: dict[str, float] = {}
    for name in before.counters.keys() & after.counters.keys():
        first, last = before.counters[name], after.counters[name]
        anew = last.range_joules if last.joules < first.joules else 0.0
        joules[last.source] = joules.get(last.source, 0.0) + last.joules - first.joules + anew
    return joules


def look(*, gpu: bool) -> Look:
    """At the processor, and with ``gpu`` at the GPU that this process has."""
    return look_at_processor() + (look_at_gpu(os.environ) if gpu else Look())


def look_at_processor(powercap: Path = POWERCAP, cores: int | None = None) -> Look:
    """At all packages, or at none. ``cores`` that this process may use, all of which count for packages: a process that
    has a part of them shares the counter with others."""
    try:
        counters = dict(_packages(powercap))
    except PermissionError as error:
        return _missing(RAPL, f"only the administrator may read {error.filename}")
    except (OSError, ValueError) as error:
        return _missing(RAPL, f"its counters cannot be read: {error}")
    if not counters:
        return _missing(RAPL, f"{powercap} has no package of a processor")
    ours, there = usable_cores() if cores is None else cores, os.cpu_count() or 1
    if ours < there:
        return _missing(RAPL, f"it counts all {there} cores of the machine, and this process has {ours} of them")
    return Look(counters)


def _missing(source: str, why: str) -> Look:
    return Look(missing=(f"{source}: {why}",))


def _packages(powercap: Path) -> Iterator[tuple[str, Counter]]:
    """Zones are ``intel-rapl:0``, on AMD's processors too, and their parts ``intel-rapl:0:0``. Raises OSError,
    ValueError."""
    for zone in listed(powercap):
        if ZONE.fullmatch(zone.name) and (zone / "name").read_text().strip().startswith(PACKAGE):
            joules, range_joules = (_joules(zone / name) for name in ("energy_uj", "max_energy_range_uj"))
            yield f"{RAPL} {zone.name}", Counter(RAPL, joules, range_joules)


def _joules(file: Path) -> float:
    """Raises OSError, ValueError."""
    return int(file.read_text()) / 1e6


def look_at_gpu(environment: Mapping[str, str]) -> Look:
    """At the only GPU that this process sees; of several, or of a part of one, NVML does not say which has worked."""
    try:
        import pynvml
    except ImportError:
        return _missing(NVML, "pip install 'hypoxia-hpc[energy]'")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return _missing(NVML, str(error))
    try:
        return _only_gpu(named_gpu(environment))
    except pynvml.NVMLError as error:
        return _missing(NVML, str(error))
    finally:
        pynvml.nvmlShutdown()


def named_gpu(environment: Mapping[str, str]) -> str:
    """The UUID of the only GPU that CUDA is to see; empty where it sees others, or by their numbers, which are not
    NVML's."""
    visible = environment.get(VISIBLE, "").strip()
    return visible if visible.startswith("GPU-") and "," not in visible else ""


def _only_gpu(uuid: str) -> Look:
    """Raises NVMLError, also where a GPU is older than the counter (Volta, 2017)."""
    import pynvml

    n = pynvml.nvmlDeviceGetCount()
    if n != 1 and not uuid:
        return _missing(NVML, f"it sees {n} GPUs: set {VISIBLE} to the UUID of one (nvidia-smi -L)")
    one = pynvml.nvmlDeviceGetHandleByIndex(0) if n == 1 else pynvml.nvmlDeviceGetHandleByUUID(uuid)
    if _is_divided(one):
        return _missing(NVML, "the GPU is divided (MIG), and its counter is of all parts")
    joules = pynvml.nvmlDeviceGetTotalEnergyConsumption(one) / 1e3
    return Look({f"{NVML} {pynvml.nvmlDeviceGetUUID(one)}": Counter(NVML, joules)})


def _is_divided(device: object) -> bool:
    import pynvml

    try:
        return bool(pynvml.nvmlDeviceGetMigMode(device)[0])
    except pynvml.NVMLError_NotSupported:
        return False
