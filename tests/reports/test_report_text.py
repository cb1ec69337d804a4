"""Numbers and names as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.reports.text import (
    clean,
    count_of,
    duration,
    fixed,
    interval,
    nbytes,
    one_line,
    p_value,
    percent,
    rate,
    thousands,
)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0.00 s"), (0.42, "0.42 s"), (0.996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.6, "1 h 00 min"), (11220, "3 h 07 min"), (86399.9, "1 d 00 h"), (187200, "2 d 04 h"),
    ],
)  # fmt: skip
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_missing_numbers_are_a_dash() -> None:
    assert [
        fixed(None),
        fixed(math.nan),
        fixed(math.inf),
        thousands(None),
        percent(1, 0),
        rate(None, 2),
        rate(3, 0),
        nbytes(None),
    ] == ["–"] * 8  # noqa: RUF001
    assert interval(0.2, None) == interval(math.nan, 0.3) == ""


def test_numbers() -> None:
    assert fixed(0.12345) == "0.123"
    assert interval(0.82, 1.0, 2) == "0.82–1.00"  # noqa: RUF001
    assert interval(-0.1, 0.2, 1) == "-0.1 to 0.2"
    assert thousands(1234567) == "1,234,567"
    assert percent(1, 3) == "33 %"
    assert [nbytes(n) for n in (0, 999, 999_600, 4_100_000_000)] == ["0 B", "999 B", "1 MB", "4.1 GB"]
    assert [rate(1234, 1), rate(7, 2)] == ["1,234", "3.5"]
    assert [count_of(1, "slide"), count_of(2000, "slide")] == ["1 slide", "2,000 slides"]


def test_one_line_has_no_line_break() -> None:
    assert one_line(" a\n\tb\x00\u202e ") == "a b"


def test_p_values_have_two_digits_that_count() -> None:
    assert [p_value(p) for p in (0.04321, 0.5, 1.0, 0.0009)] == ["p = 0.043", "p = 0.5", "p = 1", "p < 0.001"]


def test_clean_keeps_the_text_and_drops_what_hides_in_it() -> None:
    assert clean("a\x00b\x1b[31m\x85c\u202egvs.exe\u2066\ttab\nline é 腫瘍") == "ab[31mcgvs.exe\ttab\nline é 腫瘍"
    assert clean("caf\udce9.svs") == "caf\ufffd.svs"


@given(st.text(st.characters()))
def test_clean_text_encodes_and_stays_clean(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert clean(cleaned) == cleaned
