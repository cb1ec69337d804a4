"""Other packages: timed where they give the same answer, else named with the reason, whatever they raise."""

from __future__ import annotations

import pytest

from hypoxia_hpc.bench.comparison import Answer, Candidate, Guarded, LeftOut, compared


class PanicError(BaseException):
    """As PyO3's, which is no Exception."""


def raising(error: BaseException) -> Answer:
    raise error


def never() -> Answer:
    raise AssertionError


def nothing() -> None:
    """A work."""


def test_packages_that_give_the_same_answer_are_timed_and_the_others_named_with_the_reason() -> None:
    found = compared(
        (
            Candidate("same", "", lambda: Answer(is_same=True, how="identical"), nothing),
            Candidate("other", "", lambda: Answer(is_same=False, how="63 of 63 tiles decided otherwise"), nothing),
            Candidate("absent", "not installed: pip install it", never, nothing),
            Candidate("broken", "", lambda: raising(ImportError("no module x\nmore")), nothing),
            Candidate("panicking", "", lambda: raising(PanicError()), nothing),
        )
    )
    assert found.works == {"same": nothing}
    assert found.how == {"same": "identical"}
    assert {name: str(why) for name, why in found.left_out.items()} == {
        "other": "its answer differs: 63 of 63 tiles decided otherwise",
        "absent": "not installed: pip install it",
        "broken": "failed with ImportError: no module x",
        "panicking": "failed with PanicError",
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_ends_the_command_ends_it(error: BaseException) -> None:
    with pytest.raises(type(error)):
        compared([Candidate("x", "", lambda: raising(error), nothing)])


def test_a_work_that_fails_is_not_done_again() -> None:
    calls = []

    def work() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            raise OSError("gone")

    guarded = Guarded(work)
    for _ in range(5):
        guarded()
    assert calls == [0, 1, 2]
    assert guarded.left_out == LeftOut("failed with OSError", "gone")
