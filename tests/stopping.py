"""An event that stops what looks at it, after a number of looks."""

from __future__ import annotations

import threading


class StopAt(threading.Event):
    """Set when it is asked for the n-th time; ``left`` says how often it can still be asked."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0
