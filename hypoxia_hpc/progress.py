"""How a stage tells what it is doing without printing: the command line listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Progress of one stage at a time."""

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        """A stage starts: so many items (slides, epochs) of so much cost together."""

    def count(self, n: int) -> None:
        """So many tiles more."""

    def item(self, cost: float) -> None:
        """An item of this cost is finished."""

    def note(self, text: str) -> None:
        """Something the user wants to know now, in one line."""

    def end(self) -> None:
        """The stage is over."""


class NoProgress:
    """A listener that says nothing."""

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        """Says nothing."""

    def count(self, n: int) -> None:
        """Says nothing."""

    def item(self, cost: float) -> None:
        """Says nothing."""

    def note(self, text: str) -> None:
        """Says nothing."""

    def end(self) -> None:
        """Says nothing."""
