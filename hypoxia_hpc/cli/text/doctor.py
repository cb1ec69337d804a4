"""What ``doctor`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import MOST_ROWS, first_line, grouped, table
from hypoxia_hpc.errors import some

if TYPE_CHECKING:
    from hypoxia_hpc.monitoring.checks import Check

# How many slides of a verdict the table shows where there are more than it has rows.
SHOWN = {"note": MOST_ROWS, "ok": 0}


def doctor_text(found: Sequence[Check]) -> Iterator[str]:
    """One table of everything but slides that are bad, which come below it: each reason once, with its remedy and the
    slides under it. Where slides are many, none that is well is shown, and of others the first twenty."""
    slides = {verdict: [one for one in found if one.slide and one.verdict == verdict] for verdict in SHOWN}
    kept = {verdict: ones[: SHOWN[verdict]] if len(ones) > MOST_ROWS else ones for verdict, ones in slides.items()}
    shown = [one for one in found if not one.slide or one in kept.get(one.verdict, ())]
    yield table(["check", "", "found"], [[one.name, one.verdict, first_line(one.detail)] for one in shown])
    for verdict, ones in slides.items():
        if more := len(ones) - len(kept[verdict]):
            yield f"… and {some(more, 'slide')} {verdict} (--json has all)"
    bad = [one for one in found if one.verdict == "bad"]
    yield from (f"\n{one.name}: {one.detail}" for one in bad if not one.slide and "\n" in one.detail)
    rows = [(f"bad, {one.reason}", one.remedy, [one.slide, first_line(one.detail)]) for one in bad if one.slide]
    yield from grouped(["slide", ""], rows)
    yield f"\n{len(bad)} bad" if bad else "\nnothing bad"
