"""Each series by itself, and all of them fused: a figure for each model."""

from __future__ import annotations

import pandas as pd
from judged import measures, rows_of

from hypoxia_hpc.analysis.pooling import SERIES
from hypoxia_hpc.evaluation.series import LATE, by_series

JUDGE = measures("binary")


def series_rows() -> pd.DataFrame:
    """FLAIR tells nothing, T1wCE much; a patient lacks T1wCE, and one has no label."""
    parts = [
        rows_of("binary", 40, effect, seed=seed).assign(**{SERIES: name})
        for seed, (name, effect) in enumerate((("FLAIR", 0.0), ("T1wCE", 4.0), (LATE, 2.0)))
    ]
    parts[1] = parts[1].iloc[1:]
    rows = pd.concat(parts, ignore_index=True).astype({"label": "Int64"})
    rows.loc[rows["id"] == "P039", "label"] = pd.NA
    return rows.assign(calibrated=rows["probability"])


def test_each_series_has_a_figure_of_the_patients_that_have_it() -> None:
    found = {one["series"]: one for one in by_series(series_rows(), "test", JUDGE, None)}
    assert {name: one["n"] for name, one in found.items()} == {"FLAIR": 39, "T1wCE": 38, LATE: 39}
    assert found["T1wCE"]["low"] > 0.8 > found["FLAIR"]["value"]
    assert {one["model"] for one in found.values()} == {"m"}


def test_patients_of_other_sets_are_left_out() -> None:
    assert by_series(series_rows(), "external", JUDGE, None) == []


def test_patients_of_one_group_have_no_interval() -> None:
    units = dict.fromkeys((f"P{number:03d}" for number in range(40)), "hospital")
    assert {one["low"] for one in by_series(series_rows(), "test", JUDGE, units)} == {None}
