"""An error says what is wrong, with what, and what to do; and it survives the way back from a worker process."""

from __future__ import annotations

import pickle

import pytest

from hypoxia_hpc.errors import (
    HypoxiaError,
    InputError,
    MachineError,
    NotReadyError,
    SlideError,
    Stopped,
    damaged_stores,
    some_names,
)


def test_all_offending_items_stand_between_problem_and_remedy() -> None:
    error = InputError("two slides have no patient", offending=["a", "b"], remedy="give each a patient_id")
    assert str(error) == "two slides have no patient\n  - a\n  - b\nremedy: give each a patient_id"
    assert str(InputError("nothing to add")) == "nothing to add"


def test_a_message_names_twenty_items_and_counts_the_rest() -> None:
    twenty = InputError("wrong", offending=[f"{n}" for n in range(20)])
    assert (len(str(twenty).splitlines()), twenty.has_more) == (21, False)
    many = InputError("wrong", offending=[f"{n}" for n in range(3002)], remedy="mend them")
    assert str(many).splitlines()[20:] == ["  - 19", "  - and 2,982 more", "remedy: mend them"]
    assert many.has_more
    assert len(many.offending) == 3002


@pytest.mark.parametrize(
    ("n", "end"), [(0, ""), (1, "0"), (20, "18, 19"), (21, "19 and 1 more"), (3002, "19 and 2,982 more")]
)
def test_a_line_names_twenty_and_counts_the_rest(n: int, end: str) -> None:
    line = some_names([str(number) for number in range(n)])
    assert line.endswith(end)
    assert len(line.split(", ")) == max(1, min(n, 20))


@pytest.mark.parametrize(
    ("kind", "code"), [(HypoxiaError, 1), (InputError, 2), (MachineError, 4), (NotReadyError, 5), (Stopped, 75)]
)
def test_each_kind_has_its_exit_code(kind: type[HypoxiaError], code: int) -> None:
    assert kind("problem").exit_code == code
    assert SlideError("no-mpp", "problem").exit_code == 5


def test_a_slide_error_keeps_reason_and_remedy_from_process_to_process() -> None:
    again = pickle.loads(pickle.dumps(SlideError("no-mpp", "no resolution", remedy="give one")))  # noqa: S301
    assert (type(again), again.reason, str(again)) == (SlideError, "no-mpp", "no resolution\nremedy: give one")


@pytest.mark.parametrize(
    ("damaged", "first_line"),
    [(["a: torn"], "1 tile store is damaged"), (["a: torn", "b: torn"], "2 tile stores are damaged")],
)
def test_damaged_stores_are_counted_and_all_named(damaged: list[str], first_line: str) -> None:
    error = damaged_stores("tile", damaged, "delete them")
    assert str(error).splitlines() == [first_line, *(f"  - {one}" for one in damaged), "remedy: delete them"]
