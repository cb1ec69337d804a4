"""metrics.json of another shape than this version writes is damaged, however well it is sealed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.evaluation.shape import has_shape
from hypoxia_hpc.runs.directory import RunDir, metrics_content

INTERVAL = {"value": 0.5, "low": None, "high": 1.0, "n": 3}
METRICS: dict[str, Any] = {
    "schema": 2,
    "key": "key",
    "predictions": "digest",
    "models": {"tanh": {"test": {"patient": {"roc_auc": INTERVAL}}}},
    "folds": {"tanh": {"0": {"test": {"patient": {"roc_auc": INTERVAL}}}}},
    "lead": {"model": "tanh", "metric": "roc_auc", "by": "validation patients", "ties": []},
    "chance": {"tanh": {"p": 0.5, "p_holm": 1, "method": "exact", "verdict": "above"}},
    "compared": {"colour": {"p": 0.5, "n": 3}},
    "warnings": [{"kind": "few", "text": "few patients"}],
    "unchecked": [{"check": "site", "why": "no column"}],
    "operating": {"tanh": [{"threshold": 0.5}]},
    "trained": {"tanh": "key"},
    "reference": {},
}


def places(found: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to everything in a document but into what is free: `reference` and what is in `operating`."""
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for name, value in inner:
        here = (*place, name)
        if here not in {("operating", "tanh", 0, "threshold"), ("lead", "by"), ("lead", "ties")}:
            yield here
            yield from places(value, here)


def replaced(place: tuple[Any, ...], value: object) -> dict[str, Any]:
    changed = copy.deepcopy(METRICS)
    there: Any = changed
    for name in place[:-1]:
        there = there[name]
    there[place[-1]] = value
    return changed


def test_metrics_of_this_version_have_the_shape() -> None:
    assert has_shape(METRICS)
    within = {"site": {"tanh": {"roc_auc": INTERVAL, "p": 1.0, "method": "none"}}}
    assert has_shape(METRICS | {"within": within, "probe": {"site": {}}, "groups": {"site": [{"group": "A2"}]}})
    assert has_shape({"schema": 1, "models": METRICS["models"]})


@pytest.mark.parametrize("place", [*places(METRICS)], ids=lambda place: ".".join(map(str, place)))
def test_a_value_of_another_type_has_not(place: tuple[Any, ...]) -> None:
    for value in ([["text"]], True, {"a": [1]}):
        if not (isinstance(value, dict) and place in {("reference",), ("operating", "tanh", 0)}):
            assert not has_shape(replaced(place, value)), (place, value)


@pytest.mark.parametrize("schema", [None, 0, 3, "2", [], True])
def test_another_schema_has_not(schema: object) -> None:
    assert not has_shape({**METRICS, "schema": schema})


def test_text_for_a_number_is_damage_though_it_is_sealed(tmp_path: Path) -> None:
    metrics = replaced(("models", "tanh", "test", "patient", "roc_auc", "value"), "0.9")
    RunDir(tmp_path).metrics_file.write_text(json.dumps(metrics | {"content": metrics_content(metrics)}))
    assert RunDir(tmp_path).metrics() is None
