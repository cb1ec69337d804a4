"""Which kept figures can be: lines of a history come from elsewhere, and a page is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Of a rate, a ratio or a share: what is beyond was never measured, and ratios of what is within can be computed.
LEAST, MOST = 1e-15, 1e15
MOST_LETTERS = 1000  # of a text; why a package was not timed is a sentence
INTERVAL = {"value", "low", "high"}
ABOVE_0 = {"rounds", "bound_rate", "base", "size"}
FROM_0 = {"queue"}  # a free node takes a job within the second in which it was sent, and accounting counts seconds
BELOW_0 = {"split", "within"}  # workers count tenths of a second, so that a part of the time may come out below 0


def flaws(found: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """What in a line cannot be, each with its name."""
    if found.keys() == INTERVAL:
        least, rule = (0, "0 <=") if FROM_0 & set(name.split(".")) else (LEAST, "0 <")
        if not least <= found["low"] <= found["value"] <= found["high"] <= MOST:
            yield f"{name}: value, low and high are not {rule} low <= value <= high <= {MOST:g}"
        return
    for key, value in found.items():
        yield from _flaws_of_part(value, key, f"{name}.{key}" if name else key)


def _flaws_of_part(value: Any, key: str, name: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (f"{name}: a name of {len(one):,} letters" for one in value if len(one) > MOST_LETTERS)
        yield from flaws(value, name)
    elif isinstance(value, str):
        if len(value) > MOST_LETTERS:
            yield f"{name}: {len(value):,} letters, more than {MOST_LETTERS:,}"
    elif isinstance(value, Sequence):
        if key == "sizes" and not value:
            yield f"{name}: empty"
        for one in value:
            yield from _flaws_of_part(one, key, name)
    elif value is not None:
        yield from _flaws_of_number(value, key, name)


def _flaws_of_number(value: float, key: str, name: str) -> Iterator[str]:
    least = -MOST if BELOW_0 & set(name.split(".")) else LEAST if key in ABOVE_0 else 0
    if not least <= value <= MOST:
        yield f"{name}: not from {least:g} to {MOST:g}"
