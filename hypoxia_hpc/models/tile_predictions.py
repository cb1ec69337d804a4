"""Predictions and phenotypes of tiles, slide by slide, in one pass over the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.models.prediction_tables import TILES_FILE, reading_predictions
from hypoxia_hpc.records import Int64Array
from hypoxia_hpc.runs.directory import RunDir

PLACE = ("x_l0", "y_l0")
CLUSTER, MOST_CLUSTERS = "cluster", 1_000_000
ROWS_AT_ONCE = 262_144


def each_slide(run: RunDir, model: str, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each slide of which ``model`` says something, once, with its tiles: x_l0, y_l0 (int64) and ``columns`` (float64).
    The rows of a slide stand together in the table. Raises NotReadyError where it is damaged, or has them apart."""
    types = dict.fromkeys(columns, "float64")
    yield from _each_slide(run.predictions / TILES_FILE, types, "evaluate", model)


def each_clustered_slide(run: RunDir) -> Iterator[tuple[str, pd.DataFrame]]:
    """The same of the phenotypes of tiles: x_l0, y_l0 and cluster (int64)."""
    yield from _each_slide(run.phenotypes / TILES_FILE, {CLUSTER: "int64"}, "phenotypes")


def models_of_tiles(run: RunDir) -> list[str]:
    """The models with predictions of tiles, in the order of their names; none where the table is not there. Raises
    NotReadyError for a damaged one."""
    import pyarrow.parquet

    file = run.predictions / TILES_FILE
    found: set[str] = set()
    if file.exists():
        with reading_predictions(file) as opened:
            for batch in pyarrow.parquet.ParquetFile(opened).iter_batches(ROWS_AT_ONCE, columns=["model"]):
                found.update(map(str, batch.column(0).unique().to_pylist()))
    return sorted(found)


def cluster_sizes(run: RunDir) -> Int64Array:
    """Tiles of each cluster, int64 (k,). Raises NotReadyError for a damaged table."""
    import pyarrow.parquet

    sizes: Counter[int] = Counter()
    with reading_predictions(run.phenotypes / TILES_FILE, "phenotypes") as opened:
        for batch in pyarrow.parquet.ParquetFile(opened).iter_batches(ROWS_AT_ONCE, columns=[CLUSTER]):
            numbers, counts = np.unique(batch.column(0).to_numpy(), return_counts=True)
            sizes.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        if sizes and not 0 <= min(sizes) <= max(sizes) < MOST_CLUSTERS:
            raise ValueError("it has numbers that are none of clusters")
    return np.array([sizes[number] for number in range(max(sizes, default=-1) + 1)], dtype=np.int64)


def _each_slide(file: Path, types: Mapping[str, str], verb: str, model: str = "") -> Iterator[tuple[str, pd.DataFrame]]:
    import pyarrow.parquet

    wanted = [*(["model"] if model else []), "slide_id", *PLACE, *types]
    seen: set[str] = set()
    held: pd.DataFrame | None = None
    with reading_predictions(file, verb) as opened:
        for batch in pyarrow.parquet.ParquetFile(opened).iter_batches(ROWS_AT_ONCE, columns=wanted):
            rows = batch.to_pandas().astype({"slide_id": str, **types})
            if model:
                rows = rows[rows["model"].astype(str) == model]
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
