"""What outcomes of named classes share: a label is the number of a class, from 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Label


@dataclass(frozen=True)
class NamedClasses(Outcome):
    """Classes by name, in the order of run.toml."""

    def named(self, cell: str) -> int | None:
        """The number of the class of this name, in any case; None where it is none."""
        names = [composed(name).casefold() for name in self.table.classes]
        said = composed(cell).casefold()
        return names.index(said) if said in names else None

    def shown(self, label: Label) -> str:
        return self.table.classes[class_of(label)]

    def untrainable(self, labels: Sequence[Label]) -> str:
        counts = self.counts(labels)
        if all(counts):
            return ""
        found = ", ".join(f"{n} {name}" for n, name in zip(counts, self.table.classes, strict=True))
        return f"lack a class: {found}; some of each are needed"

    def counts(self, labels: Sequence[Label]) -> list[int]:
        """How many labels are of each class."""
        return [sum(class_of(label) == number for label in labels) for number in range(len(self.table.classes))]

    @property
    def balance_columns(self) -> tuple[str, ...]:
        return self.table.classes

    def balance(self, labels: Sequence[Label]) -> list[str]:
        return [f"{n:,}" for n in self.counts(labels)]

    def strata(self, labels: Sequence[Label]) -> list[str]:
        return [str(class_of(label)) for label in labels]

    @property
    def needed_strata(self) -> Mapping[str, str]:
        return {str(number): name for number, name in enumerate(self.table.classes)}


def class_of(label: Label) -> int:
    """The number of a class. Raises TypeError for a label of another kind of outcome."""
    if not isinstance(label, int):
        raise TypeError(f"{label!r} is no number of a class")
    return label
