"""Rows that are there stay, what is new is added, and what changed is known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hypoxia_hpc.cohorts.growing import Grown, grown_patients, grown_slides
from hypoxia_hpc.errors import InputError


def slides(folder: Path, rows: str) -> pd.DataFrame:
    """``id path patient`` of each slide; a path that ends in ! is a file."""
    split = [row.split() for row in rows.split(", ")]
    for _, path, _ in split:
        if path.endswith("!"):
            (folder / path[:-1]).touch()
    cells = [[name, str(folder / path.rstrip("!")), patient] for name, path, patient in split]
    return pd.DataFrame(cells, columns=["slide_id", "path", "patient_id"], dtype=object)


@pytest.fixture
def there(tmp_path: Path) -> pd.DataFrame:
    return slides(tmp_path, "a a.svs! P, b b.svs! Q").assign(scanner=["x", "y"])


def grown(there: pd.DataFrame, tmp_path: Path, rows: str) -> Grown:
    in_place = [name for name, path in zip(there["slide_id"], there["path"], strict=True) if Path(path).exists()]
    return grown_slides(there, slides(tmp_path, rows), in_place)


def test_new_slides_are_added_and_rows_stay(there: pd.DataFrame, tmp_path: Path) -> None:
    found = grown(there, tmp_path, "a a.svs P, b b.svs Q, c c.svs R")
    assert found.table.drop(columns="path").to_numpy().tolist() == [["a", "P", "x"], ["b", "Q", "y"], ["c", "R", ""]]
    assert found.table["path"].tolist() == [str(tmp_path / f"{name}.svs") for name in "abc"]
    assert (found.added, found.unnamed, found.moved) == (("c",), (), ())
    again = grown(found.table, tmp_path, "a a.svs P, b b.svs Q, c c.svs R")
    assert again.table.equals(found.table)
    assert again.added == ()


def test_a_batch_by_itself_leaves_the_others(there: pd.DataFrame, tmp_path: Path) -> None:
    found = grown(there, tmp_path, "c c.svs! R")
    assert (found.added, found.unnamed) == (("c",), ("a", "b"))
    assert len(found.table) == 3


def test_a_slide_that_vanished_is_refused_unless_it_is_named(there: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "b.svs").unlink()
    with pytest.raises(InputError, match="neither found nor there any more") as caught:
        grown(there, tmp_path, "a a.svs P, c c.svs R")
    assert caught.value.offending == ("b",)
    assert grown(there, tmp_path, "a a.svs P, b b.svs Q").table.equals(there)


def test_a_slide_that_moved_is_followed(there: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "b.svs").rename(tmp_path / "b2.svs")
    found = grown(there, tmp_path, "a a.svs P, b b2.svs Q")
    assert found.moved == ("b",)
    assert found.table["path"].tolist() == [str(tmp_path / "a.svs"), str(tmp_path / "b2.svs")]


def test_other_patients_and_ids_that_are_taken_are_refused(there: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="under another patient") as caught:
        grown(there, tmp_path, "a a.svs Q, b b.svs Q")
    assert caught.value.offending == ("a: P in slides.csv, Q now",)
    with pytest.raises(InputError, match=r"an id that slides\.csv has") as caught:
        grown(there, tmp_path, "a a.svs P, B new.svs R")
    assert caught.value.offending == ("B",)


def test_patients_are_added_and_empty_cells_filled() -> None:
    there = pd.DataFrame({"patient_id": ["p", "q", "r"], "label": ["1", "", "0"], "age": ["61", "", ""]}, dtype=object)
    found = pd.DataFrame({"patient_id": ["q", "r", "s"], "label": ["1", "1", "0"], "tumour_type": ["A", "", "B"]})
    grown = grown_patients(there, found)
    assert grown.table.to_numpy().tolist() == [
        ["p", "1", "61", ""],
        ["q", "1", "", "A"],
        ["r", "0", "", ""],
        ["s", "0", "", "B"],
    ]
    assert (grown.added, grown.filled, grown.kept) == (("s",), ("q",), ("r",))
    again = grown_patients(grown.table, found)
    assert again.table.equals(grown.table)
    assert (again.added, again.filled, again.kept) == ((), (), ("r",))
