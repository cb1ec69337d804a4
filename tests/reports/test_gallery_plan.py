"""Which galleries there are: by kind of outcome, of patients that no model was trained on."""

from __future__ import annotations

from hypoxia_hpc.analysis.extremes import ExtremeTile
from hypoxia_hpc.config.outcome import OutcomeTable
from hypoxia_hpc.outcomes.registry import BINARY, outcome_of
from hypoxia_hpc.records import Label
from hypoxia_hpc.reports.data import PatientPrediction
from hypoxia_hpc.reports.gallery_plan import attention_ask, error_asks, extreme_asks, owners, shown_patients, tile_words

THREE = outcome_of(OutcomeTable(kind="classes", classes=("a", "b", "c")))


def row(name: str, label: Label | None = None, call: str = "", set_name: str = "test") -> PatientPrediction:
    return PatientPrediction("tanh", set_name, name, label, (0.5,), 10, call)


def test_patients_are_those_of_test_or_else_outside_or_without_a_label() -> None:
    rows = [row("P1", set_name="train"), row("P2"), row("P3", set_name="unlabelled")]
    assert shown_patients(rows, "tanh", in_folds=False) == ("1 test patient", {"P2": rows[1]})
    assert shown_patients(rows, "tanh", in_folds=True)[0].startswith("1 test patient, each by the models of the folds")
    assert shown_patients([rows[0], rows[2]], "tanh", in_folds=True)[0] == "1 patient without a label"
    assert shown_patients([row("P4", set_name="external")], "tanh", in_folds=False)[0] == "1 outside patient"
    assert shown_patients([rows[0]], "tanh", in_folds=False) == ("", {})
    assert shown_patients(rows, "relu", in_folds=False) == ("", {})


def test_every_patient_owns_slides_and_of_several_sets_the_one_that_no_model_was_trained_on_counts() -> None:
    sets = ("train", "unlabelled", "external", "valid", "test")
    rows = [row(name, set_name=name) for name in sets] + [row("both"), row("both", set_name="train")]
    found = owners([*rows, row("both", set_name="valid")], "tanh")
    assert {name: one.set_name for name, one in found.items()} == {**{name: name for name in sets}, "both": "test"}
    assert owners(rows, "relu") == {}


def test_of_one_number_the_highest_and_the_lowest_of_classes_each() -> None:
    assert [(one.title, one.sign) for one in extreme_asks(BINARY, ["P"])] == [
        ("Highest probability of hypoxic", 1),
        ("Lowest probability of hypoxic", -1),
    ]
    assert [(one.title, one.outputs) for one in extreme_asks(THREE, ["P"])] == [
        ("Surest of a", {"P": 0}),
        ("Surest of b", {"P": 1}),
        ("Surest of c", {"P": 2}),
    ]
    score, survival = (outcome_of(OutcomeTable(kind=kind)) for kind in ("score", "survival"))
    assert [one.title for one in extreme_asks(score, "P")] == ["Highest predicted", "Lowest predicted"]
    assert [one.title for one in extreme_asks(survival, "P")] == ["Highest risk", "Lowest risk"]


def test_errors_are_of_patients_whose_call_is_known_to_be_wrong() -> None:
    rows = {"P1": row("P1", 0, "hypoxic"), "P2": row("P2", 1, "hypoxic"), "P3": row("P3", 1, "normoxic")}
    rows |= {"P4": row("P4", None, "hypoxic")}
    positives, negatives = error_asks(BINARY, rows)
    assert (positives.sign, dict(positives.outputs)) == (1, {"P1": 0})
    assert (negatives.sign, dict(negatives.outputs)) == (-1, {"P3": 0})
    assert positives.title == "False positives: normoxic, called otherwise"
    [wrong] = error_asks(THREE, {"P1": row("P1", 0, "c"), "P2": row("P2", 1, "b"), "P3": row("P3", 2, "")})
    assert dict(wrong.outputs) == {"P1": 2}
    assert list(error_asks(outcome_of(OutcomeTable(kind="score")), {"P1": row("P1", 0.5)})) == []


def test_a_tile_is_shown_with_the_number_that_it_was_chosen_by() -> None:
    tile = ExtremeTile("S", "P", 0, 0, 0.25, (0.1, 0.25, 0.65, 3.0))
    asks = list(extreme_asks(THREE, ["P"]))
    assert tile_words(asks[1], THREE, tile) == "b 0.25"
    attended = ExtremeTile("S", "P", 0, 0, 3.0, tile.said)
    assert tile_words(attention_ask(["P"]), THREE, attended) == "weight 3.0 × mean; c 0.65"  # noqa: RUF001
