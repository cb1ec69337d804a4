"""maps: predictions and attention of every slide as pictures, from the stored predictions alone; RUN/maps/."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.cohorts.slide_table import is_slide_id
from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.models.predictions import TILES_FILE
from hypoxia_hpc.models.tile_predictions import PLACE, each_slide
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, read_json, sha256_of
from hypoxia_hpc.records import Float64Array
from hypoxia_hpc.reports.heatmaps import MAP_PX, Scale, heatmap_png, painted
from hypoxia_hpc.reports.text import one_line
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.commit import committed_file

RECORD = "maps.json"
ATTENTION = "attention"
# Of scores and risks, which have no ends: where this share of all tiles is below, and above.
TAIL = 0.01
# Attention is shown as a multiple of the slide's mean, from an eighth to eight times.
MOST_TIMES = 8


@dataclass(frozen=True, slots=True)
class Mapped:
    """``folder``: RUN/maps/MODEL, with ``n_maps`` pictures, of which ``n_there`` were there before. ``left_out``:
    slides whose tile store is gone or of an older version."""

    folder: Path
    model: str
    n_maps: int
    n_there: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A picture of each slide: of this ``column``, in files that end with ``suffix``."""

    column: str
    suffix: str
    scale: Scale

    def values(self, rows: pd.DataFrame) -> Float64Array:
        """What is drawn of each tile, (n,)."""
        values: Float64Array = rows[self.column].to_numpy(dtype=np.float64)
        if self.column != ATTENTION or np.isnan(values).all():
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log2(values / np.nanmean(values))


def maps(run: RunDir, *, model: str = "", progress: Progress, stop: threading.Event) -> Mapped:
    """Draw what ``model`` (default: the leading one) says of the tiles of every slide: RUN/maps/MODEL/ID.png for an
    output, and ID.attention.png where the model weighs tiles. What is there of the same predictions stays.

    Raises:
        InputError: a model without predictions; images in folders, which have no place on a slide.
        NotReadyError: no predictions, or damaged ones.
        Stopped: on request; given again, it goes on.
    """
    _refuse_images(run)
    chosen = _model(run, model)
    kinds = _kinds(run, chosen, outcome_of(run.config().outcome))
    folder, slides = run.root / "maps" / chosen, run.slides()
    _begin_folder(folder, sha256_of(run.metrics_file, MOST_PREDICTIONS_BYTES))
    n_maps, n_there, left_out = 0, 0, []
    progress.begin(f"maps {chosen}", len(slides), len(slides), "slide")
    try:
        for slide_id, rows in each_slide(run, chosen, [kind.column for kind in kinds]):
            if stop.is_set():
                raise Stopped("stopped on request", remedy="run the same command again to go on")
            if not is_slide_id(slide_id):
                raise NotReadyError(
                    f"{run.predictions / TILES_FILE} names a slide {slide_id!r}, which is no name of a slide",
                    remedy=f"hypoxia-hpc evaluate {run.word}",
                )
            files = {folder / f"{slide_id}{kind.suffix}.png": kind for kind in kinds}
            todo = {file: kind for file, kind in files.items() if not file.exists()}
            n_maps, n_there = n_maps + len(files), n_there + len(files) - len(todo)
            if todo and not _draw(run, slide_id, rows, todo):
                left_out.append(slide_id)
                n_maps -= len(todo)
            progress.item(1)
    finally:
        progress.end()
    return Mapped(folder, chosen, n_maps, n_there, tuple(left_out))


def _refuse_images(run: RunDir) -> None:
    if any(slide.images for slide in run.slides()):
        raise InputError(
            f"the tiles of {run.root} are of images in folders, which have no place on a slide",
            remedy="hypoxia-hpc export RUN --to csv has what is said of each tile",
        )


def _model(run: RunDir, asked: str) -> str:
    metrics = run.metrics()
    if metrics is None or not (run.predictions / TILES_FILE).exists():
        raise NotReadyError(
            f"{run.root} has no predictions",
            remedy=f"hypoxia-hpc run {run.word}; where no patient has a label, hypoxia-hpc predict {run.word} "
            "--model TRAINED_RUN",
        )
    there = sorted(metrics["models"])
    chosen = asked or str(metrics["lead"]["model"] or there[0])
    if chosen not in there or not is_slide_id(chosen):  # it names a folder
        problem = f"--model {chosen} has no predictions in {run.root}"
        raise InputError(problem, remedy=f"name one of them: {', '.join(there)}")
    return chosen


def _kinds(run: RunDir, model: str, outcome: Outcome) -> list[_Kind]:
    """A picture for each output, on a scale that is the same for all slides, and one of attention if there is any."""
    names = outcome.table.classes if isinstance(outcome, NamedClasses) else ()
    if names:
        names = names[-1:] if len(outcome.outputs) == 1 else names
        ends = ("0", "1")
        scales = [Scale(f"probability of {one_line(name)}, {model}", 0, 1, ends) for name in names]
    else:
        scales = [_scale_of_cohort(run, model, column) for column in outcome.outputs]
    many = len(outcome.outputs) > 1
    found = [
        _Kind(column, f".{number}" if many else "", scale)
        for number, (column, scale) in enumerate(zip(outcome.outputs, scales, strict=True))
    ]
    if _weighs_tiles(run, model):
        most = float(np.log2(MOST_TIMES))
        words = f"1/{MOST_TIMES}", f"{MOST_TIMES} times"
        found.append(
            _Kind(ATTENTION, ".attention", Scale(f"attention, by the slide's mean, {model}", -most, most, words))
        )
    return found


def _scale_of_cohort(run: RunDir, model: str, column: str) -> Scale:
    """Between the values that a hundredth of all tiles is below and above."""
    parts = [rows[column].to_numpy(dtype=np.float32) for _, rows in each_slide(run, model, [column])]
    low, high = np.nanquantile(np.concatenate(parts), [TAIL, 1 - TAIL]).tolist() if parts else (0.0, 1.0)
    return Scale(f"{column}, {model}", low, high, (f"{low:.3g}", f"{high:.3g}"))


def _weighs_tiles(run: RunDir, model: str) -> bool:
    _, rows = next(each_slide(run, model, [ATTENTION]), ("", pd.DataFrame({ATTENTION: [np.nan]})))
    return bool(rows[ATTENTION].notna().any())


def _begin_folder(folder: Path, key: str) -> None:
    """Pictures of other predictions go before the record says that what is there is of these."""
    try:
        is_same = read_json(folder / RECORD)["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        is_same = False
    if not is_same:
        for file in folder.glob("*.png"):
            file.unlink()
        committed_file(folder / RECORD, canonical_json({"schema": 1, "key": key}).encode())


def _draw(run: RunDir, slide_id: str, rows: pd.DataFrame, todo: Mapping[Path, _Kind]) -> bool:
    """Whether the tile store says what a picture needs."""
    made = read_tile_attributes(run.tiles(slide_id))
    if made is None or made.slide.size_l0 is None or not made.plan.side_l0:
        return False
    xy_l0, mpp = rows[[*PLACE]].to_numpy(dtype=np.int64), made.slide.mpp
    for file, kind in todo.items():
        picture = painted(xy_l0, made.plan.side_l0, kind.values(rows), made.slide.size_l0)
        mpp_of_map = None if mpp is None else mpp * max(made.slide.size_l0) / MAP_PX
        committed_file(file, heatmap_png(picture, kind.scale, mpp_of_map), durable=False)
    return True
