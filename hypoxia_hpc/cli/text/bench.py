"""What bench prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hypoxia_hpc.bench.case import Case
from hypoxia_hpc.bench.costs import HEADER, PAID, READ_AS, SCALE, cost_cells
from hypoxia_hpc.bench.environment import OF_GPUS, Environment, gpu_figures_missing
from hypoxia_hpc.bench.measuring import Measurement, Spread
from hypoxia_hpc.cli.text.words import table
from hypoxia_hpc.errors import some

BAR = 20  # places of a share of 100 %
FAST, SLOW = 0.85, 0.5
# Above this share of the cores' time what others used is named.
CALM = 0.1
BEATEN = (
    "surely above 100 %: the work leaves out some of what its bound does, as tiles that are screened, or has more cores"
)
# An interval of a share that is longer than this says little.
WIDE = 0.5


def cases_text(cases: Sequence[Case]) -> str:
    """The table of cases."""
    rows = [
        (case.name, case.topic, "yes" if case.is_quick else "", case.unit, case.bound, case.summary) for case in cases
    ]
    return table(("case", "topic", "quick", "unit", "held against", "what is done"), rows)


def figures_text(measured: Sequence[Measurement], where: Environment, history: Path, n_kept: int) -> Iterator[str]:
    """The table of figures, what is fast and slow, peers, what a run costs, what could not be measured, and where
    figures are kept: the first ``n_kept`` of them, all unless a file failed."""
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
    of_gpus = [one for one in measured if one.case.topic in OF_GPUS]
    if of_gpus and all(one.gpu_seconds is None for one in of_gpus):
        yield f"\nmissing: figures of a GPU: {gpu_figures_missing(where)}"
    if n_kept < len(done):
        yield f"\nnot kept: {', '.join(one.case.name for one in done[n_kept:])}"
    if n_kept:
        yield f"\nkept in {history}; hypoxia-hpc bench report makes a page of it"


def machine_text(where: Environment) -> str:
    """The machine in a line."""
    driver = f" (driver {where.driver})" if where.driver else ""
    gpus = ", ".join(where.gpus) + driver if where.gpus else "no GPU"
    disk = f", {where.file_system}" if where.file_system else ""
    return f"{where.processor}: {some(where.cores, 'core')}, {where.memory_gb:g} GB, {gpus}{disk}"


def _row(one: Measurement) -> tuple[str, ...]:
    assert one.rate is not None  # noqa: S101 - rows are of what was measured
    assert one.share is not None  # noqa: S101
    rate = f"{rate_text(one.rate.value):>10} {one.case.unit}"
    return one.case.name, rate, percent(one.share), bar(one.share.value), one.case.bound


def rate_text(rate: float) -> str:
    """``12,346``; of small ones two digits: ``2.7``."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def percent(share: Spread) -> str:
    """``91 % (88 - 99)``."""
    return f"{share.value:4.0%} ({share.low * 100:.0f} - {share.high * 100:.0f})".replace("%", " %")


def bar(share: float) -> str:
    """A bar that is full at 100 %, with a ``+`` where there is more."""
    full = min(BAR, round(share * BAR))
    return "█" * full + "░" * (BAR - full) + ("+" if share > 1 + 1 / BAR else "")


def _verdicts(done: Sequence[Measurement]) -> Iterator[str]:
    """What is surely fast, what is surely slow and against which bound, what is too noisy to say, and whether others
    used the processor."""
    shares = [(one, one.share) for one in done if one.share]
    fast = [one.case.name for one, share in shares if share.low >= FAST]
    slow = [(one, share) for one, share in shares if share.high < SLOW]
    noisy = [one.case.name for one, share in shares if share.high - share.low > WIDE]
    disturbed = [f"{one.case.name} ({one.others * 100:.0f} %)" for one in done if one.others > CALM]
    if fast:
        yield f"\nfast (surely {FAST * 100:.0f} % of the bound or more): {', '.join(fast)}"
    for one, share in sorted(slow, key=lambda pair: pair[1].value):
        yield f"slow: {one.case.name}: {share.value * 100:.0f} % of {one.case.bound}"
    if noisy:
        yield f"too noisy to say much, measure again on a quiet machine: {', '.join(noisy)}"
    if any(share.low > 1 for _, share in shares):
        yield BEATEN
    if disturbed:
        names = ", ".join(disturbed)
        yield f"other programs used the cores meanwhile (share of their time), and these rates are too low: {names}"


def _peers(done: Sequence[Measurement]) -> Iterator[str]:
    """How many times as fast as other packages, and whether their answers are the same."""
    rows = [
        (one.case.name, peer, f"{times.value:.1f} x ({times.low:.1f} - {times.high:.1f})", one.how[peer])
        for one in done
        for peer, times in one.peers.items()
    ]
    if rows:
        yield "\n" + table(("case", "against", "as fast", "how its answer compares"), rows)
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
