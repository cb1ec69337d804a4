"""What the page shows, by the kind of outcome. To add one: its file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from hypoxia_hpc.config.outcome import OutcomeKind
from hypoxia_hpc.reports.kinds.binary import BinaryPage
from hypoxia_hpc.reports.kinds.classes import ClassesPage
from hypoxia_hpc.reports.kinds.kind import Kind
from hypoxia_hpc.reports.kinds.score import ScorePage
from hypoxia_hpc.reports.kinds.survival import SurvivalPage

KINDS: Mapping[OutcomeKind, Kind] = {
    "binary": BinaryPage(),
    "classes": ClassesPage(),
    "score": ScorePage(),
    "survival": SurvivalPage(),
}
