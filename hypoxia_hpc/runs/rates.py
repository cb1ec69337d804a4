"""How long a slide takes and how much it leaves, per unit of its cost: measured from receipts, else assumed. Pure.

``cost`` of slides.csv is the expected milliseconds of one core to tile a slide; in older runs it is the file's bytes.
What is measured holds for either, what is assumed for milliseconds only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.networks.backbones.resolve import feature_length
from hypoxia_hpc.networks.backbones.work import INCEPTION_PRODUCTS, INCEPTION_SECONDS, WORK
from hypoxia_hpc.records import ExtractWork, Receipt, TileWork
from hypoxia_hpc.runs.stages import stage_named

# Below this many slides their spread says nothing: half to twice the value instead.
FEWEST_FOR_A_SPREAD = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with the range it should lie in, and where it comes from: measured on ``slides`` slides of this run, or
    assumed, where ``slides`` is 0."""

    value: float
    low: float
    high: float
    origin: str
    slides: int = 0

    def times(self, factor: float) -> Figure:
        """The figure for ``factor`` units of cost."""
        return Figure(self.value * factor, self.low * factor, self.high * factor, self.origin, self.slides)


# Cost is tile's milliseconds by definition; processors and file systems make it half or three times that.
TILE_SECONDS = Figure(0.001, 0.0005, 0.003, "assumed: cost is milliseconds of one core")
# Tiles kept per millisecond of tiling, 40 % of those planned: JPEG at 40x; low is JPEG 2000 at 40x, high JPEG at 20x
# (benchmarks/README.md: 230-570 Mpx/s, 17-25 Mpx/s, 3,500-4,800 tiles/s).
TILES_KEPT = Figure(0.45, 0.04, 1.6, "assumed: JPEG at 40x, 40 % of the tiles kept")
# They are this wide, µm.
TILE_UM = 299 * 0.5
# Slides that cost less than this share of the mean tell nothing of the others: what they take is mostly their start. By
# 21 slides of `demo` a slide of TCGA would take 119 s of a core, by one slide that is decoded over and over 15 s.
LEAST_SHARE = 0.1
# InceptionV3 of 299 px, float32. TensorFlow 2.21 on two Zen 5 cores: 24-29 images/s together.
CORE_SECONDS_A_TILE = Figure(INCEPTION_SECONDS, 0.05, 0.2, "assumed: InceptionV3, 12 tiles/s a core (AMD Zen 5)")
# No figure of this suite on a GPU: timm's published 3,636 images/s on an RTX 4090, less what feeding it costs.
GPU_SECONDS_A_TILE = Figure(0.001, 0.0004, 0.004, "assumed: 1,000 tiles/s a GPU, never measured")

KEPT_SHARE = Figure(0.4, 0.15, 0.7, "assumed: 40 % of the tiles are tissue")
# Pathologists draw around tissue; how much of it the background rule keeps was not measured.
KEPT_SHARE_DRAWN = Figure(0.8, 0.3, 1.0, "assumed: 80 % of the tiles in the regions are tissue")
# Of raw pixels: lossless codecs find little in H&E, JPEG of quality 90 keeps a quarter (README.md).
PACKED = {"none": (1.0, 1.0, 1.0), "lz4": (0.98, 0.9, 1.0), "zstd": (0.96, 0.87, 1.0), "jpeg": (0.25, 0.12, 0.4)}
# A tile's position and background; the position of a feature vector.
TILE_ROW_BYTES, FEATURE_ROW_BYTES = 20, 16
# Factor up and down for a network whose operations are counted, and not known. EfficientNet-Lite0 takes 2.8 times what
# its operations say.
COUNTED_NETWORK, UNKNOWN_NETWORK = 3.0, 5.0
EXACT = "exact"


