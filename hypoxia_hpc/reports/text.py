"""Values to text for readers: rounded, grouped, and free of control characters."""

from __future__ import annotations

import math
import re

# C0 and C1 controls but tab and newline, and the marks that reorder text (a name must not read as another one).
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
# os.fsdecode makes these from file names that are not UTF-8; no encoder accepts them.
_SURROGATE = re.compile("[\ud800-\udfff]")
MISSING = "–"  # noqa: RUF001 - a dash, as typeset


def clean(text: str) -> str:
    """``text`` without control characters and bidirectional overrides; lone surrogates become U+FFFD."""
    return _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))


def one_line(text: str) -> str:
    """Clean text with one space in place of every run of white space."""
    return " ".join(clean(text).split())


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` decimals; a dash for None, NaN and infinity."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """``0.820–1.000``, ``-0.100 to 0.200``; empty when an end is missing."""  # noqa: RUF002
    ends = [fixed(low, digits), fixed(high, digits)]
    if MISSING in ends:
        return ""
    return (" to " if ends[0].startswith("-") else MISSING).join(ends)


def thousands(value: float | None) -> str:
    """A whole number with its thousands separated; a dash for None."""
    return MISSING if value is None else f"{round(value):,}"


def percent(part: float, whole: float) -> str:
    """``part`` of ``whole`` in per cent, whole numbers; a dash when there is no whole."""
    return MISSING if not whole else f"{100 * part / whole:.0f} %"


def duration(seconds: float) -> str:
    """``0.42 s``, ``12.3 s``, ``4 min 05 s``, ``3 h 07 min``, ``2 d 04 h``."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60:02d} h"


def rate(count: int | None, seconds: float) -> str:
    """Count per second: whole numbers from 10 on, one decimal below; a dash where it is not known."""
    if count is None or not seconds:
        return MISSING
    return thousands(count / seconds) if count / seconds >= 9.95 else fixed(count / seconds, 1)


def nbytes(number: int | None) -> str:
    """``512 B``, ``4.1 GB``; a dash for None."""
    if number is None:
        return MISSING
    value, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def count_of(number: int, noun: str) -> str:
    """``1 slide``, ``2 slides``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def p_value(p: float) -> str:
    """``p = 0.03``, ``p < 0.001``; two digits that count."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
