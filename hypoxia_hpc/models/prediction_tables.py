"""Tables of predictions/ and phenotypes/, read: names of their files, and rows of some slides. What makes predictions
is not loaded for it, which would take a viewer 100 MB."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, open_plain
from hypoxia_hpc.stores.commit import machine_errors

PATIENTS_FILE, SLIDES_FILE, TILES_FILE = "patients.csv", "slides.csv", "tiles.parquet"
CLUSTERS_FILE, TILE_CLUSTERS_FILE = "clusters.csv", "tile_clusters.parquet"
TRAINING_FILE, SERIES_FILE = "training.csv", "series.csv"
DISTANCE, UNLIKE = "distance", "unlike_training"  # columns, of patients
ROWS_AT_ONCE = 65_536  # that are looked through for the rows of some slides


@contextmanager
def reading_predictions(file: Path, verb: str = "evaluate") -> Iterator[BinaryIO]:
    """A table of predictions/, or of what another verb makes, opened. Raises NotReadyError for what is wrong with it,
    where the block that takes its values finds it; MachineError."""
    try:
        with machine_errors(file), open_plain(file, MOST_PREDICTIONS_BYTES) as opened:
            yield opened
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # Arrow's, for what is no Parquet, has no number
        raise NotReadyError(
            f"{file} is damaged: {type(error).__name__}: {str(error)[:200]}",
            remedy=f"hypoxia-hpc {verb} {shlex.quote(str(file.absolute().parent.parent))}",
        ) from None


def tiles_of_slides(file: Path, slide_ids: Sequence[str], verb: str = "evaluate") -> pd.DataFrame:
    """The rows of these slides in a table of tiles. A part of the table is held at a time: that of a large cohort has a
    million rows in each of its groups. Raises as `reading_predictions`."""
    import pyarrow
    from pyarrow import compute, parquet

    wanted = pyarrow.array(list(slide_ids), pyarrow.string())
    with reading_predictions(file, verb) as opened:
        table = parquet.ParquetFile(opened)
        groups = [one for one in range(table.num_row_groups) if _may_have(table.metadata.row_group(one), slide_ids)]
        found = [table.schema_arrow.empty_table()]
        for batch in table.iter_batches(ROWS_AT_ONCE, row_groups=groups, use_threads=False):
            has = compute.is_in(batch.column("slide_id").cast(pyarrow.string()), value_set=wanted)
            found.append(pyarrow.Table.from_batches([batch.filter(has)]))
        rows: pd.DataFrame = pyarrow.concat_tables(found, promote_options="permissive").to_pandas()
        pyarrow.default_memory_pool().release_unused()  # what a part took: 25 MB
        names = {name: str for name in ("slide_id", "model") if name in rows}
        return rows.astype(names)


def _may_have(group: Any, slide_ids: Sequence[str]) -> bool:
    """Whether a group of rows may have some of these slides, by the least and the greatest name in it."""
    columns = (group.column(number) for number in range(group.num_columns))
    known = next((one.statistics for one in columns if one.path_in_schema == "slide_id"), None)
    if known is None or not known.has_min_max:
        return True
    return any(known.min <= slide_id <= known.max for slide_id in slide_ids)
