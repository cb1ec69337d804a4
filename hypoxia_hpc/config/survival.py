"""[survival]: who lives longer, by the phenotypes of a patient's tiles, by a model's predictions, or by any column."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import ADDED, Table
from hypoxia_hpc.config.outcome import ColumnName


class SurvivalTable(Table):
    """[survival]: who lives longer, by the phenotypes of a patient's tiles, by a model's predictions, or by any
    column."""

    of: Literal["none", "phenotypes", "predictions", "columns"] = Field(
        "none",
        description='what the risk is made of: "phenotypes": the shares of a patient\'s tiles in each cluster; '
        '"predictions": what a model says of a patient; "columns": columns of patients.csv; "none": no such stage',
        json_schema_extra=ADDED,
    )
    columns: tuple[ColumnName, ...] = Field(
        (), strict=False, description='columns of patients.csv, of = "columns"', json_schema_extra=ADDED
    )
    model: ColumnName | None = Field(
        None, description='of = "predictions": the head; default: the first', json_schema_extra=ADDED
    )
    times: tuple[ColumnName, ...] = Field(
        ("time",),
        min_length=1,
        max_length=8,
        strict=False,
        description="columns with the time of follow-up, one for each endpoint (overall, disease-free); where neither "
        'times nor events are named: those of an [outcome] of kind "survival"',
        json_schema_extra=ADDED,
    )
    events: tuple[ColumnName, ...] = Field(
        ("event",),
        min_length=1,
        max_length=8,
        strict=False,
        description="columns that say whether the event came, in the order of times",
        json_schema_extra=ADDED,
    )
    time_unit: Literal["days", "weeks", "months", "years"] = Field(
        "months", description="unit of all times", json_schema_extra=ADDED
    )
    event_words: tuple[ColumnName, ...] = Field(
        ("1",),
        min_length=1,
        strict=False,
        description='what stands for the event, as "DECEASED"',
        json_schema_extra=ADDED,
    )
    censored_words: tuple[ColumnName, ...] = Field(
        ("0",),
        min_length=1,
        strict=False,
        description='what stands for none so far, as "LIVING"',
        json_schema_extra=ADDED,
    )
    composition: Literal["reference", "log-ratio"] = Field(
        "reference",
        description='shares sum to one, so one cluster is left out: "reference": shares as they are; "log-ratio": '
        "log(share / share of the one left out), a share of 0 counting as half a tile",
        json_schema_extra=ADDED,
    )
    reference: ColumnName | None = Field(
        None, description="the cluster that is left out; default: the largest in discovery", json_schema_extra=ADDED
    )
    screen_p: float = Field(
        0.05, gt=0, le=1, description="most p of a column by itself, to be fitted with others; 1: no screen",
        json_schema_extra=ADDED,
    )  # fmt: skip
    least_carriers: float = Field(
        5.0,
        ge=2,
        le=1000,
        description="a column whose spread comes from fewer patients is left out",
        json_schema_extra=ADDED,
    )
    events_per_column: float = Field(
        10.0,
        ge=1,
        le=1000,
        description="events that are needed for each column fitted with others",
        json_schema_extra=ADDED,
    )
    ridge: float = Field(
        0.0, ge=0, le=1e6, description="penalty on log hazard ratios per standard deviation", json_schema_extra=ADDED
    )
    ties: Literal["efron", "breslow"] = Field(
        "efron", description="how equal times are counted", json_schema_extra=ADDED
    )
    cut: float = Field(
        0.5, gt=0, lt=1, description="share of discovery patients with the lower risk; 0.5 cuts at their median",
        json_schema_extra=ADDED,
    )  # fmt: skip
    adjust: tuple[ColumnName, ...] = Field(
        (), strict=False, description="columns of patients.csv to adjust for, as stage and age", json_schema_extra=ADDED
    )
    treatment: ColumnName | None = Field(
        None, description="column of patients.csv whose interaction with the risk is tested", json_schema_extra=ADDED
    )
    subgroups: tuple[ColumnName, ...] = Field(
        (),
        strict=False,
        description="columns of patients.csv in whose groups the risk is looked at",
        json_schema_extra=ADDED,
    )
    horizons: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (),
        max_length=20,
        strict=False,
        description="times at which areas and Brier scores are given; default: quartiles of the events of discovery",
        json_schema_extra=ADDED,
    )
    bootstrap: int = Field(
        200, ge=20, le=100000, description="resamplings that the optimism is estimated from", json_schema_extra=ADDED
    )
    folds: int = Field(
        5, ge=2, le=20, description="parts of discovery, each given its risk by a signature of the others",
        json_schema_extra=ADDED,
    )  # fmt: skip

    @model_validator(mode="after")
    def _endpoints_are_pairs(self) -> SurvivalTable:
        if len(self.times) != len(self.events):
            raise ValueError(
                f"one column of events for each of times, got {len(self.times)} times and {len(self.events)} events"
            )
        if len(set(self.times)) != len(self.times):
            raise ValueError(f"times: each column once, got {', '.join(self.times)}")
        if both := sorted(set(self.event_words) & set(self.censored_words)):
            raise ValueError(f"{', '.join(both)} cannot be an event word and a censored word")
        if self.of == "columns" and not self.columns:
            raise ValueError('of = "columns" needs columns of patients.csv, as columns = ["age"]')
        return self

    @property
    def is_asked(self) -> bool:
        """Is it said what risks are made of?"""
        return self.of != "none"

    @property
    def covariates(self) -> tuple[str, ...]:
        """The columns of patients.csv that are read beside times and events, each once."""
        treatment = (self.treatment,) if self.treatment else ()
        return tuple(dict.fromkeys((*self.columns, *self.adjust, *treatment, *self.subgroups)))
