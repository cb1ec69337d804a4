"""A study: a published question, and the settings that it is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What is known of how well a question can be answered: ``text``, a sentence or two for the report. A headline
    metric of test patients above ``leak_above`` is a probable leak."""

    text: str
    leak_above: float


@dataclass(frozen=True, slots=True)
class Study:
    """A preset of run.toml. ``changes``: what differs from the defaults, as nested tables of run.toml.
    ``patient_column`` and ``label_column``: of the table of labels that the study was published with; they are looked
    for in ``--patients`` where no others are asked for. Empty: none. ``is_stained``: its images are of tissue stained
    with haematoxylin and eosin, and it is said where they do not look so."""

    name: str
    question: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    patient_column: str = ""
    label_column: str = ""
    is_stained: bool = True
    ceiling: Ceiling | None = None
