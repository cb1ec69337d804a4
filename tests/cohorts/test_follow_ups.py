"""Times and events of a user's table: what is read, what is left out, and what is refused with words that help."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.cohorts.follow_ups import FollowUps, Words, follow_ups
from hypoxia_hpc.errors import InputError

PLAIN = Words("time", "event", "months", ("1",), ("0",))


def read(times: list[str], events: list[str], words: Words = PLAIN) -> FollowUps:
    return follow_ups([f"P{number}" for number in range(len(times))], times, events, words)


def test_what_can_be_used_and_what_is_left_out() -> None:
    found = read(["12", "3.5", "", "7", "0", "4,5"], ["1", "0", "1", "", "1", "1"])
    np.testing.assert_array_equal(found.time, [12, 3.5, np.nan, np.nan, np.nan, 4.5])
    assert found.event[[0, 1, 5]].tolist() == [1, 0, 1]
    assert found.left_out == {"no time": ["P2"], "no event": ["P3"], "time of 0: not watched at all": ["P4"]}


def test_words_that_are_explained() -> None:
    words = PLAIN._replace(events=("1:DECEASED", "dead"), censored=("0:LIVING",))
    assert read(["1", "2", "3"], ["dead", "0:LIVING", "1:DECEASED"], words).event.tolist() == [1, 0, 1]


def test_whole_numbers_may_have_decimals() -> None:
    """As pandas writes them beside empty cells."""
    found = read(["1", "2", "3", "4"], ["1.0", "0.0", "", "0,0"])
    assert found.event[[0, 1, 3]].tolist() == [1, 0, 0] and found.left_out == {"no event": ["P2"]}
    words = PLAIN._replace(events=("2.0",), censored=("1",))
    assert read(["1", "2"], ["2", "1.0"], words).event.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("events", "remedy"),
    [
        (["1:DECEASED", "0:LIVING"], 'event_words = ["1:DECEASED"] and censored_words = ["0:LIVING"]'),
        (["2", "1"], 'event_words = ["2"] and censored_words = ["1"]'),
        (["x", 'a "b"'], 'event_words = ["DECEASED"]'),
    ],
)
def test_words_that_are_not_explained(events: list[str], remedy: str) -> None:
    with pytest.raises(InputError, match="does not explain") as error:
        read(["1", "2"], events)
    assert remedy in error.value.remedy and len(error.value.offending) == 2


@pytest.mark.parametrize("cell", ["-3", "soon", "nan", "inf", "1_000"])
def test_times_that_are_none(cell: str) -> None:
    with pytest.raises(InputError, match="is no time") as error:
        read(["5", cell], ["1", "1"])
    assert error.value.offending == (f"P1: time {cell!r}",)


def test_units() -> None:
    """A century is the most; where some are within it, units may be mixed; and what is far from the others is noted."""
    with pytest.raises(InputError, match="more than 100 years, the times being months; the other 1 are shorter"):
        read(["12", "3650"], ["1", "1"])
    assert read(["3650"], ["1"], PLAIN._replace(unit="days")).time[0] == 3650
    assert "units are mixed" in read(["12", "20", "15", "9", "456"], ["1"] * 5).notes[0], "days among months"
    assert read(["12", "20", "15", "9", "70"], ["1"] * 5).notes == ()
