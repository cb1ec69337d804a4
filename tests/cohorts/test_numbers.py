"""Points, commas and other marks in the numbers of a column."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.cohorts.csvfiles import read_table
from hypoxia_hpc.cohorts.manifests import read_manifest
from hypoxia_hpc.cohorts.numbers import plain_numbers, readings
from hypoxia_hpc.cohorts.scores import read_scores
from hypoxia_hpc.cohorts.tables import read_patient_table
from hypoxia_hpc.config import OutcomeTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.registry import outcome_of


@pytest.mark.parametrize(
    ("cells", "delimiter", "numbers"),
    [
        (["2.000", "0,5"], ";", ["2000", "0.5"]),  # decimal commas beside it
        (["2,000", "0.5"], ",", ["2000", "0.5"]),  # decimal points beside it
        (["2.000", "0.5"], ";", ["2.000", "0.5"]),
        (["2,000", "12,5"], ";", ["2.000", "12.5"]),
        (["2.000", "1.234.567"], ";", ["2000", "1234567"]),  # two points separate thousands
        (["2.000", "1.234,5"], "\t", ["2000", "1234.5"]),
        (["-1,234.5", "2,000"], "\t", ["-1234.5", "2000"]),
        (["2.000", "856"], ",", ["2.000", "856"]),  # separated by commas: a point
        (["2.000", "856"], ";", [None, "856"]),
        (["2.000"], "\t", [None]),
        (["2,000", "856"], ",", [None, "856"]),
        (["2,000", "2.000"], ",", [None, None]),
        (["2.000", "0.5", "0,5"], ";", [None, "0.5", "0.5"]),  # both are used
        (["1 234,5", "1'234", "1\u202f234\u202f567"], ";", ["1234.5", "1234", "1234567"]),
        (["\u22123", "\u22121.234,5"], ";", ["-3", "-1234.5"]),
        (["0.500", "1234.567", "12.3456", "1.234e5"], ";", ["0.500", "1234.567", "12.3456", "1.234e5"]),
        (["", "NA", "1.23.4", "12.34.567", "1,2,3", "1_000", "2024-01-02", "1e5"], ";", None),
    ],
)
def test_the_numbers_of_a_column(cells: list[str], delimiter: str, numbers: list[str | None] | None) -> None:
    assert plain_numbers(cells, delimiter) == (cells if numbers is None else numbers)


def written(value: float, decimal: str, thousands: str) -> str:
    return f"{value:,.2f}".translate({ord("."): decimal, ord(","): thousands})


@given(
    st.lists(st.integers(-(10**9), 10**9).map(lambda n: n / 100), min_size=1),
    st.sampled_from(["., ", ",. ", ".'", ", "]),
)
def test_numbers_are_read_as_they_were_written(values: list[float], marks: str) -> None:
    for thousands in ("", marks[1]):
        cells = [written(value, marks[0], thousands) for value in values]
        assert [float(cell or "nan") for cell in plain_numbers(cells, ";")] == values


@given(st.from_regex(r"[+-]?[0-9]{0,4}([.,' ][0-9]{0,4}){0,3}", fullmatch=True))
def test_readings_are_numbers(cell: str) -> None:
    assert all(isinstance(float(text), float) for text in readings(cell).values())


@pytest.mark.parametrize("column", ["Monate", "time"])
def test_every_table_of_numbers_is_read_alike(tmp_path: Path, column: str) -> None:
    """Scores, a score as the outcome (of patients or of a manifest), times: with decimal commas `2.000` is 2000, alone
    it is refused with its column, its values and what to write."""
    path = tmp_path / "t.csv"
    score, survival = OutcomeTable(kind="score"), OutcomeTable(kind="survival", time=column)

    def scores() -> list[float]:
        return list(read_scores(path, "pan-median", column)[column])

    def of_patients(table: OutcomeTable, theirs: str | None) -> list[float]:
        return [float(cell) for cell in read_patient_table(path, None, theirs, outcome=outcome_of(table))[
            table.columns[0]
        ]]  # fmt: skip

    def of_manifest() -> list[float]:
        found = read_manifest(path, lambda _: None, None, column, label_is_number=True)
        return [float(each.label) for each in found.candidates]

    for read in (scores, lambda: of_patients(score, column), lambda: of_patients(survival, None), of_manifest):
        path.write_text(f"path;patient_id;{column};event\na;p; 2.000 ;1\nb;q;0,5;0\n")
        assert read() == [2000, 0.5]
        path.write_text(f"path;patient_id;{column};event\na;p; 2.000 ;1\nb;q;5;0\n")
        with pytest.raises(InputError, match="write thousands without a mark") as caught:
            read()
        assert caught.value.offending == (f"line 2: {column} '2.000' is 2.000 or 2000",)


def test_columns_that_hold_no_numbers_stay_as_they_are(tmp_path: Path) -> None:
    for delimiter, cell in itertools.product(",;\t", ("1.234", "00123", "1e5", "2,000")):
        (tmp_path / "t.csv").write_text(f'patient_id{delimiter}n\n"{cell}"{delimiter}0.5\n')
        assert read_table(tmp_path / "t.csv", ("patient_id",), (), ("n",))["patient_id"].tolist() == [cell]
