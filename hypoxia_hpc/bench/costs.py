"""What a thousand slides take by the figures of a unit: core-hours, GPU-hours and kWh. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

# Topics of cases that are what a run does to each tile: their unit is a tile.
PAID = ("networks", "stages")
SLIDES, TILES_A_SLIDE = 1_000, 10_000
SCALE = f"{SLIDES:,} slides of {TILES_A_SLIDE:,} tiles"
READ_AS = "core-hours that computed, GPU-hours on the clock; of tile the tiles looked at, of networks those kept"
HEADER = ("core-hours", "GPU-hours", "kWh")
SECONDS_OF_HOUR, JOULES_OF_KWH = 3_600, 3_600_000
TILES = SLIDES * TILES_A_SLIDE


class Taken(Protocol):
    """Of one unit of a case: seconds of cores and of a GPU, joules by source."""

    @property
    def core_seconds(self) -> float | None: ...
    @property
    def gpu_seconds(self) -> float | None: ...
    @property
    def joules(self) -> Mapping[str, float]: ...


def cost_cells(one: Taken) -> tuple[str, str, str]:
    """The cells below `HEADER` of a case whose unit is a tile: ``21``, ``0.8``, ``3.1 (RAPL) + 0.9 (NVML)``."""
    energy = (f"{TILES * joules / JOULES_OF_KWH:.3g} ({source})" for source, joules in sorted(one.joules.items()))
    return _hours(one.core_seconds), _hours(one.gpu_seconds), " + ".join(energy)


def _hours(seconds: float | None) -> str:
    return "" if seconds is None else f"{TILES * seconds / SECONDS_OF_HOUR:.3g}"
