"""What `bench` has recorded of this machine, as rates for ``estimate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hypoxia_hpc.bench.environment import graphics, keras_backend, processor
from hypoxia_hpc.bench.records import Record, read_history
from hypoxia_hpc.bench.rounds import usable_cores
from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.monitoring.estimate import OwnRates
from hypoxia_hpc.monitoring.foreseen import planned_tiles
from hypoxia_hpc.monitoring.rates_here import SLIDE, slide_of_the_package
from hypoxia_hpc.runs.rates import Figure
from hypoxia_hpc.slides.costs import read_header

# The slide of the package, read by one core as tile does it.
SLIDE_CASE = "jpeg-real"
# Cases that put tiles of this side through a network of the same name, in float32.
NETWORK_CASES, NETWORK_PX = ("inception_v3", "resnet50", "vgg16"), 299
# Of the clock's time, in which each core of a case worked for it. Below it other processes had the core.
LEAST_BUSY = 0.8
# One slide says little of others: half to twice the value, as for rates that few slides of a run were measured for.
SCATTER = 2.0


def own_rates(config: RunConfig, history: Path, *, gpu: bool) -> OwnRates:
    """The newest figures of this kind of machine (processor, cores, GPUs) for the settings of a run, None where there
    are none. Lines that cannot be read count for nothing. Raises InputError for a history without any other line,
    MachineError."""
    if not history.exists():
        return OwnRates()
    records = [
        one for one in read_history(history).records if isinstance(one, Record) and _is_wanted(one, config, gpu=gpu)
    ]
    here = own_records(records) if records else []
    return OwnRates(
        _newest(here, lambda one: one.case == SLIDE_CASE, tile_figure),
        _newest(here, lambda one: one.case != SLIDE_CASE, network_figure),
    )


def _is_wanted(record: Record, config: RunConfig, *, gpu: bool) -> bool:
    if record.case == SLIDE_CASE:
        return record.busy >= LEAST_BUSY
    table = config.extract
    is_alike = table.precision in ("auto", "float32") and not table.xla and config.tile.tile_px == NETWORK_PX
    on_gpu, backend = record.gpu_seconds is not None, record.environment.backend
    is_of_it = record.case in NETWORK_CASES and record.case == table.backbone and is_alike
    is_of_it = is_of_it and (on_gpu or record.busy >= LEAST_BUSY * record.environment.cores)
    return is_of_it and on_gpu == gpu and backend in ("", keras_backend())  # lines from before it was kept have none


def own_records(records: Sequence[Record]) -> list[Record]:
    """Those that were measured on a machine of this kind."""
    here = (processor(), len(usable_cores()), graphics()[0])
    return [one for one in records if (one.environment.processor, one.environment.cores, one.environment.gpus) == here]


def _newest(
    records: Sequence[Record], is_of_it: Callable[[Record], bool], figure: Callable[[Record], Figure]
) -> Figure | None:
    found = [one for one in records if is_of_it(one)]
    return figure(found[-1]) if found else None


def tile_figure(record: Record) -> Figure:
    """Seconds of a core per unit of cost."""
    slide, table = slide_of_the_package(), TileTable()
    seconds = planned_tiles(slide, table) / record.rate.value
    value = seconds / read_header(slide.path, table).cost
    origin = f"this machine's own, by hypoxia-hpc bench: {SLIDE}, {record.rate.value:,.0f} tiles/s a core"
    return Figure(value, value / SCATTER, value * SCATTER, origin)


def network_figure(record: Record) -> Figure:
    """Seconds of a core, or of a GPU, for a tile."""
    rate, is_gpu = record.rate, record.gpu_seconds is not None
    cores = 1 if is_gpu else record.environment.cores
    where = "a GPU" if is_gpu else f"{cores} cores"
    origin = f"this machine's own, by hypoxia-hpc bench: {record.case}, {rate.value:,.0f} tiles/s on {where}"
    return Figure(cores / rate.value, cores / rate.high, cores / rate.low, origin)
