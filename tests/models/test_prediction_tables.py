"""The rows of some slides, whatever the groups and parts that a table is read in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models import prediction_tables
from hypoxia_hpc.models.prediction_tables import tiles_of_slides


@pytest.mark.parametrize("as_categories", [True, False])
@pytest.mark.parametrize("rows_of_group", [30, 1000])
def test_the_rows_of_some_slides_are_those_of_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_categories: bool, rows_of_group: int
) -> None:
    monkeypatch.setattr(prediction_tables, "ROWS_AT_ONCE", 37)
    rng = np.random.default_rng(0)
    slides = np.repeat([f"S{number:02d}" for number in range(12)] * 2, rng.integers(5, 20, 24))
    table = pd.DataFrame({"model": np.arange(len(slides)) % 3, "slide_id": slides, "x_l0": np.arange(len(slides))})
    table["model"] = "m" + table["model"].astype(str)
    table["probability"] = rng.random(len(slides))
    written = table.astype({"slide_id": "category", "model": "category"}) if as_categories else table
    file = tmp_path / "run" / "predictions" / "tiles.parquet"
    file.parent.mkdir(parents=True)
    written.to_parquet(file, index=False, row_group_size=rows_of_group)
    for wanted in (["S03"], ["S11", "S00"], [], ["S99", "S05"]):
        found = tiles_of_slides(file, wanted)
        expected = table[table["slide_id"].isin(wanted)].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run" / "predictions" / "tiles.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(NotReadyError, match=r"tiles\.parquet is damaged"):
        tiles_of_slides(file, ["S1"])
    pd.DataFrame({"model": ["m"]}).to_parquet(file)
    with pytest.raises(NotReadyError, match=r"tiles\.parquet is damaged"):
        tiles_of_slides(file, ["S1"])
