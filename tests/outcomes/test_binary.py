"""Two classes: how their labels are read and shown."""

import pytest

from hypoxia_hpc.config import OutcomeTable
from hypoxia_hpc.outcomes.binary import Binary

NAMED = Binary(OutcomeTable(classes=("wild type", "1")))


@pytest.mark.parametrize(
    ("cells", "label"),
    [
        (("1", "1.0", "1,0", "true", "TRUE", "yes", "hypoxic", "Hypoxic"), 1),
        (("0", "0.0", "0,0", "False", "no", "normoxic", "NORMOXIC"), 0),
        (("",), None),
    ],
)
def test_labels_are_read(cells: tuple[str, ...], label: int | None) -> None:
    assert [Binary().parse((cell,)) for cell in cells] == [label] * len(cells)


@pytest.mark.parametrize("cell", ["2", "NA", "1,5", "-1", "hypox", "nan", " 1"])
def test_what_is_no_label_is_refused_with_the_rule(cell: str) -> None:
    with pytest.raises(ValueError, match="is not 0, 1, normoxic, hypoxic or empty"):
        Binary().parse((cell,))


def test_names_come_before_words() -> None:
    assert [NAMED.parse((cell,)) for cell in ("1", "0", "Wild Type")] == [1, 0, 0]
    other_way = Binary(OutcomeTable(classes=("hypoxic", "other")))
    assert other_way.parse(("hypoxic",)) == 0
    with pytest.raises(ValueError, match="is not 0, 1, hypoxic, other or empty"):
        other_way.parse(("normoxic",))
    assert (NAMED.shown(1), NAMED.shown(0), NAMED.positive) == ("1", "wild type", "1")


def test_who_can_be_trained_on() -> None:
    assert Binary().untrainable([0, 1, 1]) == ""
    assert Binary().untrainable([1, 1]) == "lack a class: 0 normoxic, 2 hypoxic; some of each are needed"
    assert Binary().strata([1, 0]) == ["1", "0"]
    assert Binary().needed_strata == {"0": "normoxic", "1": "hypoxic"}


def test_the_balance_is_how_many_there_are_of_each() -> None:
    assert Binary().balance_columns == ("normoxic", "hypoxic")
    assert Binary().balance([1, 0, 1] * 500) == ["500", "1,000"]
