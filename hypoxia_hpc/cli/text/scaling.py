"""What ``estimate`` shows of slides that are not there yet, and of N nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.estimate import rates_table, too_small_text
from hypoxia_hpc.cli.text.words import amount, duration, table, within
from hypoxia_hpc.errors import some

if TYPE_CHECKING:
    from hypoxia_hpc.config import RunConfig
    from hypoxia_hpc.monitoring.alternatives import Alternative, CohortAhead
    from hypoxia_hpc.monitoring.scaling import Scale, Site
    from hypoxia_hpc.runs.rates import Figure

# Losses below this share of the nodes' time are not named.
LEAST_NAMED = 0.005
# Losses in a cell of a table.
SHORT = {
    "start": "tasks start",
    "bytes": "bytes of files",
    "names": "names of files",
    "slow": "slow nodes",
    "lost": "work lost",
    "last": "last slides",
    "free": "between elements",
    "fit": "elements do not fill nodes",
    "queue": "queue",
    "throttle": "throttle",
    "dead": "nodes down",
    "few": "too few elements",
    "uneven": "uneven ends",
}


def ahead_text(found: CohortAhead) -> Iterator[str]:
    """Blocks of lines."""
    yield (
        f"{some(found.slides, 'slide')} like {found.like}: {amount(found.nbytes, 'B')} of files\n"
        f"sizes: {found.source}; cost: by the bytes, as JPEG\n"
    )
    first = found.alternatives[0]
    yield alternatives_table(found.alternatives)
    yield f"A file for each tile would be {within(first.stages[0].tiles)} files."
    yield "\nreckoned from these, in brackets the range they should lie in:"
    yield rates_table(first.rates, found.mean_cost)
    yield from too_small_text(first.rates)


def run_alternatives_text(found: Sequence[Alternative], n_slides: int) -> Iterator[str]:
    """Blocks of lines: all slides of a run under other settings; none where there are no other ones."""
    if found:
        yield f"\n{some(n_slides, 'slide')} of the run from the beginning, what is done included, by [tile]:"
        yield alternatives_table(found)


def alternatives_table(found: Sequence[Alternative]) -> str:
    """A row for each setting, and what the figures leave out."""
    names = ["settings", "tiles", "files, folders", "bytes", "core-hours", "GPU-hours"]
    return (
        f"{table(names, [_row(one) for one in found])}\n\nsettings of [tile] in run.toml; packing pixels takes cores, "
        "too, which is not in these figures; mpp = 0.25 is for slides that were scanned at 40x"
    )


def _row(one: Alternative) -> list[str]:
    tiles, files = one.stages[0].tiles, sum(stage.files for stage in one.stages)
    gpu = [stage.gpu_hours for stage in one.stages if stage.gpu_hours is not None]
    cells = [within(tiles), f"{files:,}", _sum([stage.nbytes for stage in one.stages], "B")]
    return [one.settings, *cells, _sum([stage.core_hours for stage in one.stages]), _sum(gpu) if gpu else ""]


def _sum(figures: Sequence[Figure], unit: str = "") -> str:
    value, low, high = (
        amount(sum(numbers), unit) for numbers in zip(*((one.value, one.low, one.high) for one in figures), strict=True)
    )
    return value if low == high else f"{value} ({low} - {high})"


def scaling_text(scaled: Sequence[Scale], site: Site, config: RunConfig) -> Iterator[str]:
    """Blocks of lines."""
    gpus = f" and {some(site.gpus, 'GPU')}" if site.gpus else ""
    yield f"\nsimulated: tile and extract on nodes of {some(site.cores, 'core')}{gpus}, later stages not counted"
    rows = [
        [
            f"{one.nodes:,}",
            duration(one.seconds),
            f"{one.efficiency:.1%}",
            ", ".join(f"{stage} {n:,}" for stage, n in one.elements.items()),
            losses_text(one),
        ]
        for one in scaled
    ]
    yield table(["nodes", "time", "work", "elements", "the rest of the nodes' time"], rows)
    for one in scaled:
        yield from _advice(one, config)
    yield "\ntimes go by the middle figures above; they are as uncertain as the core-hours there"
    files, controller = site.files, site.controller
    yield (
        f"assumed: a shared file system of {amount(files.bytes_per_second, 'B')}/s "
        f"({amount(files.bytes_per_second_of_worker, 'B')}/s a worker) and {files.operations_per_second:,.0f} "
        f"operations on names a second; {1 / controller.start:.0f} starts of elements a second; no wait behind jobs of "
        "others"
    )


def losses_text(one: Scale, most: int = 3) -> str:
    """The largest losses: ``too few elements 44.2%, uneven ends 2.9%``."""
    named = [(name, share) for name, share in one.losses.items() if share >= LEAST_NAMED][:most]
    return ", ".join(f"{SHORT[name]} {share:.1%}" for name, share in named) or "little"


def _advice(one: Scale, config: RunConfig) -> Iterator[str]:
    from hypoxia_hpc.monitoring.scaling import remedy_for
    from hypoxia_hpc.simulation.accounts import SPENT

    if one.losses and one.losses[one.limit] >= 0.05:
        remedy = remedy_for(one.limit, config, is_spread=one.is_spread)
        yield f"{some(one.nodes, 'node')}: most is lost to {SPENT[one.limit]}" + (
            f"; what may change it: {remedy}; not simulated: set it and estimate again" if remedy else ""
        )
