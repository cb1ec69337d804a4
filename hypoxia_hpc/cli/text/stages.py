"""What stages show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypoxia_hpc.records import Receipt
    from hypoxia_hpc.workers.slide_stage import StageOutcome


def outcome_line(outcome: StageOutcome) -> str:
    """What a per-slide stage did, in one line."""
    parts = [f"{len(outcome.made)} done now", f"{len(outcome.found)} done before"]
    if outcome.quarantined:
        parts.append(f"{len(outcome.quarantined)} quarantined ({reasons(outcome.quarantined)})")
    if outcome.not_ready:
        parts.append(f"{len(outcome.not_ready)} not ready")
    return f"{outcome.stage}: {', '.join(parts)}"


def reasons(receipts: Iterable[Receipt]) -> str:
    """``no-tissue 3, no-mpp 1``: most frequent first."""
    counts = Counter(receipt.reason for receipt in receipts)
    return ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
