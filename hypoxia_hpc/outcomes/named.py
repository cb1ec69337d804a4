"""What outcomes of named classes share: a label is the number of a class, from 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Label


@dataclass(frozen=True)
class NamedClasses(Outcome):
    """Classes by name, in the order of run.toml."""

    def named(self, cell: str) -> int | None:
        """The number of the class of this name, in any case; None where it is none."""
        names = [name.casefold() for name in self.table.classes]
        return names.index(cell.casefold()) if cell.casefold() in names else None

    def shown(self, label: Label) -> str:
        return self.table.classes[class_of(label)]

    def untrainable(self, labels: Sequence[Label]) -> str:
        counts = [sum(class_of(label) == number for label in labels) for number in range(len(self.table.classes))]
        if all(counts):
            return ""
        found = ", ".join(f"{n} {name}" for n, name in zip(counts, self.table.classes, strict=True))
        return f"lack a class: {found}; some of each are needed"

    def strata(self, labels: Sequence[Label]) -> list[str]:
        return [str(class_of(label)) for label in labels]

    @property
    def needed_strata(self) -> tuple[str, ...]:
        return tuple(str(number) for number in range(len(self.table.classes)))


def class_of(label: Label) -> int:
    """The number of a class. Raises TypeError for a label of another kind of outcome."""
    if not isinstance(label, int):
        raise TypeError(f"{label!r} is no number of a class")
    return label
