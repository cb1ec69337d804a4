"""The kinds of outcome by their names in run.toml. To add one: its file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from hypoxia_hpc.config.outcome import OutcomeTable
from hypoxia_hpc.outcomes.binary import Binary
from hypoxia_hpc.outcomes.classes import Classes
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.score import Score
from hypoxia_hpc.outcomes.survival import Survival

OUTCOMES: Mapping[str, type[Outcome]] = {kind.kind: kind for kind in (Binary, Classes, Score, Survival)}
BINARY = Binary()


def outcome_of(table: OutcomeTable) -> Outcome:
    """The outcome that run.toml asks for."""
    return OUTCOMES[table.kind](table)
