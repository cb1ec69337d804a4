"""What ``import-features`` prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.stages import outcome_line
from hypoxia_hpc.errors import some, some_names

if TYPE_CHECKING:
    from pathlib import Path

    from hypoxia_hpc.stages.import_features import Imported


def imported_text(made: Imported, run: Path) -> Iterator[str]:
    """What is in the run now, what is not, and what was left aside."""
    outcome = made.outcome
    yield outcome_line(outcome)
    if made.strange:
        yield f"of no slide: {some(len(made.strange), 'file')} ({some_names([str(path) for path in made.strange])})"
    for reason in sorted({receipt.reason for receipt in outcome.quarantined}):
        names = [receipt.name for receipt in outcome.quarantined if receipt.reason == reason]
        yield f"quarantined, {reason}: {some(len(names), 'slide')} ({some_names(names)})"
    yield f"next: hypoxia-hpc run {shlex.quote(str(run))}"
