"""Which slices of which series are taken."""

from __future__ import annotations

import pytest

from hypoxia_hpc.cohorts.image_series import chosen_series, middle_slices
from hypoxia_hpc.cohorts.images import ImageRow
from hypoxia_hpc.config import SourceTable
from hypoxia_hpc.errors import InputError

ROWS = [ImageRow("P1", f"{number}", "T1w") for number in range(5)]


@pytest.mark.parametrize(("n", "taken"), [(1, "2"), (2, "12"), (3, "123"), (4, "0123"), (5, "01234"), (9, "01234")])
def test_the_middle_of_single_slices(n: int, taken: str) -> None:
    assert "".join(row.path for row in middle_slices(ROWS, n)) == taken


def test_the_middle_of_files_of_several_slices() -> None:
    """Ten slices, of which the first file has six: those numbered 0 to 5, and another one 2 to 5."""
    rows = [ImageRow("P1", "a", slices=(0, 6)), ImageRow("P1", "b", slices=(2, 6))]
    found = {n: [(row.path, row.slices) for row in middle_slices(rows, n)] for n in (2, 4, 5, 10)}
    assert found == {
        2: [("a", (4, 6))],
        4: [("a", (3, 6)), ("b", (2, 3))],
        5: [("a", (2, 6)), ("b", (2, 3))],
        10: [("a", (0, 6)), ("b", (2, 6))],
    }


def test_where_none_is_asked_for_a_series_that_most_patients_have_is_missed() -> None:
    rows = [
        ImageRow(f"P{number}", "1.png", name)
        for number in range(4)
        for name in ("FLAIR", "T1w")
        if number or name == "FLAIR"
    ]
    rows.append(ImageRow("P1", "2.png", "scout"))
    found = chosen_series(sorted(rows, key=lambda row: (row.patient_id, row.series)), SourceTable())
    assert dict(found.missing) == {"T1w": ("P0",)} and found.without == () and len(found.rows) == len(rows)
    assert not chosen_series([ImageRow("P1", "1.png"), ImageRow("P2", "2.png")], SourceTable()).missing


def test_a_series_that_no_patient_has_is_refused() -> None:
    with pytest.raises(InputError, match="image_mode") as caught:
        chosen_series(ROWS, SourceTable(image_mode=("T1w", "FLAIR")))
    assert caught.value.offending == ("FLAIR",)
    assert "T1w" in caught.value.remedy
    with pytest.raises(InputError) as caught:
        chosen_series([ImageRow("P1", "1.png")], SourceTable(image_mode=("FLAIR",)))
    assert "--images-pattern" in caught.value.remedy
