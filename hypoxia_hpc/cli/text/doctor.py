"""What ``doctor`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import MOST_ROWS, first_line, some, table

if TYPE_CHECKING:
    from hypoxia_hpc.monitoring.checks import Check

# How many slides of a verdict are shown where there are more than a table has.
SHOWN = {"bad": MOST_ROWS, "note": MOST_ROWS, "ok": 0}


def doctor_text(found: Sequence[Check]) -> Iterator[str]:
    """Everything but slides where these are many: of those that are well none then, of others the first twenty."""
    slides = {verdict: [one for one in found if _is_slide(one) and one.verdict == verdict] for verdict in SHOWN}
    kept = {verdict: ones[: SHOWN[verdict]] if len(ones) > MOST_ROWS else ones for verdict, ones in slides.items()}
    shown = [one for one in found if not _is_slide(one) or one in kept[one.verdict]]
    yield table(["check", "", "found"], [[one.name, one.verdict, first_line(one.detail)] for one in shown])
    for verdict, ones in slides.items():
        if more := len(ones) - len(kept[verdict]):
            yield f"… and {some(more, 'slide')} {verdict} (--json has all)"
    bad = [one for one in found if one.verdict == "bad"]
    yield from (f"\n{one.name}: {one.detail}" for one in bad if one in shown and "\n" in one.detail)
    yield f"\n{len(bad)} bad" if bad else "\nnothing bad"


def _is_slide(one: Check) -> bool:
    return one.name.startswith("slide ")
