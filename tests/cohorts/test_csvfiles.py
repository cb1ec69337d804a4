"""Delimited text: exact round trips, and every ragged row named."""

import csv
import io
import os
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.cohorts.csvfiles import csv_text, read_table
from hypoxia_hpc.cohorts.textfiles import unguard
from hypoxia_hpc.errors import InputError, MachineError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NASTY = st.one_of(
    TEXT, st.from_regex(r"\A'{0,3}[=+\-@\t\r].{0,3}\Z"), st.sampled_from(["-1", "+1.5e3", '"', ",", "\r", "\n"])
)


@given(st.lists(st.tuples(NASTY, NASTY), max_size=5))
def test_round_trip_of_any_text(tmp_path_factory, rows):
    """But for rows of blanks alone, which are none: spreadsheets leave them below a table."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    rows = [("a", "b"), *rows]
    path.write_bytes(csv_text(pd.DataFrame(rows, columns=["a", "b"], dtype=object)).encode())
    found = read_table(path, ("a", "b")).map(unguard).itertuples(index=False, name=None)
    assert [row for row in found if "".join(row).strip()] == [row for row in rows if "".join(row).strip()]


@given(NASTY)
def test_no_cell_is_a_formula(text):
    written = csv_text(pd.DataFrame({"a": [text], "b": [0]}))
    cell = list(csv.reader(io.StringIO(written, newline="")))[1][0]
    if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        float(cell)  # a number, or this raises


def test_values_and_line_ends():
    frame = pd.DataFrame({"n": [1, -2], "x": [0.1, float("nan")], "t": ["-5", None], "s": ["=1+1", "é,"]}, dtype=object)
    assert csv_text(frame) == 'n,x,t,s\n1,0.1,-5,\'=1+1\n-2,,,"é,"\n'


def test_tab_or_comma_byte_order_mark_and_windows_line_ends(tmp_path):
    for name, text in (("a.tsv", "a\tb\r\n1,5\t2\r\n"), ("a.csv", '\ufeffa, b\r\n"1,5",2\r\n\r\n')):
        (tmp_path / name).write_bytes(text.encode())
        table = read_table(tmp_path / name, ("a", "b"))
        assert table.to_numpy().tolist() == [["1,5", "2"]]
        assert table.index.tolist() == [2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('path,label\n"a.svs,1\nb.svs,0\nc.svs,1\n', "line 2: a quote in the row that begins here is not closed"),
        ('path,label\n\na.svs,"1\nb.svs,0\n', "line 3: a quote in the row that begins here is not closed"),
        ('path,label\n"a.svs,1\n"b.svs",0\n', r"line 3: ',' expected after '\"' \(the row begins on line 2\)"),
    ],
)
def test_a_quote_that_is_not_closed_is_named_by_where_its_row_begins(tmp_path, text, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_table(path, ("path",))


def test_columns_are_shown_as_the_file_says(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("patient_id,Label,label\n1,2,3\n")
    with pytest.raises(InputError, match=r"\['patient_id', 'Label', 'label'\]") as caught:
        read_table(path, ("patient_id", "label"))
    assert caught.value.offending == ("repeated column: label",)


def test_ragged_rows_are_all_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n4,5,6\n")
    with pytest.raises(InputError) as caught:
        read_table(path, ("a",))
    assert caught.value.offending == ("line 3: 1 cell", "line 4: 3 cells")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv is empty"),
        (b" \n\r\n ", "t.csv is empty"),
        (b"sep=;\n", "t.csv is empty"),
        (b"a,a\n1,2\n", r"repeated column: a\nremedy: give each column a name of its own, whatever the case$"),
        (b"a,b\n", "no rows"),
        (b"b\n1\n", "missing column: a"),
        (b"a\nM\xfcller\n", "is not UTF-8 text: byte 0xfc on line 2"),
        (b"a\n1\n\0\xff\n", "byte 0xff on line 3[^$]*give a table as text"),
        (b"PK\x03\x04\x14\0\6\0", "an Excel or LibreOffice workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an Excel workbook[^$]*CSV UTF-8"),
        (b"II*\0\x08\0\0\0", "a TIFF image[^$]*folder that holds it"),
        (b"\xef\xbb\xbf\r\n<html><body><table><tr><td>a</td>", "an HTML page[^$]*save its sheet as CSV"),
        ("<!DOCTYPE HTML>\n<p>M\xfcller".encode("latin-1"), "an HTML page[^$]*download it again"),
        ('<META charset="x">'.encode("utf-16"), "an HTML page"),
        (b'<?xml version="1.0"?>\n<Workbook>', "no table, but XML[^$]*if a spreadsheet opens it"),
        (b'[\n {"file_id": 1}]', r"no table, but JSON[^$]*ends in \.json"),
        (b"{\\rtf1\\ansi a}", "a text document"),
        (b"[Header],,\n1,2,3\n", "missing column: a"),
        (bytes(5000), "no text: it has many zero bytes"),
        (b'a\n"x', "line 2"),
    ],
)
def test_broken_tables(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(path, ("a",))


def test_columns_without_end_are_refused_at_once(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"c{n}" for n in range(200_000)) + "\n" + "," * 199_999 + "\n")
    started = time.process_time()
    with pytest.raises(InputError, match="200,000 columns, 10,000 is the most"):
        read_table(path, ("a",))
    assert time.process_time() - started < 5


def test_of_many_columns_a_few_are_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",".join(["x" * 500] * 9000) + "\n")
    with pytest.raises(InputError) as caught:
        read_table(path, ("a",))
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("nbytes", [2**26 + 1, 2**42])
def test_a_table_larger_than_any_is_not_read(tmp_path, nbytes):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 2000)
    os.truncate(path, nbytes)
    with pytest.raises(InputError, match=r"t\.csv: .* bytes, more than 67,108,864"):
        read_table(path, ("a",))


def test_no_file_and_no_permission(tmp_path, monkeypatch):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match=r"not a file|no plain file"):
            read_table(path, ())
    (tmp_path / "t.csv").write_text("a\n1\n")
    monkeypatch.setattr("os.open", lambda *_: (_ for _ in ()).throw(PermissionError("denied")))
    with pytest.raises(MachineError, match="denied"):
        read_table(tmp_path / "t.csv", ())
