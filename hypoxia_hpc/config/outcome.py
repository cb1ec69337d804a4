"""[outcome]: what is asked of a patient."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from hypoxia_hpc.config.base import LINE_PATTERN, Table
from hypoxia_hpc.config.text_paths import composed

OutcomeKind = Literal["binary", "classes", "score", "survival"]
OUTCOME_KINDS: tuple[OutcomeKind, ...] = get_args(OutcomeKind)
MOST_CLASSES = 100
# A tag of HTML. Pages show every name as text; no name of a class needs to rely on that.
_TAG = re.compile(r"<[A-Za-z/!?]")
# Shown in tables and pictures, and a part of column names of predictions.
ClassName = Annotated[str, Field(min_length=1, max_length=64, pattern=LINE_PATTERN)]
ColumnName = Annotated[str, Field(min_length=1, max_length=128, pattern=LINE_PATTERN)]


class OutcomeTable(Table):
    """[outcome]: what is asked of a patient, and which columns of patients.csv have the answer."""

    kind: OutcomeKind = Field(
        "binary",
        description='"binary": one of two classes; "classes": one of several; "score": a number; "survival": how long '
        "until an event",
    )
    column: ColumnName = Field("label", description="column of patients.csv with the class or the number")
    classes: tuple[ClassName, ...] = Field(
        ("normoxic", "hypoxic"),
        max_length=MOST_CLASSES,
        strict=False,
        description="names of the classes in their order; of two, the second is the positive one",
    )
    time: ColumnName = Field("time", description='column with the time of follow-up; kind = "survival"')
    event: ColumnName = Field("event", description='column with 1 for the event, 0 for censored; kind = "survival"')

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if any(name != name.strip() for name in classes):
            raise ValueError(f"names without blanks around them, got {list(classes)}")
        if tags := [name for name in classes if _TAG.search(name)]:
            raise ValueError(f"names that are plain text, not HTML, got {tags}")
        if len({composed(name).casefold() for name in classes}) != len(classes):
            raise ValueError(f"names that differ in more than case, got {list(classes)}")
        return classes

    @model_validator(mode="after")
    def _as_many_classes_as_the_kind_has(self) -> OutcomeTable:
        n = len(self.classes)
        if self.kind == "binary" and n != 2:
            raise ValueError(f'kind = "binary" has two classes, got {n}; for more, kind = "classes"')
        if self.kind == "classes" and n < 3:
            raise ValueError(f'kind = "classes" has three classes or more, got {n}; for two, kind = "binary"')
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of patients.csv that are read for it."""
        return (self.time, self.event) if self.kind == "survival" else (self.column,)
