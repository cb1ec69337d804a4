"""What ``doctor`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.words import MOST_ROWS, first_line, some, table

if TYPE_CHECKING:
    from hypoxia_hpc.monitoring.checks import Check


def doctor_text(found: Sequence[Check]) -> Iterator[str]:
    """Everything but the slides that are well, where these are many."""
    well = [one for one in found if one.name.startswith("slide ") and one.verdict == "ok"]
    left_out = well if len(well) > MOST_ROWS else []
    shown = [one for one in found if one not in left_out]
    yield table(["check", "", "found"], [[one.name, one.verdict, first_line(one.detail)] for one in shown])
    if left_out:
        yield f"… and {some(len(left_out), 'slide')} ok (--json has all)"
    bad = [one for one in found if one.verdict == "bad"]
    yield from (f"\n{one.name}: {one.detail}" for one in bad if "\n" in one.detail)
    yield f"\n{len(bad)} bad" if bad else "\nnothing bad"
