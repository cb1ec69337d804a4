"""What run.toml leaves out where [outcome] asks for another kind than two classes: like a study, as differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypoxia_hpc.config.outcome import OutcomeKind

# Cox's partial likelihood compares the patients of a step with each other: with 4 there is hardly anyone to compare.
DEFAULTS: Mapping[OutcomeKind, Mapping[str, Any]] = {
    "binary": {},
    "classes": {"train": {"heads": ["tanh", "logistic", "attention"]}},
    "score": {"train": {"heads": ["funnel", "linear", "attention"]}},
    "survival": {"train": {"heads": ["linear", "attention"], "attention": {"batch_size": 32}}},
}


def defaults_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the kind of outcome of a run.toml changes; nothing where it names none that there is."""
    outcome = raw.get("outcome")
    kind = outcome.get("kind") if isinstance(outcome, Mapping) else None
    return next((changes for name, changes in DEFAULTS.items() if name == kind), {})
