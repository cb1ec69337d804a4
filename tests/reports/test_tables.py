"""Tables become CSV that a program reads back."""

from __future__ import annotations

import io

import pandas as pd

from hypoxia_hpc.reports.tables import Cell, Column, DataTable, Row, count, csv_of, number


def test_numbers_are_written_in_full_and_a_dash_as_nothing() -> None:
    columns = (Column("name"), Column("value", is_number=True), Column("n", is_number=True))
    rows = (
        Row((Cell("a, b"), number(1 / 3), count(1234)), ("wrong",)),
        Row((Cell("c"), number(float("nan")), count(0))),
    )
    table = DataTable("t", "a table", columns, rows)
    read = pd.read_csv(io.StringIO(table.csv()))
    assert read["value"].tolist()[0] == 1 / 3 and pd.isna(read["value"][1])
    assert (read["name"].tolist(), read["n"].tolist()) == (["a, b", "c"], [1234, 0])
    assert (rows[0].cells[1].text, rows[0].cells[2].text, rows[1].cells[1].text) == ("0.333", "1,234", "–")  # noqa: RUF001
    assert (table.tagged("wrong"), table.tagged("other")) == (1, 0)


def test_a_spreadsheet_runs_nothing() -> None:
    assert csv_of(["a"], [["=1+1"], [-1.5]]) == "a\n'=1+1\n-1.5\n"
