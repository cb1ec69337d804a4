"""What ``import-features`` prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypoxia_hpc.cli.text.stages import outcome_line, quarantined_text, remarks_text
from hypoxia_hpc.errors import some, some_names
from hypoxia_hpc.records import TileWork

if TYPE_CHECKING:
    from pathlib import Path

    from hypoxia_hpc.records import Receipt
    from hypoxia_hpc.stages.import_features import Imported


def imported_text(made: Imported, run: Path) -> Iterator[str]:
    """What is in the run now, what is not, and what was left aside."""
    from hypoxia_hpc.models.importing import NO_FEATURES
    from hypoxia_hpc.tiling.remarks import by_kind

    outcome = made.outcome
    yield outcome_line(outcome)
    if made.strange:
        yield f"of no slide: {some(len(made.strange), 'file')} ({some_names([str(path) for path in made.strange])})"
    yield from remarks_text(by_kind((receipt.name, _remarks(receipt)) for receipt in (*outcome.made, *outcome.found)))
    word = shlex.quote(str(run))
    yield from quarantined_text(
        [(outcome.stage, receipt) for receipt in outcome.quarantined],
        told=[receipt.name for receipt in outcome.quarantined if receipt.reason == NO_FEATURES],
        all_of_them=f"hypoxia-hpc status {word} --json has all",
    )
    if outcome.made or outcome.found:
        yield f"next: hypoxia-hpc run {word}"


def _remarks(receipt: Receipt) -> tuple[str, ...]:
    return receipt.details.remarks if isinstance(receipt.details, TileWork) else ()
