"""What bench prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hypoxia_hpc.bench.case import Case
from hypoxia_hpc.bench.costs import HEADER, PAID, READ_AS, SCALE, cost_cells
from hypoxia_hpc.bench.environment import Environment
from hypoxia_hpc.bench.measuring import Measurement, Spread
from hypoxia_hpc.cli.text.words import table

BAR = 20  # places of a share of 100 %
FAST, SLOW = 0.85, 0.5
# Below this share of the clock's time the processor worked for others, too.
CALM = 0.9


def cases_text(cases: Sequence[Case]) -> str:
    """The table of cases."""
    rows = [
        (case.name, case.topic, "yes" if case.is_quick else "", case.unit, case.bound, case.summary) for case in cases
    ]
    return table(("case", "topic", "quick", "unit", "held against", "what is done"), rows)


def figures_text(measured: Sequence[Measurement], where: Environment, history: Path) -> Iterator[str]:
    """The table of figures, what is fast and slow, peers, what a run costs, what could not be measured, and where
    figures are kept."""
    done = [one for one in measured if one.rate and one.share]
    if done:
        yield f"\n{machine_text(where)}\n"
        yield table(("case", "           a second", "of the bound", "0 %" + " " * (BAR - 8) + "100 %", "held against"),
                    [_row(one) for one in done])  # fmt: skip
        yield "\nof the bound: median of the rounds, and the interval that holds it with 95 % confidence"
    yield from _verdicts(done)
    yield from _peers(done)
    yield from _costs([one for one in done if one.case.topic in PAID])
    for one in measured:
        if one.missing:
            yield f"\nmissing: {one.case.name}: {one.missing}"
    if any(one.case.topic == "networks" for one in measured) and not where.gpus:
        yield "\nmissing: figures of a GPU: none is seen here; the networks ran on the cores"
    if done:
        yield f"\nkept in {history}; hypoxia-hpc bench report makes a page of it"


def machine_text(where: Environment) -> str:
    """The machine in a line."""
    gpus = f"{', '.join(where.gpus)} (driver {where.driver})" if where.gpus else "no GPU"
    disk = f", {where.file_system}" if where.file_system else ""
    return f"{where.processor}: {where.cores} cores, {where.memory_gb:g} GB, {gpus}{disk}"


def _row(one: Measurement) -> tuple[str, ...]:
    assert one.rate is not None  # noqa: S101 - rows are of what was measured
    assert one.share is not None  # noqa: S101
    rate = f"{one.rate.value:10,.0f} {one.case.unit}"
    return one.case.name, rate, percent(one.share), bar(one.share.value), one.case.bound


def percent(share: Spread) -> str:
    """``91 % (88 - 99)``."""
    return f"{share.value:4.0%} ({share.low * 100:.0f} - {share.high * 100:.0f})".replace("%", " %")


def bar(share: float) -> str:
    """A bar that is full at 100 %, with a ``+`` where there is more."""
    full = min(BAR, round(share * BAR))
    return "█" * full + "░" * (BAR - full) + ("+" if share > 1 + 1 / BAR else "")


def _verdicts(done: Sequence[Measurement]) -> Iterator[str]:
    """What is fast, what is slow and against which bound, and whether others used the processor."""
    fast = [one.case.name for one in done if one.share and one.share.value >= FAST]
    slow = [one for one in done if one.share and one.share.value < SLOW]
    disturbed = [one.case.name for one in done if one.busy < CALM and one.case.is_steady]
    if fast:
        yield f"\nfast ({FAST * 100:.0f} % of the bound or more): {', '.join(fast)}"
    for one in sorted(slow, key=_share):
        yield f"slow: {one.case.name}: {_share(one) * 100:.0f} % of {one.case.bound}"
    if disturbed:
        names = ", ".join(disturbed)
        yield f"other programs used the processor meanwhile, so that the rates of these are too low: {names}"


def _share(one: Measurement) -> float:
    return one.share.value if one.share else 0.0


def _peers(done: Sequence[Measurement]) -> Iterator[str]:
    """How many times as fast as other packages, and whether their answers are the same."""
    rows = [
        (one.case.name, peer, f"{times.value:.1f} x ({times.low:.1f} - {times.high:.1f})", one.how[peer])
        for one in done
        for peer, times in one.peers.items()
    ]
    if rows:
        yield "\n" + table(("case", "against", "as fast", "its answer, beside the one that ours is checked by"), rows)
    left_out = [(one.case.name, peer, str(why)) for one in done for peer, why in one.left_out.items()]
    if left_out:
        yield "\n" + table(("case", "not timed", "why"), left_out)


def _costs(paid: Sequence[Measurement]) -> Iterator[str]:
    """What a thousand slides take, and why energy is not known where it is not."""
    if paid:
        yield "\n" + table((SCALE, *HEADER), [(one.case.name, *cost_cells(one)) for one in paid])
        yield f"\n{READ_AS}"
    for why in dict.fromkeys(why for one in paid for why in one.no_energy):
        yield f"missing: energy: {why}"
    if any(one.joules for one in paid):
        yield "energy is that of whole processors and GPUs, with all that ran on them meanwhile"
