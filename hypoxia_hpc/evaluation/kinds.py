"""The measures of every kind of outcome. To add one: its file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from hypoxia_hpc.config import EvaluateTable
from hypoxia_hpc.config.outcome import OutcomeKind
from hypoxia_hpc.evaluation.binary import BinaryMeasures
from hypoxia_hpc.evaluation.classes import ClassMeasures
from hypoxia_hpc.evaluation.measures import Measures
from hypoxia_hpc.evaluation.score import ScoreMeasures
from hypoxia_hpc.evaluation.survival import SurvivalMeasures
from hypoxia_hpc.outcomes.outcome import Outcome

MEASURES: Mapping[OutcomeKind, type[Measures]] = {
    "binary": BinaryMeasures,
    "classes": ClassMeasures,
    "score": ScoreMeasures,
    "survival": SurvivalMeasures,
}


def measures_of(outcome: Outcome, table: EvaluateTable, folds: int = 1) -> Measures:
    """The measures of an outcome as [evaluate] says, of all ``folds`` of a cross-validation together."""
    return MEASURES[outcome.kind](outcome, table, folds)
