"""What a run says of the tiles of some slides: predictions of every model, attention, clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.models.prediction_tables import TILES_FILE, tiles_of_slides
from hypoxia_hpc.models.tile_predictions import models_of_tiles
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float64Array, Int64Array
from hypoxia_hpc.runs.directory import RunDir

PLACE = ["x_l0", "y_l0"]
CALLED_AT = 0.5  # of a probability of two classes; operating points are of patients, not of tiles


def said_of_tiles(run: RunDir, slide_ids: Sequence[str], outcome: Outcome) -> dict[str, pd.DataFrame]:
    """Of each slide of which something is said: a row for each tile, with x_l0 and y_l0 as its index, and columns
    ``MODEL: OUTPUT``, ``MODEL: attention`` and ``cluster``; float64. Raises NotReadyError for damaged tables."""
    found: dict[str, list[pd.DataFrame]] = {}
    if (run.predictions / TILES_FILE).exists():
        table = tiles_of_slides(run.predictions / TILES_FILE, slide_ids, "evaluate")
        columns = [*outcome.outputs, "attention"]
        for (slide_id, model), rows in table.groupby(["slide_id", "model"], sort=False, observed=True):
            said = rows.set_index(PLACE)[columns].astype("float64").dropna(axis=1, how="all")
            found.setdefault(str(slide_id), []).append(said.add_prefix(f"{model}: "))
    if (run.phenotypes / TILES_FILE).exists():
        table = tiles_of_slides(run.phenotypes / TILES_FILE, slide_ids, "phenotypes")
        for slide_id, rows in table.groupby("slide_id", sort=False, observed=True):
            found.setdefault(str(slide_id), []).append(rows.set_index(PLACE)[["cluster"]].astype("float64"))
    return {slide_id: pd.concat(parts, axis=1) for slide_id, parts in found.items()}


def at_places(said: pd.DataFrame | None, xy_l0: Int64Array) -> pd.DataFrame:
    """The rows of these tiles, in their order, from 0; NaN where nothing is said of one."""
    if said is None:
        return pd.DataFrame(index=pd.RangeIndex(len(xy_l0)))
    places = pd.MultiIndex.from_arrays([xy_l0[:, 0], xy_l0[:, 1]], names=PLACE)
    return said.reindex(places).reset_index(drop=True)


def model_for_classes(run: RunDir, outcome: Outcome, asked: str) -> str:
    """The model whose calls tiles are classed by: the one ``asked`` for, else the leading one of metrics.json; empty
    where there is none, it has no predictions of tiles, or the outcome has no classes. Raises InputError for a model
    that says nothing of tiles here, NotReadyError for a damaged table."""
    if not isinstance(outcome, NamedClasses):
        if asked:
            raise InputError(f"--model {asked}: an outcome of {outcome.kind} has no classes", remedy="leave it out")
        return ""
    there = models_of_tiles(run)
    if asked and asked not in there:
        problem = f"--model {asked} has no predictions of tiles in {run.root}"
        raise InputError(problem, remedy=f"name one that has: {', '.join(there)}" if there else "leave it out")
    lead = asked or leading_model(run)
    return lead if lead in there else ""


def leading_model(run: RunDir) -> str:
    """The one that metrics.json names; empty where it names none."""
    return str((run.metrics() or {}).get("lead", {}).get("model") or "")


def called_classes(said: pd.DataFrame, model: str, outcome: Outcome) -> Int64Array:
    """The class that ``model`` calls each tile, int64 (n,): of two that with a probability of 0.5 or more, of several
    the most probable; -1 where it says nothing."""
    columns = [f"{model}: {one}" for one in outcome.outputs]
    if not set(columns) <= set(said):
        return np.full(len(said), -1, dtype=np.int64)
    values: Float64Array = said[columns].to_numpy(dtype=np.float64)
    known = ~np.isnan(values).any(axis=1)
    called = np.full(len(said), -1, dtype=np.int64)
    best = values[known, 0] >= CALLED_AT if len(columns) == 1 else values[known].argmax(axis=1)
    called[known] = best.astype(np.int64)
    return called


def names_of_classes(outcome: Outcome) -> tuple[str, ...]:
    """Of an outcome that has some."""
    return outcome.table.classes if isinstance(outcome, NamedClasses) else ()
