"""One of two classes; the second is the positive one. A label is 0 or 1, a prediction the probability of 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.records import Label

# What tables have in place of names, in any case.
WORDS: Mapping[str, int] = {
    **{"0": 0, "0.0": 0, "0,0": 0, "false": 0, "no": 0, "negative": 0},
    **{"1": 1, "1.0": 1, "1,0": 1, "true": 1, "yes": 1, "positive": 1},
}


class Binary(NamedClasses):
    """kind = "binary"."""

    kind = "binary"
    link = "logistic"

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("probability",)

    @property
    def positive(self) -> str:
        """The name of class 1."""
        return self.table.classes[1]

    def called(self, said: Sequence[float], threshold: float) -> str:
        return self.table.classes[int(said[0] > threshold)]

    def parse(self, cells: Sequence[str]) -> Label | None:
        (cell,) = cells
        found = self.named(cell)
        if found is None and cell != "":
            if cell.casefold() not in WORDS:
                raise ValueError(f"is not 0, 1, {self.table.classes[0]}, {self.positive} or empty")
            found = WORDS[cell.casefold()]
        return found
