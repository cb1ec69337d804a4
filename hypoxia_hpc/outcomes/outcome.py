"""What every room asks of an outcome: how a table's cells are read, what a model says of it, how patients are dealt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from hypoxia_hpc.analysis.pooling import Link
from hypoxia_hpc.config.outcome import OutcomeKind, OutcomeTable
from hypoxia_hpc.records import Label


@dataclass(frozen=True)
class Outcome(ABC):
    """One kind of outcome, as the [outcome] table describes it. A label is what is known of one patient."""

    table: OutcomeTable = field(default_factory=OutcomeTable)

    kind: ClassVar[OutcomeKind]
    link: ClassVar[Link]
    # The columns of predictions that hold what is known of a patient, with their types in pandas.
    label_types: ClassVar[Mapping[str, str]] = {"label": "Int64"}

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """The columns of predictions: what a model says of a tile, a slide, a patient."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those of ``table.columns`` that hold numbers of any size."""
        return ()

    @abstractmethod
    def parse(self, cells: Sequence[str]) -> Label | None:
        """The label in a row's cells of ``table.columns``, None where they are empty. Raises ValueError with the rule
        that they break, to be put behind the cells: "is not 0, 1 or empty"."""

    @property
    def hint(self) -> str:
        """How to mend cells that `parse` refuses, to be put behind a sentence; empty where its rule says it all."""
        return ""

    def known(self, label: Label) -> tuple[float | int, ...]:
        """A label as the values of the columns of ``label_types``."""
        return (label,) if isinstance(label, (int, float)) else tuple(label)

    @abstractmethod
    def shown(self, label: Label) -> str:
        """A label as a reader of tables and pictures sees it."""

    @property
    @abstractmethod
    def balance_columns(self) -> tuple[str, ...]:
        """Headings of what :meth:`balance` says."""

    @abstractmethod
    def balance(self, labels: Sequence[Label]) -> list[str]:
        """What a reader wants to know of the labels of some patients before a model is trained, as cells of a table:
        how many have which class, or how the numbers lie."""

    def called(self, said: Sequence[float], threshold: float) -> str:
        """The name of the class that is called by what a model says (``outputs``); empty where there are no classes."""
        return ""

    @abstractmethod
    def strata(self, labels: Sequence[Label]) -> list[str]:
        """The stratum of each label: what a split spreads evenly over its sets."""

    @property
    def needed_strata(self) -> Mapping[str, str]:
        """The strata that every set of a split has to hold, with their names for a reader; none where they are spread
        alone."""
        return {}

    @abstractmethod
    def untrainable(self, labels: Sequence[Label]) -> str:
        """Why no model can be trained on patients with these labels, to be put behind "the patients"; empty where one
        can."""

    @property
    def n_outputs(self) -> int:
        return len(self.outputs)
