"""estimate --measure: how fast this machine tiles and extracts, measured in a minute, where no run tells it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.monitoring.estimate import Rates
from hypoxia_hpc.networks.backbones.resolve import BackboneBuilder, resolve_backbone
from hypoxia_hpc.networks.inference.device import DevicePlan, device_of
from hypoxia_hpc.networks.inference.feeding import SlicedTiles, features_of
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.rates import Figure
from hypoxia_hpc.slides.costs import read_header
from hypoxia_hpc.slides.opening import opened_slide

SLIDE = "CMU-1-Small-Region.svs"
TIMES = 3


def measured_here(config: RunConfig, rates: Rates) -> Rates:
    """``rates`` with those replaced that no run has measured, and that this machine can tell: the seconds of tiling,
    and those of the network on its cores. Raises what building the network raises."""
    found = rates
    if not rates.tile_seconds.slides:
        found = replace(found, tile_seconds=tile_seconds())
    if not rates.gpu and not rates.extract_seconds.slides:
        found = replace(found, extract_seconds=network_seconds(config))
    return found


def tile_seconds() -> Figure:
    """Seconds of a core per unit of cost: the slide of the package, decoded, decided and cut in memory."""
    from hypoxia_hpc.slides.slide_tiles import cut_slide

    slide, table = slide_of_the_package(), TileTable()
    cost = read_header(slide.path, table).cost

    def cut() -> None:
        with opened_slide(slide.path) as opened:
            cut_slide(opened, slide, table, lambda: np.empty((table.tile_px, table.tile_px, 3), np.uint8))

    return _figure([one / cost for one in _timed(cut)], f"measured on this machine: {SLIDE}, {TIMES} times")


def slide_of_the_package() -> Slide:
    """The real slide that every installation has."""
    return Slide("here", Path(str(files("hypoxia_hpc.slides") / SLIDE)), "here", 1)


def network_seconds(config: RunConfig) -> Figure:
    """Seconds of a core for a tile to go through the network of [extract], with random weights, on all cores."""
    table, px, cores = config.extract.model_copy(update={"weights": "random"}), config.tile.tile_px, usable_cores()
    builder = BackboneBuilder(resolve_backbone(table, px, None))
    device = device_of(DevicePlan(builder, px, table.batch_size, table.precision, table.xla, threads=cores))
    noise = np.random.default_rng(0).integers(0, 256, (table.batch_size, px, px, 3), np.uint8)
    tiles = SlicedTiles(noise)

    def extract() -> None:
        features_of(device, lambda: nullcontext(tiles), lambda _: None)

    origin = f"measured on this machine: {table.backbone}, {TIMES} times {tiles.n} tiles on {cores} cores"
    return _figure([one * cores / tiles.n for one in _timed(extract)], origin)


def _timed(work: Callable[[], None]) -> list[float]:
    """Seconds by the clock, each time; the first time, in which kernels are compiled, does not count."""
    work()
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds


def _figure(values: Sequence[float], origin: str) -> Figure:
    return Figure(statistics.median(values), min(values), max(values), origin)
