"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    is_so: Callable[[], object],
    seconds: float = 60,
    explain: Callable[[], str] = lambda: "waited in vain",
    *,
    pause: float = 0.02,
) -> None:
    """Look every ``pause`` seconds until ``is_so()``. Raises TimeoutError with ``explain()`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {explain()}")
        time.sleep(pause)