def seconds_per_cost(
    stage: str, receipts: Iterable[Receipt], costs: Mapping[str, int], config: RunConfig, *, gpu: bool = False
) -> Figure:
    """Seconds of one core (with ``gpu``: of one GPU) per unit of cost.

    ``receipts`` are those of the stage, of any slides; ``costs`` has the cost of each slide id. Measured where receipts
    tell of work on this kind of device, else assumed: as long as ``tile`` takes, or ``extract`` with the network of the
    run, by the stage's device.
    """
    return measured(receipts, costs, lambda receipt: device_seconds(receipt, gpu=gpu)) or _assumed(stage, config, gpu)


def telling(costs: Mapping[str, int], mean_cost: float) -> dict[str, int]:
    """The costs of those slides that tell how long slides of ``mean_cost`` take."""
    return {slide_id: cost for slide_id, cost in costs.items() if cost >= LEAST_SHARE * mean_cost}


def mean_of(costs: Iterable[int]) -> float:
    """0 for none."""
    each = list(costs)
    return sum(each) / max(1, len(each))


def device_seconds(receipt: Receipt, *, gpu: bool) -> float:
    """Seconds of cores (or of a GPU) that a slide took; 0 where its receipt tells of another kind of device, or was
    written after a kill and knows no time."""
    work = receipt.details
    on_gpu = isinstance(work, ExtractWork) and work.device != "cpu"
    if on_gpu != gpu:
        return 0.0
    threads = work.threads if isinstance(work, TileWork | ExtractWork) else 1
    return receipt.seconds * (1 if gpu else threads)


def hours_of_a_thousand(receipts: Iterable[Receipt], *, gpu: bool) -> float | None:
    """Core-hours (with ``gpu``: GPU-hours) that a thousand slides take which are like those done, on average; None
    where no receipt tells of work on this kind of device."""
    done = [device_seconds(receipt, gpu=gpu) for receipt in receipts if receipt.status == "done"]
    known = [seconds for seconds in done if seconds > 0]
    return 1000 * sum(known) / len(known) / 3600 if known else None


def planned_tiles(receipt: Receipt) -> int:
    """Tiles in the plan of a slide, as a receipt of ``tile`` says; 0 where it does not."""
    return receipt.details.counts.planned if isinstance(receipt.details, TileWork) else 0


def kept_share(table: TileTable) -> Figure:
    """Assumed share of the tiles that are looked at which the background rule keeps."""
    return KEPT_SHARE_DRAWN if table.regions and table.regions_rule == "include" else KEPT_SHARE


def measured(
    receipts: Iterable[Receipt], costs: Mapping[str, int], amount: Callable[[Receipt], float]
) -> Figure | None:
    """An amount per unit of cost over the slides that are done and have one; None where there is none."""
    pairs = [
        (amount(receipt), costs[receipt.name])
        for receipt in receipts
        if receipt.status == "done" and costs.get(receipt.name, 0) > 0
    ]
    known = [(found, cost) for found, cost in pairs if found > 0]
    return ratio([found for found, _ in known], [cost for _, cost in known]) if known else None


def ratio(amounts: Sequence[float], costs: Sequence[float]) -> Figure:
    """Sum of ``amounts`` over sum of ``costs`` (above 0), within two standard errors of that ratio."""
    value, n = sum(amounts) / sum(costs), len(amounts)
    origin = f"measured on {n:,} {'slide' if n == 1 else 'slides'}"
    if n < FEWEST_FOR_A_SPREAD:
        return Figure(value, value / 2, value * 2, origin, n)
    squares = sum((amount - value * cost) ** 2 for amount, cost in zip(amounts, costs, strict=True))
    error = 2 * math.sqrt(squares * n / (n - 1)) / sum(costs)
    return Figure(value, max(value - error, value / 10), value + error, origin, n)


def _assumed(stage: str, config: RunConfig, gpu: bool) -> Figure:
    if stage_named(stage).device == "cpu":
        return TILE_SECONDS
    found = product(tiles_kept(config.tile), seconds_a_tile(config, gpu=gpu))
    return with_decoding(found, TILE_SECONDS, config, gpu=gpu)


