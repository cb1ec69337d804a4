"""Survival: how follow-up is read, and how patients are dealt by it."""

import pytest

from hypoxia_hpc.config import OutcomeTable
from hypoxia_hpc.outcomes.survival import Survival
from hypoxia_hpc.records import Followed

OWN = Survival(OutcomeTable(kind="survival", time="months", event="died"))


def test_follow_up_is_read() -> None:
    assert OWN.table.columns == ("months", "died")
    assert OWN.parse(("12.5", "1")) == Followed(12.5, 1)
    assert OWN.parse(("0", "0.0")) == Followed(0.0, 0)
    assert (OWN.parse(("", "1")), OWN.parse(("3", ""))) == (None, None)
    assert (OWN.shown(Followed(12.5, 1)), OWN.shown(Followed(3, 0))) == ("12.5 event", "3 censored")


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (("-1", "1"), "is not a time of 0 to 1e[+]06 in months"),
        (("nan", "0"), "is not a time"),
        (("ten", "0"), "is not a time"),
        (("3", "2"), r"is not 0 \(censored\) or 1 \(event\) in died"),
        (("3", "dead"), "is not 0"),
    ],
)
def test_what_is_no_follow_up_is_refused(cells: tuple[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        OWN.parse(cells)


def test_without_an_event_there_is_nothing_to_learn() -> None:
    assert OWN.untrainable([Followed(1, 1), Followed(2, 0)]) == ""
    assert "0 events among 2" in OWN.untrainable([Followed(1, 0), Followed(2, 0)])
    assert "1 event among 1" in OWN.untrainable([Followed(1, 1)])


def test_strata_are_events_and_fifths_of_time() -> None:
    followed = [Followed(time, time % 2) for time in range(10)]
    assert OWN.strata(followed) == [f"{time % 2} {time // 2}" for time in range(10)]


def test_the_balance_is_of_follow_up_and_events() -> None:
    assert OWN.balance_columns == ("with a follow-up", "events", "median follow-up")
    assert OWN.balance([Followed(1, 0), Followed(2.5, 0), Followed(9, 1)]) == ["3", "1", "2.5"]
    assert OWN.balance([Followed(1, 1)]) == ["1", "1", "not reached"]
    assert OWN.balance([]) == ["0", "0", ""]
