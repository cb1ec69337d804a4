"""One of three or more classes. A label is the number of a class, a prediction a probability for each."""

from __future__ import annotations

from collections.abc import Sequence

from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.records import Label

SHOWN = 10  # names in an error


class Classes(NamedClasses):
    """kind = "classes"."""

    kind = "classes"
    link = "softmax"

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"probability_{name}" for name in self.table.classes)

    def called(self, said: Sequence[float], threshold: float) -> str:
        return self.table.classes[max(range(len(said)), key=said.__getitem__)]

    def parse(self, cells: Sequence[str]) -> Label | None:
        (cell,) = cells
        found = self.named(cell)
        if found is None and cell != "":
            names = ", ".join([*self.table.classes[:SHOWN], *(["..."] if len(self.table.classes) > SHOWN else [])])
            raise ValueError(f"is none of the classes {names}, nor empty")
        return found
