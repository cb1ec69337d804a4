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
    changes = next((changes for name, changes in DEFAULTS.items() if name == kind), {})
    if kind == "survival" and isinstance(outcome, Mapping):
        return {**changes, **_endpoint_of(outcome, raw.get("survival"))}
    return changes


def _endpoint_of(outcome: Mapping[str, Any], survival: object) -> Mapping[str, Any]:
    """The columns of [outcome] for a [survival] that names none: one pair, not one of either."""
    if isinstance(survival, Mapping) and {"times", "events"} & survival.keys():
        return {}
    columns = {"times": [outcome.get("time", "time")], "events": [outcome.get("event", "event")]}
    return {"survival": columns} if all(isinstance(one[0], str) for one in columns.values()) else {}
