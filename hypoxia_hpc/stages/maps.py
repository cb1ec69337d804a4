"""maps: predictions, attention, phenotypes or tissue of every slide as pictures, from what is stored; RUN/maps/."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from hypoxia_hpc.cohorts.slide_table import is_slide_id
from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.models.map_layers import Layer, Picture, phenotype_layer, prediction_layer, refuse_images, tissue_layer
from hypoxia_hpc.models.prediction_tables import TILES_FILE
from hypoxia_hpc.models.slide_size import with_size
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import read_json
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.commit import committed_file

RECORD = "maps.json"
Drawn = Literal["predictions", "phenotypes", "tissue"]


@dataclass(frozen=True, slots=True)
class Mapped:
    """``folder``: RUN/maps/NAME, with ``n_maps`` pictures of ``what``, of which ``n_there`` were there before.
    ``left_out``: slides whose tile store is gone or does not say how large the slide is, which is not here either."""

    folder: Path
    what: str
    n_maps: int
    n_there: int
    left_out: tuple[str, ...]
    quarantined: Mapping[str, Sequence[str]]


def maps(
    run: RunDir, *, of: Drawn = "predictions", model: str = "", progress: Progress, stop: threading.Event
) -> Mapped:
    """Draw every slide: what ``model`` (default: the leading one) says of its tiles, RUN/maps/MODEL/ID.png for an
    output, and ID.attention.png where the model weighs tiles; or its phenotypes, RUN/maps/phenotypes/ID.png; or its
    tissue. What is there of the same predictions, phenotypes or tiles stays.

    Raises:
        InputError: a model without predictions; images in folders, which have no place on a slide.
        NotReadyError: no predictions, no phenotypes, no tiles, or damaged ones.
        Stopped: on request; given again, it goes on.
    """
    layer, slides = _layer(run, of, model), run.slides()
    paths = {slide.slide_id: slide.path for slide in slides}
    folder = run.root / "maps" / layer.name
    _begin_folder(folder, layer.key)
    n_maps, n_there, left_out = 0, 0, []
    progress.begin(f"maps {layer.name}", len(slides), len(slides), "slide")
    try:
        for slide_id, rows in layer.slides():
            if stop.is_set():
                raise Stopped("stopped on request", remedy="run the same command again to go on")
            _require_name(run, slide_id)
            files = {folder / f"{slide_id}{picture.suffix}.png": picture for picture in layer.pictures}
            todo = {file: picture for file, picture in files.items() if not file.exists()}
            n_maps, n_there = n_maps + len(files), n_there + len(files) - len(todo)
            if todo and not _draw(run, slide_id, paths.get(slide_id), rows, todo):
                left_out.append(slide_id)
                n_maps -= len(todo)
            progress.item(1)
    finally:
        progress.end()
    quarantined = _quarantined(run, slides, left_out)
    others = tuple(one for one in left_out if not any(one in names for names in quarantined.values()))
    return Mapped(folder, layer.name, n_maps, n_there, others, quarantined)


def _quarantined(run: RunDir, slides: Sequence[Slide], names: Sequence[str]) -> dict[str, list[str]]:
    """Those of these slides that `tile` has set aside, by the reason."""
    table, found = run.config().tile, defaultdict[str, list[str]](list)
    for slide in (one for one in slides if one.slide_id in names):
        state = tile_state(run, table, slide, read_slides=False)
        if state.status == "quarantined" and state.receipt is not None:
            found[state.receipt.reason].append(slide.slide_id)
    return dict(found)


def _layer(run: RunDir, of: Drawn, model: str) -> Layer:
    refuse_images(run)
    if of == "predictions":
        return prediction_layer(run, model)
    if model:
        raise InputError(f"--model {model}: {of} are of no model", remedy="leave it out")
    return phenotype_layer(run) if of == "phenotypes" else tissue_layer(run)


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


def _require_name(run: RunDir, slide_id: str) -> None:
    if not is_slide_id(slide_id):
        raise NotReadyError(
            f"{run.predictions / TILES_FILE} names a slide {slide_id!r}, which is no name of a slide",
            remedy=f"hypoxia-hpc evaluate {run.word}",
        )


def _draw(run: RunDir, slide_id: str, path: Path | None, rows: pd.DataFrame | None, todo: dict[Path, Picture]) -> bool:
    """Whether the tile store, or the slide at ``path``, says what a picture needs."""
    made = read_tile_attributes(run.tiles(slide_id))
    if made is None or rows is None:
        return False
    made = made if path is None else with_size(made, path)
    for file, picture in todo.items():
        content = picture.png(rows, made)
        if content is None:
            return False
        committed_file(file, content, durable=False)
    return True
