"""A part of benchmarks/SCALING.md is made anew, and says the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PAGE = (BENCHMARKS / "SCALING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def study() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import scaling_study

        yield scaling_study
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_rows_of_the_answers_are_made_anew(study: ModuleType) -> None:
    for one in study.scales_of(study.DEFAULTS, [16, 1024]):
        assert study.answer_row(study.DEFAULTS, one) in PAGE.splitlines()


def test_what_is_assumed_is_what_the_code_assumes(study: ModuleType) -> None:
    found = study.assumptions()
    for name in ("sizes", "mean_seconds", "tiles", "tiles_origin", "tile_origin", "scatter"):
        assert found[name] in PAGE
    assert f"{found['start_ups']['extract'].operations:,}" in PAGE


def test_what_was_validated_is_what_the_page_shows(study: ModuleType) -> None:
    validated = json.loads((BENCHMARKS / "simulation.json").read_text(encoding="utf-8"))
    assert len(validated["setups"]) >= 6
    assert [line for line in study.validation_table(validated["setups"]) if line not in PAGE.splitlines()] == []


@pytest.mark.long  # 5 min
def test_the_whole_page_is_made_anew(study: ModuleType) -> None:
    validated = json.loads((BENCHMARKS / "simulation.json").read_text(encoding="utf-8"))
    assert study.page(validated) == PAGE
    assert study.curves_svg() == (BENCHMARKS / "scaling_curves.svg").read_text(encoding="utf-8")
