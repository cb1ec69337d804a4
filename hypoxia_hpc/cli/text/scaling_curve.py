"""What bench scaling prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hypoxia_hpc.bench.measuring import LEAST_ROUNDS
from hypoxia_hpc.bench.scaling_records import ScaledSize, ScalingRecord, parts_of
from hypoxia_hpc.cli.text.bench import BAR, CALM, bar, machine_text, percent
from hypoxia_hpc.cli.text.scaling_notes import base_text, queue_text, seconds_text, start_text
from hypoxia_hpc.cli.text.words import table
from hypoxia_hpc.errors import some

WORKLOADS = {"run": "slides of the run", "generated": "a generated cohort, links to one slide"}
WAYS = {"workers": "workers", "ranks": "MPI ranks", "tasks": "elements of a SLURM array"}
MODES = {"strong": "the same slides for every size", "weak": "as many slides for each core"}


def curve_text(found: ScalingRecord) -> Iterator[str]:
    """The table of sizes, where the cores' time went, and what is not measured."""
    yield f"\n{machine_text(found.environment)}\n"
    yield (
        f"{found.mode} scaling of tile over {WAYS[found.by]}: {MODES[found.mode]}; {WORKLOADS[found.workload]}; base "
        f"case: {base_text(found)}\n"
    )
    scale = "0 %" + " " * (BAR - 8) + "100 %"
    yield table((found.by, "slides", "seconds", "tiles/s", "efficiency", scale), [_row(one) for one in found.sizes])
    yield f"\nmedians of {some(found.rounds, 'round')}, and {_interval(found.rounds)}"
    yield "\nwhere the time of the cores went, mean of the rounds\n"
    split = parts_of(found.sizes)
    rows = [_split_row(one.size, parts) for one, parts in zip(found.sizes, split, strict=True)]
    yield table((found.by, *split[0]), rows)
    yield (
        "\nstart, end: of the command; around slides: workers begin, look at keys, write receipts; waiting: workers "
        "without a\nslide, mostly at the end"
    )
    if "read" in split[0]:
        yield (
            "within slides, by what their threads did: read the file, decode pixels (with reading where OpenSlide\n"
            "does both), decide and cut tiles (kernel), pack and checksum them (encode), write; other: open, plan,\n"
            "masks, and images in folders"
        )
    yield from start_text(found)
    yield from queue_text(found)
    if found.busy is not None and found.busy < 1 - CALM:
        yield (
            f"the base case had {found.busy * 100:.0f} % of its core's time: it waited for the disk, or other programs "
            "used the processor"
        )


def _interval(rounds: int) -> str:
    if rounds >= LEAST_ROUNDS:
        return "the interval that holds it with 95 % confidence"
    return f"the least and the largest; an interval of 95 % needs {LEAST_ROUNDS} rounds"


def _row(one: ScaledSize) -> tuple[str, ...]:
    return (
        str(one.size),
        f"{one.slides:,}",
        seconds_text(one.seconds),
        f"{one.tiles / one.seconds.value:,.0f}",
        percent(one.efficiency),
        bar(one.efficiency.value),
    )


def _split_row(size: int, parts: Mapping[str, float]) -> tuple[str, ...]:
    whole = sum(parts.values())
    return str(size), *(f"{part / whole * 100:.0f} %" for part in parts.values())
