"""How a stage reports what it does without printing: the command line shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Progress of one stage at a time."""

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        """A stage starts, with this number of items and their cost in all; ``unit`` is what one is called ("slide")."""

    def count(self, n: int) -> None:
        """This number of tiles is done."""

    def item(self, cost: float) -> None:
        """An item is done; ``cost`` is its own."""

    def note(self, text: str) -> None:
        """A line that the user sees at once."""

    def end(self) -> None:
        """The stage ends."""


class NoProgress:
    """Progress that shows nothing."""

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        """Shows nothing."""

    def count(self, n: int) -> None:
        """Shows nothing."""

    def item(self, cost: float) -> None:
        """Shows nothing."""

    def note(self, text: str) -> None:
        """Shows nothing."""

    def end(self) -> None:
        """Shows nothing."""
