"""What ``estimate`` shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import amount, table, within
from hypoxia_hpc.errors import some, some_names

if TYPE_CHECKING:
    from hypoxia_hpc.machine.disks import Room
    from hypoxia_hpc.monitoring.estimate import CohortEstimate, Rates, RunEstimate, StageEstimate
    from hypoxia_hpc.runs.rates import Figure


def estimate_text(estimate: RunEstimate, root: str) -> Iterator[str]:
    """Blocks of lines."""
    yield table(
        ["still to do", "slides", "tiles", "files, folders", "bytes", "core-hours", "GPU-hours"],
        [_estimate_row(stage) for stage in estimate.stages],
    )
    yield from _cohort_blocks(estimate.cohort)
    yield f"\nroom in {root} ({estimate.mount.kind or 'file system of unknown kind'}):"
    yield from (_room_line(estimate, room) for room in estimate.rooms)
    if not any(room.source != "free" for room in estimate.rooms):
        yield "  quota: not known, no program here reports one"
    yield "\nreckoned from these, in brackets the range they should lie in:"
    yield rates_table(estimate.rates, estimate.mean_cost)
    yield from too_small_text(estimate.rates)
    if estimate.unknown:
        yield f"\nnote: {estimate.unknown}: what is extracted already is not known, and counts as to do"
    if estimate.unread:
        look = f"hypoxia-hpc doctor {shlex.quote(root)}"
        names = some_names([f"{name} ({reason})" for name, reason in estimate.unread.items()])
        yield (
            f"\nnote: of the slides looked at, a sample where they are many, these will be quarantined, and count as "
            f"no work: {names}; of all see {look}"
        )


def _cohort_blocks(stages: Sequence[CohortEstimate]) -> Iterator[str]:
    """The stages that see the whole cohort."""
    if not stages:
        return
    rows = [[one.stage, _hours(one.core_hours), _hours(one.hours), within(one.nbytes, "B")] for one in stages]
    yield "\nall models of [train], as if none was there; a GPU takes less time, how much less was not measured:"
    yield table(["then", "core-hours", "hours of a job", "memory"], rows)
    for one in stages:
        if one.unknown:
            yield f"note: what {one.stage} takes for {', '.join(one.unknown)} is not known, and is not in these figures"


def _estimate_row(stage: StageEstimate) -> list[str]:
    gpu = "" if stage.gpu_hours is None else _hours(stage.gpu_hours)
    tiles, nbytes = within(stage.tiles), within(stage.nbytes, "B")
    return [stage.stage, f"{stage.slides:,}", tiles, f"{stage.files:,}", nbytes, _hours(stage.core_hours), gpu]


def _hours(figure: Figure) -> str:
    return within(figure) if figure.high >= 0.01 or not figure.high else "below 0.01"


def _room_line(estimate: RunEstimate, room: Room) -> str:
    nbytes = "no limit of bytes" if room.nbytes is None else amount(room.nbytes, "B")
    files = "no limit of files" if room.files is None else some(room.files, "file")
    verdict = "enough" if estimate.is_enough(room) else "NOT ENOUGH, if all comes as large as it may"
    return f"  {room.source}: {nbytes}, {files}: {verdict}"


def rates_table(rates: Rates, mean_cost: float) -> str:
    """What is reckoned from, and where that is from."""
    device = "a GPU" if rates.gpu else "a core"
    thousand = within(rates.extract_seconds.times(1000), "s")
    named = [
        (
            "to tile a slide of mean cost on a core",
            within(rates.tile_seconds.times(mean_cost), "s"),
            rates.tile_seconds,
        ),
        ("tiles kept of such a slide", within(rates.tiles.times(mean_cost)), rates.tiles),
        ("a kept tile", within(rates.tile_bytes, "B"), rates.tile_bytes),
        (f"to extract a thousand tiles on {device}", thousand, rates.extract_seconds),
        ("a feature vector", within(rates.feature_bytes, "B"), rates.feature_bytes),
    ]
    return table(["", "", "origin"], [[name, text, figure.origin] for name, text, figure in named])


def too_small_text(rates: Rates) -> Iterator[str]:
    """A note where slides of the run were left out of the rates."""
    if rates.too_small:
        yield (
            f"\nnote: {some(rates.too_small, 'slide')} of the run that {'is' if rates.too_small == 1 else 'are'} done "
            "did not count here: each costs less than a tenth of a slide of mean cost, and takes its time for other "
            "things than tiles"
        )
