"""Tables of predictions as frames, of every kind of outcome."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hypoxia_hpc.api.frames import read_predictions
from hypoxia_hpc.config import OutcomeTable
from hypoxia_hpc.outcomes.registry import outcome_of


@pytest.mark.parametrize(
    ("table", "known", "cells", "types"),
    [
        (OutcomeTable(), ["label"], ["1"], ["Int64"]),
        (OutcomeTable(kind="classes", classes=("a", "NA", "c")), ["label"], ["2"], ["Int64"]),
        (OutcomeTable(kind="score"), ["label"], ["0.25"], ["Float64"]),
        (OutcomeTable(kind="survival"), ["time", "event"], ["3.5", "1"], ["Float64", "Int64"]),
    ],
    ids=lambda one: one.kind if isinstance(one, OutcomeTable) else "",
)
def test_what_is_known_and_said_is_typed(
    tmp_path: Path, table: OutcomeTable, known: list[str], cells: list[str], types: list[str]
) -> None:
    outcome = outcome_of(table)
    said = ["0.125"] * outcome.n_outputs
    lines = [
        ["model", "fold", "set", "id", *known, *outcome.outputs, "threshold", "call", "n_tiles"],
        ["tanh", "0", "test", "'=NA", *cells, *said, "0.5", "'=1+1", "7"],
        ["tanh", "", "unlabelled", "NA", *[""] * len(cells), *said, "", "NA", "9"],
    ]
    (tmp_path / "patients.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    found = read_predictions(tmp_path / "patients.csv", outcome)
    assert [str(found[name].dtype) for name in ("fold", *known)] == ["Int64", *types]
    assert [found[name].tolist() for name in known] == [[float(cell), pd.NA] for cell in cells]
    assert [found["id"].tolist(), found["call"].tolist()] == [["=NA", "NA"], ["=1+1", "NA"]]
    assert found["threshold"].fillna(-1.0).tolist() == [0.5, -1.0]
    assert (found[list(outcome.outputs)].to_numpy() == 0.125).all()
