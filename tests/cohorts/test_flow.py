"""Counts of a flow."""

from __future__ import annotations

from hypoxia_hpc.cohorts.flow import Flow, LeftOut, Step, kinds, left_out


def test_reasons_are_counted_the_most_frequent_first() -> None:
    assert left_out("slide", [("b", "x"), ("c", "y"), ("a", "y"), ("d", "w")]) == (
        LeftOut("slide", "y", 2, ("a", "c")),
        LeftOut("slide", "w", 1, ("d",)),
        LeftOut("slide", "x", 1, ("b",)),
    )


def test_kinds_of_slides_are_counted() -> None:
    assert kinds(["tumour", "tumour", "normal", ""], ["diagnostic", "frozen", "frozen", ""]) == {
        "normal, frozen": 1,
        "kind not known": 1,
        "tumour, diagnostic": 1,
        "tumour, frozen": 1,
    }


def test_as_json() -> None:
    flow = Flow((Step("found", 3, 2), Step("in the run", 2, 1, (LeftOut("slide", "x", 1, ("a",)),))), (), {"tumour": 3})
    assert flow.as_json() == {
        "schema": 1,
        "found": {"tumour": 3},
        "steps": [
            {"step": "found", "slides": 3, "patients": 2, "left_out": []},
            {
                "step": "in the run",
                "slides": 2,
                "patients": 1,
                "left_out": [{"kind": "slide", "reason": "x", "n": 1, "names": ["a"]}],
            },
        ],
        "aside": [],
    }
