"""A study: a published question, and the settings that it is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Study:
    """A preset of run.toml. ``changes``: what differs from the defaults, as nested tables of run.toml.
    ``patient_column`` and ``label_column``: of the table of labels that the study was published with; they are looked
    for in ``--patients`` where no others are asked for. Empty: none."""

    name: str
    question: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    patient_column: str = ""
    label_column: str = ""
