"""[train]: the split, and which models are trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, create_model, field_validator, model_validator

from hypoxia_hpc.config.base import ADDED, Fraction, Table
from hypoxia_hpc.config.heads.registry import (
    CLUSTERINGS,
    HEADS,
    USELESS_CLUSTERINGS,
    USELESS_HEADS,
    declared,
    is_on_pixels,
)
from hypoxia_hpc.config.paths import LocalPath
from hypoxia_hpc.config.search import MOST_POINTS, SearchTable
from hypoxia_hpc.records import Json


def one_of(known: Mapping[str, object], useless: Mapping[str, str]) -> AfterValidator:
    """A validator of names. ``useless``: why a name that is not ``known`` is not, where that is known."""

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(useless.get(name) or f"must be {_listed(list(known))}")
        return name

    return AfterValidator(check)


def _listed(names: Sequence[str]) -> str:
    *first, last = [repr(name) for name in names]
    return f"{', '.join(first)} or {last}" if first else last


HeadName = Annotated[str, one_of(HEADS, USELESS_HEADS)]
ClusteringName = Annotated[str, one_of(CLUSTERINGS, USELESS_CLUSTERINGS)]
MOST_FOLDS = 100
_TABLES = {name: declared(name).table for name in (*HEADS, *CLUSTERINGS)}
_ENTRIES: dict[str, Any] = {name: (table, table()) for name, table in _TABLES.items()}
_Models = create_model("_Models", __base__=Table, **_ENTRIES)


class TrainTable(_Models):
    """[train]: the split and the top models. Everything is fitted on training patients only."""

    heads: tuple[HeadName, ...] = Field(
        ("tanh", "funnel", "logistic", "attention"),
        min_length=1,
        strict=False,
        description=f"models to train: {', '.join(HEADS)}; by default those that predict the [outcome]",
    )
    clusterings: tuple[ClusteringName, ...] = Field(
        ("deep_kmeans",),
        max_length=1,
        strict=False,
        description=f"clusters of tiles: {' or '.join(json.dumps(name) for name in CLUSTERINGS)} or nothing",
    )
    folds: int = Field(
        1, ge=1, le=100, description="above 1: cross-validation by patient, each patient in the test set once"
    )
    repeats: int = Field(
        1,
        ge=1,
        le=100,
        description="cross-validation this many times, each time with other folds",
        json_schema_extra=ADDED,
    )
    split: tuple[Fraction, Fraction, Fraction] = Field(
        (0.70, 0.15, 0.15), strict=False, description="shares of patients for train, valid, test"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the split and of the training")
    keep_together: str = Field(
        "",
        max_length=200,
        description='column of patients.csv or slides.csv, as "site": patients with one value of it are never in two '
        "sets; empty: every patient by itself",
        json_schema_extra=ADDED,
    )
    split_file: LocalPath | None = Field(
        None,
        description="a split of yours, used as it is: a table with patient_id, set (train, valid, test) and, with "
        "folds, fold (from 0); relative to this file",
        json_schema_extra=ADDED,
    )
    search: SearchTable = SearchTable()

    @field_validator("heads")
    @classmethod
    def _heads_once(cls, heads: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(heads)) != len(heads):
            raise ValueError(f"each head at most once, got {list(heads)}")
        return heads

    @field_validator("split")
    @classmethod
    def _split_sums_to_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(split) - 1) > 1e-6 or split[0] == 0 or split[2] == 0:
            raise ValueError(f"three shares that sum to 1, train and test above 0; got {list(split)}")
        return split

    @model_validator(mode="after")
    def _repeats_folds(self) -> TrainTable:
        if self.repeats > 1 and self.folds == 1:
            raise ValueError(f"repeats = {self.repeats} repeats a cross-validation, so folds must be above 1")
        if self.n_folds > MOST_FOLDS:
            raise ValueError(f"folds times repeats is {self.n_folds}, and {MOST_FOLDS} at most")
        return self

    @model_validator(mode="after")
    def _searches_what_can_be_tried(self) -> TrainTable:
        problems = [problem for head in SearchTable.model_fields for problem in self._wrong_points(head)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _wrong_points(self, head: str) -> list[str]:
        n_points = self.search.n_points(head)
        problems = []
        if n_points and head not in self.heads:
            problems.append(f"search.{head}: heads does not list {head}")
        if n_points and not self.split[1]:
            problems.append(f"search.{head}: no validation patients to judge by, split[1] is 0")
        if n_points > MOST_POINTS:
            problems.append(f"search.{head}: {n_points:,} points, at most {MOST_POINTS}")
        return problems

    def table_of(self, name: str) -> Table:
        """The table of a head or clustering."""
        table: Table = getattr(self, name)
        return table

    @property
    def n_folds(self) -> int:
        """Folds of all repeats: how many models there are of each head."""
        return self.folds * self.repeats

    @property
    def on_pixels(self) -> tuple[str, ...]:
        """The heads and clusterings that are trained on the pixels of tiles."""
        return tuple(name for name in (*self.heads, *self.clusterings) if is_on_pixels(name))

    def settings_of(self, head: str, point: Json) -> Table:
        """The table of a head with the values of a search's point in it. Raises ValidationError."""
        table = self.table_of(head)
        return type(table).model_validate({**table.model_dump(), **point})