def tiles_kept(table: TileTable) -> Figure:
    """Assumed tiles that are kept per unit of cost."""
    return TILES_KEPT.times(tiles_against(table, TILE_UM))


def tiles_against(table: TileTable, tile_um: float) -> float:
    """How many tiles there are for one that is ``tile_um`` wide."""
    return (tile_um / (table.tile_px * table.mpp)) ** 2


def with_decoding(network: Figure, decoding: Figure, config: RunConfig, *, gpu: bool) -> Figure:
    """What ``extract`` takes where stores keep no pixels, so that slides are decoded again: on the cores that the
    network runs on, or on those beside a GPU, meanwhile. ``network``: seconds of cores (of a GPU, with ``gpu``);
    ``decoding``: seconds of a core, both for as much work."""
    if config.tile.pixels != "none":
        return network
    if gpu:
        cores = config.site.slurm.of_stage("extract", "gpu").cpus
        value, low, high = (
            max(one, other / cores) for one, other in zip(_numbers(network), _numbers(decoding), strict=True)
        )
    else:
        value, low, high = (one + other for one, other in zip(_numbers(network), _numbers(decoding), strict=True))
    return Figure(value, low, high, _both(network, decoding), min(network.slides, decoding.slides))


def _numbers(figure: Figure) -> tuple[float, float, float]:
    return figure.value, figure.low, figure.high


def _both(one: Figure, other: Figure) -> str:
    return one.origin if one.origin == other.origin else f"{one.origin}; {other.origin}"


def product(one: Figure, other: Figure) -> Figure:
    """Both figures multiplied, low with low and high with high; measured only where both are."""
    return Figure(
        one.value * other.value,
        one.low * other.low,
        one.high * other.high,
        _both(one, other),
        min(one.slides, other.slides),
    )


def raw_tile_bytes(table: TileTable) -> Figure:
    """Bytes of a kept tile in its store: exact for codec none."""
    if table.pixels == "none":
        return Figure(TILE_ROW_BYTES, TILE_ROW_BYTES, TILE_ROW_BYTES, EXACT)
    pixels, (value, low, high) = 3 * table.tile_px**2, PACKED[table.codec]
    origin = EXACT if table.codec == "none" else f"assumed: codec {table.codec} keeps {value:.0%} (README.md)"
    return Figure(pixels * value + TILE_ROW_BYTES, pixels * low, pixels * high + TILE_ROW_BYTES, origin)


def raw_feature_bytes(config: RunConfig) -> Figure:
    """Bytes of a feature vector in its store."""
    width = 2 if config.extract.dtype == "float16" else 4
    nbytes = feature_length(config.extract.backbone, config.tile.tile_px) * width + FEATURE_ROW_BYTES
    return Figure(nbytes, nbytes, nbytes, EXACT)


def seconds_a_tile(config: RunConfig, *, gpu: bool, operations: int | None = None) -> Figure:
    """Assumed seconds of a core or GPU to put a tile through the network: by its pixels, from InceptionV3's at 299; for
    a network of which no cost is known by its ``operations`` (multiply-adds for a tile), where these are."""
    base, name = GPU_SECONDS_A_TILE if gpu else CORE_SECONDS_A_TILE, config.extract.backbone
    pixels, work = (config.tile.tile_px / 299) ** 2, WORK.get(name)
    if work is None and operations is not None:
        counted = base.times(operations / INCEPTION_PRODUCTS)
        origin = f"{base.origin}, by the {operations / 1e9:.2g} G multiply-adds of {name}"
        return Figure(counted.value, counted.low / COUNTED_NETWORK, counted.high * COUNTED_NETWORK, origin)
    if work is None:
        known = base.times(pixels)
        origin = f"{base.origin}, for the operations of {name} are not known"
        return Figure(known.value, known.low / UNKNOWN_NETWORK, known.high * UNKNOWN_NETWORK, origin)
    scaled = base.times(work.products * pixels)
    return scaled if name == "inception_v3" else replace(scaled, origin=f"{base.origin}, by the operations of {name}")
