"""Tables as people have them: every separator, decimal mark, encoding, line end and trailing column loads alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.cohorts.csvfiles import read_table
from hypoxia_hpc.cohorts.manifests import Manifest, read_manifest
from hypoxia_hpc.cohorts.scores import read_scores
from hypoxia_hpc.cohorts.sniffing import DELIMITERS, plain_number, sniffed
from hypoxia_hpc.cohorts.tables import read_patients
from hypoxia_hpc.errors import InputError

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le with a mark", "utf-16-le", "utf-16-be", "utf-32")
ENDS = {"unix": "\n", "windows": "\r\n"}
SPOILT: dict[str, Callable[[list[list[str]]], list[list[str]]]] = {
    "plain": lambda rows: rows,
    "trailing columns": lambda rows: [[*cells, "", " "] for cells in rows],
    "trailing columns in some rows": lambda rows: [[*cells, *[""] * (n % 3)] for n, cells in enumerate(rows)],
    "rows of nothing": lambda rows: [*rows[:2], [""] * 4, *rows[2:], ["", "", "", ""], [" "]],
    "blanks": lambda rows: [[cell if set(cell) & set(',;"') else f" {cell} " for cell in cells] for cells in rows],
    "upper case": lambda rows: [[cell.upper() for cell in rows[0]], *rows[1:]],
    "another order": lambda rows: [cells[::-1] for cells in rows],
}
ROWS = [
    ["path", "slide_id", "patient_id", "mpp"],
    ["a b.svs", "a", "Müller, Ä", "0.25"],
    ["b;c.svs", "b", "P2", ""],
    ["c.svs", "c", 'P"3"', "1"],
]


def encoded(text: str, encoding: str) -> bytes:
    if encoding == "utf-16-le with a mark":
        return ("\ufeff" + text).encode("utf-16-le")
    return text.encode(encoding)


def quoted(cell: str, delimiter: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if delimiter in cell or '"' in cell else cell


def written(rows: list[list[str]], delimiter: str, end: str) -> str:
    return "".join(delimiter.join(quoted(cell, delimiter) for cell in cells) + end for cells in rows)


def nowhere(_: Path) -> int | None:
    return None


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("delimiter", DELIMITERS, ids=DELIMITERS.values())
def test_odd_tables_load_alike(tmp_path: Path, delimiter: str, spoilt: str) -> None:
    file = tmp_path / "manifest.csv"
    expected: Manifest | None = None
    for decimal, encoding, end in itertools.product(".,", ENCODINGS, ENDS):
        rows = [[cell.replace(".", decimal) if cell == "0.25" else cell for cell in cells] for cells in ROWS]
        file.write_bytes(encoded(written(SPOILT[spoilt](rows), delimiter, ENDS[end]), encoding))
        found = read_manifest(file, nowhere)
        expected = expected or found
        assert found == expected, (decimal, encoding, end)
    assert expected is not None
    assert [(one.path.name, one.slide_id, one.patient_id, one.mpp) for one in expected.candidates] == [
        ("a b.svs", "a", "Müller, Ä", 0.25),
        ("b;c.svs", "b", "P2", None),
        ("c.svs", "c", 'P"3"', 1.0),
    ]


@given(st.lists(st.lists(st.text('ab,;\t" é', max_size=4), min_size=2, max_size=2), min_size=1, max_size=6))
def test_what_is_written_is_read_whatever_is_in_it(rows: list[list[str]]) -> None:
    """The names of the header decide, not the cells."""
    filled = [cells for cells in rows if "".join(cells).strip() and cells[1].strip()]
    for delimiter in DELIMITERS:
        found = sniffed(written([["path", "mpp"], *filled], delimiter, "\n"), ["path", "mpp"])
        assert found.delimiter == delimiter
        assert [cells for _, cells in found.rows[1:]] == filled


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
def test_the_separator_that_excel_writes_in_front_is_no_header(tmp_path: Path, first: str) -> None:
    file = tmp_path / "m.csv"
    file.write_text(f"{first}\r\npath;mpp\r\na,b.svs;0,25\r\nc.svs;40\r\n")
    with pytest.raises(InputError, match=r"has 1 wrong cell\n[^$]*line 4: mpp '40'"):
        read_manifest(file, nowhere)
    file.write_text(file.read_text().replace("40", "0,5"))
    assert [(one.path.name, one.mpp) for one in read_manifest(file, nowhere).candidates] == [
        ("a,b.svs", 0.25),
        ("c.svs", 0.5),
    ]


def test_a_separator_that_is_said_is_used_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sep=|\na|b\n1,2|3;4\n")
    assert read_table(tmp_path / "t.csv", ()).to_dict("records") == [{"a": "1,2", "b": "3;4"}]
    (tmp_path / "t.csv").write_text("sep=|\na|b\n1|2\n3\n")
    with pytest.raises(InputError, match=r"header's 2, separated by the \|"):
        read_table(tmp_path / "t.csv", ())


def test_a_resolution_that_no_scanner_has_is_named_by_its_row(tmp_path: Path) -> None:
    """As `tile` judges a header: 84.7 µm/px are 300 dots an inch."""
    file = tmp_path / "m.csv"
    file.write_text("path,mpp\na.svs,0.25\nb.svs,84.7\nc.svs,0\nd.svs,20\ne.svs,0.009\nf.svs,nan\n")
    with pytest.raises(InputError, match="has 4 wrong cells") as caught:
        read_manifest(file, nowhere)
    assert caught.value.offending == tuple(
        f"line {line}: mpp '{mpp}' is not a resolution of a slide, 0.01 to 20 µm per pixel"
        for line, mpp in ((3, "84.7"), (4, "0"), (6, "0.009"), (7, "nan"))
    )


def test_a_single_column_is_a_table_whatever_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path\na;b.svs\nc, d.svs\n")
    names = [one.path.name for one in read_manifest(tmp_path / "m.csv", nowhere).candidates]
    assert names == ["a;b.svs", "c, d.svs"]


def test_a_wrong_delimiter_is_one_message_and_not_one_a_row(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("patient_id,score\n" + "p,0,5\n" * 3000)
    with pytest.raises(InputError) as caught:
        read_table(file, ("patient_id",), ("score",))
    assert "the header has 2 cells and every row 3, separated by the comma" in caught.value.problem
    assert "decimal comma" in caught.value.remedy
    assert not caught.value.offending
    file.write_text("patient_id label\n" + "p 1\n" * 3000)
    with pytest.raises(InputError, match="if cells are separated by commas, semicolons or tabs"):
        read_table(file, ("patient_id", "label"))


def test_a_column_with_content_has_a_name(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,,b\n1,,2\n")
    assert list(read_table(file, ("a", "b")).columns) == ["a", "b"]
    file.write_text("a,,b\n1,,2\n1,x,2\n")
    with pytest.raises(InputError, match="without a name") as caught:
        read_table(file, ("a", "b"))
    assert caught.value.offending == ("line 3",)


def test_names_that_differ_in_case_alone_are_one_name(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("Patient_ID,LABEL,label\np,1,0\n")
    with pytest.raises(InputError) as caught:
        read_patients(file)
    assert caught.value.offending == ("repeated column: label",)


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("path,case,patient_id,Label,mpp\na.svs,c,p,1,0.5\n")
    assert read_manifest(file, nowhere).unused == ("case",)
    assert read_manifest(file, nowhere, "case").unused == ("patient_id",)
    file.write_text(
        "id\tfilename\tmd5\tsize\tstate\tnote\nu\ta.svs\t00112233445566778899aabbccddeeff\t5\treleased\tn\n"
    )
    assert read_manifest(file, nowhere).unused == ("note",)


def test_a_path_keeps_blanks_that_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / " a.svs").touch()
    (tmp_path / "m.csv").write_text("path\n a.svs\n b.svs\n")
    found = read_manifest(tmp_path / "m.csv", lambda path: 0 if path.exists() else None)
    assert [one.path.name for one in found.candidates] == [" a.svs", "b.svs"]


def test_a_path_of_windows_is_found(tmp_path: Path) -> None:
    """A file with a backslash in its name is that file."""
    for name in ("sub/Ä.svs", "sub\\b.svs", "sub/b.svs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "m.csv").write_text("path\nsub\\Ä.svs\nsub\\b.svs\nsub\\c.svs\n")
    found = read_manifest(tmp_path / "m.csv", lambda path: 0 if path.exists() else None)
    names = [str(one.path.relative_to(tmp_path)) for one in found.candidates]
    assert names == ["sub/Ä.svs", "sub\\b.svs", "sub\\c.svs"]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("0,25", "0.25"),
        ("-1,5", "-1.5"),
        ("0.25", "0.25"),
        ("1,000.5", "1,000.5"),
        ("a,b", "a,b"),
        (",5", ",5"),
        ("", ""),
    ],
)
def test_decimal_commas(cell: str, number: str) -> None:
    assert plain_number(cell) == number


def test_real_tables_load(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """And alike, as a spreadsheet in German writes them."""
    scores = shared_data("scores/BhandariHypoxiaScores.txt")
    again = tmp_path / "scores.csv"
    again.write_bytes(scores.read_bytes().replace(b"\t", b";").replace(b"\n", b";;\r\n"))
    pd.testing.assert_frame_equal(read_scores(again), read_scores(scores))
    assert len(read_manifest(shared_data("gdc/gdc_manifest.txt"), nowhere).candidates) > 200
