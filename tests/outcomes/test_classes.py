"""More classes than two: how their labels are read, shown and dealt."""

import pytest
from pydantic import ValidationError

from hypoxia_hpc.config import OutcomeTable, parse_config
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.classes import Classes

NAMES = ("DDLPS", "LMS", "MFS", "SS", "UPS")
SARCOMA = Classes(OutcomeTable(kind="classes", classes=NAMES))


def test_labels_are_names_in_any_case() -> None:
    assert [SARCOMA.parse((cell,)) for cell in ("DDLPS", "ups", "Mfs", "")] == [0, 4, 2, None]
    assert [SARCOMA.shown(number) for number in range(5)] == list(NAMES)
    assert SARCOMA.outputs == tuple(f"probability_{name}" for name in NAMES)


@pytest.mark.parametrize("cell", ["0", "1", "liposarcoma", "<b>SS</b>"])
def test_what_is_no_class_is_refused_with_the_classes(cell: str) -> None:
    with pytest.raises(ValueError, match="is none of the classes DDLPS, LMS, MFS, SS, UPS, nor empty"):
        SARCOMA.parse((cell,))


def test_the_balance_is_how_many_there_are_of_each() -> None:
    assert (SARCOMA.balance_columns, SARCOMA.balance([0, 4, 4])) == (NAMES, ["1", "0", "0", "0", "2"])


def test_a_class_that_is_missing_is_named() -> None:
    assert SARCOMA.untrainable([0, 1, 2, 3, 4]) == ""
    assert SARCOMA.untrainable([0, 0, 1]) == (
        "lack a class: 2 DDLPS, 1 LMS, 0 MFS, 0 SS, 0 UPS; some of each are needed"
    )


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"kind": "classes"}, "three classes or more, got 2"),
        ({"kind": "binary", "classes": NAMES}, "has two classes, got 5"),
        ({"kind": "classes", "classes": ("a", "A", "b")}, "differ in more than case"),
        ({"kind": "classes", "classes": ("a ", "b", "c")}, "without blanks"),
        ({"kind": "classes", "classes": ("a\n", "b", "c")}, "pattern"),
        ({"kind": "classes", "classes": ("a", "<b>x</b>", "<script src=y>")}, r"not HTML, got \['<b>x</b>', '<script"),
        ({"kind": "colours"}, "survival"),
    ],
)
def test_classes_that_cannot_be(table: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        OutcomeTable.model_validate(table)


def test_heads_that_cannot_predict_it_are_named_with_those_that_can() -> None:
    table = {"outcome": {"kind": "classes", "classes": list(NAMES)}}
    with pytest.raises(InputError, match="funnel cannot predict") as caught:
        parse_config({**table, "train": {"heads": ["tanh", "funnel"]}}, source="run.toml")
    assert "tanh, logistic, attention, finetune" in str(caught.value)
    config = parse_config(table, source="run.toml")
    assert config.outcome.classes == NAMES
    assert config.train.heads == ("tanh", "logistic", "attention"), "those that can, where none are named"
