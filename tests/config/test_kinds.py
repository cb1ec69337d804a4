"""What run.toml leaves out, by the kind of outcome."""

from __future__ import annotations

import pytest

from hypoxia_hpc.config import HEADS, parse_config
from hypoxia_hpc.config.kinds import DEFAULTS, defaults_of
from hypoxia_hpc.config.outcome import OUTCOME_KINDS

CLASSES = ["a", "b", "c"]


# A head that the preset of its study names.
OF_A_STUDY = ("relu",)


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_the_heads_are_all_on_features_that_predict_it(kind: str) -> None:
    names = {"classes": CLASSES} if kind == "classes" else {}
    config = parse_config({"outcome": {"kind": kind, **names}}, source="run.toml")
    able = [name for name, head in HEADS.items() if kind in head.outcomes and head.inputs == "features"]
    assert list(config.train.heads) == [name for name in able if name not in OF_A_STUDY]
    assert list(DEFAULTS) == list(OUTCOME_KINDS)


def test_what_run_toml_says_stays() -> None:
    raw = {"outcome": {"kind": "survival"}, "train": {"heads": ["attention"], "attention": {"batch_size": 8}}}
    config = parse_config(raw, source="run.toml")
    assert (config.train.heads, config.train.attention.batch_size) == (("attention",), 8)
    assert parse_config({"outcome": {"kind": "survival"}}, source="run.toml").train.attention.batch_size == 32


@pytest.mark.parametrize(
    ("survival", "columns"),
    [
        ({}, ("months", "died")),
        ({"of": "phenotypes"}, ("months", "died")),
        ({"times": ["os"]}, ("os", "event")),
        ({"events": ["os_status"]}, ("time", "os_status")),
        ({"times": ["os"], "events": ["os_status"]}, ("os", "os_status")),
    ],
)
def test_survival_goes_by_the_columns_of_the_outcome_where_it_names_none(
    survival: dict[str, object], columns: tuple[str, str]
) -> None:
    outcome = {"kind": "survival", "time": "months", "event": "died"}
    table = parse_config({"outcome": outcome, "survival": survival}, source="run.toml").survival
    assert (table.times, table.events) == ((columns[0],), (columns[1],))
    other = parse_config({"outcome": {**outcome, "kind": "binary"}, "survival": survival}, source="run.toml").survival
    assert (other.times[0] == "months", other.events[0] == "died") == (False, False)


@pytest.mark.parametrize("raw", [{}, {"outcome": "survival"}, {"outcome": {"kind": ["survival"]}}, {"outcome": {}}])
def test_what_names_no_kind_changes_nothing(raw: dict[str, object]) -> None:
    assert defaults_of(raw) == {}
