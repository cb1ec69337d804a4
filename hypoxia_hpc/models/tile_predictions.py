"""Predictions of tiles, slide by slide, in one pass over the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from hypoxia_hpc.models.predictions import TILES_FILE, reading_predictions
from hypoxia_hpc.runs.directory import RunDir

PLACE = ("x_l0", "y_l0")
ROWS_AT_ONCE = 262_144


def each_slide(run: RunDir, model: str, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each slide of which ``model`` says something, once, with its tiles: x_l0, y_l0 (int64) and ``columns`` (float64).
    The rows of a slide stand together in the table. Raises NotReadyError where it is damaged, or has them apart."""
    import pyarrow.parquet

    wanted = ["model", "slide_id", *PLACE, *columns]
    seen: set[str] = set()
    held: pd.DataFrame | None = None
    with reading_predictions(run.predictions / TILES_FILE) as opened:
        for batch in pyarrow.parquet.ParquetFile(opened).iter_batches(ROWS_AT_ONCE, columns=wanted):
            rows = batch.to_pandas().astype({"model": str, "slide_id": str, **dict.fromkeys(columns, "float64")})
            rows = rows[rows["model"] == model]
            whole = _runs(rows if held is None else pd.concat([held, rows], ignore_index=True))
            for slide_id, own in whole[:-1]:
                yield _once(slide_id, own, seen)
            held = whole[-1][1] if whole else None
        if held is not None:
            yield _once(str(held["slide_id"].iloc[0]), held, seen)


def _runs(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows one after another with the same slide."""
    if not len(rows):
        return []
    names = rows["slide_id"].to_numpy()
    begins = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(rows)]
    return [(str(names[one]), rows.iloc[one:end]) for one, end in pairwise(begins)]


def _once(slide_id: str, rows: pd.DataFrame, seen: set[str]) -> tuple[str, pd.DataFrame]:
    if slide_id in seen:
        raise ValueError(f"the rows of slide {slide_id} do not stand together")
    seen.add(slide_id)
    return slide_id, rows
