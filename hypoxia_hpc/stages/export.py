"""export: tiles, features and predictions of a run -> files in the format of another tool."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError, SlideError, Stopped
from hypoxia_hpc.exports.registry import FORMATS
from hypoxia_hpc.exports.slide import Format, SlideExport
from hypoxia_hpc.exports.writing import write_slide
from hypoxia_hpc.models.outside import out_of_date
from hypoxia_hpc.models.said_of_tiles import (
    at_places,
    called_classes,
    leading_model,
    model_for_classes,
    names_of_classes,
    said_of_tiles,
)
from hypoxia_hpc.models.slide_size import with_size
from hypoxia_hpc.models.tile_predictions import models_of_tiles
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, read_json, sha256_of
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import is_predicted
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.runs.survey import Survey, cohort_progress, survey_run
from hypoxia_hpc.stores.attributes import tile_attributes
from hypoxia_hpc.stores.commit import LEFTOVER_NAME, committed_file, sync_folders
from hypoxia_hpc.stores.features import FeatureRows
from hypoxia_hpc.stores.tiles import open_tiles

RECORD = "export.json"
# Tables of predictions are read for this many slides at a time, and what is written is recorded.
SLIDES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Exported:
    """``folder`` has ``n_slides``, and had the files of ``n_there`` of them before. ``left_out``: slides that have no
    place in the format or are in quarantine, with the reason; ``todo``: those that are not tiled or have no features
    yet. ``model``: by whose calls tiles are classed, "" by none. ``why``: of each reason that came up in writing, what
    is wrong with the first such slide, and the remedy."""

    folder: Path
    n_slides: int
    n_there: int
    left_out: tuple[tuple[str, str], ...]
    todo: tuple[str, ...]
    model: str
    why: Mapping[str, str]


def export(
    run: RunDir, name: str, folder: Path | None, *, model: str = "", progress: Progress, stop: threading.Event
) -> Exported:
    """Write every slide that is done in the format called ``name`` below ``folder`` (default RUN/exports/NAME). What is
    there already, of the same tiles, features and predictions, stays.

    Raises:
        InputError: a format that is not known or whose library is not installed, a model without predictions, a folder
            with other files, images in folders where the format has places on a slide.
        NotReadyError: no slide is done; predictions that are damaged.
        MachineError: weights that are not here, so that it is not known which features are current.
        Stopped: on request; given again, it goes on.
    """
    survey = survey_run(run)
    work = _work(run, survey, name, folder, model)
    states = _states(survey, work.format)
    for note in (*_doubts(survey), _without_classes(work), work.format.note()):
        if note:
            progress.note(note)
    left_out = [(one.slide.slide_id, _reason(one)) for one in states if one.status == "quarantined"]
    written: dict[str, Json] = {}
    why: dict[str, str] = {}
    _keep_record(work, written)  # from here on a kill leaves a folder that the same command knows and goes on with
    try:
        done = [one for one in states if one.status == "done"]
        for number, (slide_id, entry) in enumerate(_each_written(work, done, progress, stop), start=1):
            if number % SLIDES_AT_ONCE == 0:
                _keep_record(work, written)
            if isinstance(entry, SlideError):
                left_out.append((slide_id, entry.reason))
                why.setdefault(entry.reason, str(entry))
            else:
                written[slide_id] = entry
    finally:
        _keep_record(work, written)
    n_there = sum(work.before.get(slide_id) is entry for slide_id, entry in written.items())
    model = work.model if work.format.has_classes else ""
    todo = tuple(one.slide.slide_id for one in states if one.status == "todo")
    return Exported(work.folder, len(written), n_there, tuple(left_out), todo, model, why)


@dataclass(frozen=True, slots=True)
class _Work:
    """An export: what is to be written where. ``before``: the slides of the folder's record, each with its key and its
    files; ``said_key``: of what is said of tiles."""

    run: RunDir
    survey: Survey
    format: Format
    folder: Path
    model: str
    before: Json
    said_key: str


def _work(run: RunDir, survey: Survey, name: str, folder: Path | None, model: str) -> _Work:
    chosen = _format(name, survey)
    target = run.root / "exports" / name if folder is None else folder
    called_by = model_for_classes(run, outcome_of(survey.config.outcome), model)
    files = (run.metrics_file, run.phenotypes / "SHA256SUMS")
    said_key = ":".join(sha256_of(file, MOST_PREDICTIONS_BYTES) if file.exists() else "" for file in files)
    return _Work(run, survey, chosen, target, called_by, _slides_there(target, name), said_key)


def _format(name: str, survey: Survey) -> Format:
    """The format of this name. Raises InputError where it does not fit the run, or its library is missing."""
    if name not in FORMATS:
        raise InputError(f"--to {name} is no format; these are: {', '.join(FORMATS)}", remedy="name one of them")
    chosen = FORMATS[name]
    if chosen.library and find_spec(chosen.library) is None:
        raise InputError(
            f"--to {name} goes by the Python package {chosen.library}, which is not installed here",
            remedy=f"pip install 'hypoxia-hpc[{chosen.library}]'",
        )
    if chosen.has_places and any(slide.images for slide in survey.slides):
        raise InputError(
            f"--to {name} has places on a slide, and {survey.run.root} is of images in folders, which have none",
            remedy="take a format without: csv, parquet, anndata",
        )
    if chosen.has_features and survey.unknown is not None:
        raise survey.unknown
    return chosen


def _slides_there(folder: Path, name: str) -> Json:
    """What the record of an export says; nothing of a folder that is empty but for what a kill has left. Raises
    InputError for a folder with other files."""
    if not folder.exists() or (folder.is_dir() and all(LEFTOVER_NAME.fullmatch(one.name) for one in folder.iterdir())):
        return {}
    try:
        record = read_json(folder / RECORD)
        if record["format"] == name and isinstance(record["slides"], dict):
            return dict(record["slides"])
        is_of = f"an export in the format {record['format']}"
    except (OSError, ValueError, KeyError, TypeError):
        is_of = "files, and no record of an export"
    raise InputError(f"{folder} has {is_of}", remedy="name a new or empty folder")


def _states(survey: Survey, chosen: Format) -> Sequence[SlideState]:
    states = survey.features if chosen.has_features else survey.tiles
    if not any(one.status == "done" for one in states):
        what, verb = ("features", "extract") if chosen.has_features else ("tiles", "tile")
        raise NotReadyError(f"no slide of {survey.run.root} has {what}", remedy=f"hypoxia-hpc {verb} {survey.run.word}")
    return states


def _reason(state: SlideState) -> str:
    return state.receipt.reason if state.receipt is not None else ""


def _doubts(survey: Survey) -> tuple[str, ...]:
    """What is missing, or exported and not of the present run: predictions and phenotypes that are out of date."""
    there = {"evaluate": survey.run.predictions, "phenotypes": survey.run.phenotypes}
    if not any(folder.exists() for folder in there.values()):
        return (f"{survey.run.root} has no predictions: no number of a model is exported",)
    done = dict(cohort_progress(survey).done)
    if is_predicted(survey.run):
        done["evaluate"] = int(_is_up_to_date(survey)), 1
    return tuple(
        f"{folder} is not known to be of the present slides, models and run.toml; it is exported as it is"
        for stage, folder in there.items()
        if folder.exists() and done.get(stage, (1, 1)) != (1, 1)
    )


def _is_up_to_date(survey: Survey) -> bool:
    """Whether the predictions of another run's models are known to be of the present slides and of those models."""
    try:
        return not out_of_date(survey.cohort(with_labels=False))[0]
    except HypoxiaError:
        return False


def _without_classes(work: _Work) -> str:
    """Why tiles have no class although a model leads; empty where they have one, the format or the outcome has none, or
    no model leads."""
    lead = leading_model(work.run) if names_of_classes(outcome_of(work.survey.config.outcome)) else ""
    if not work.format.has_classes or work.model or not lead or not work.run.predictions.exists():
        return ""
    there = models_of_tiles(work.run)
    others = f"; --model takes one that has some: {', '.join(there)}" if there else ""
    return f"{lead}, the leading model, has no predictions of tiles: no tile has a class{others}"


def _each_written(
    work: _Work, done: Sequence[SlideState], progress: Progress, stop: threading.Event
) -> Iterator[tuple[str, Json | SlideError]]:
    """Each slide, when its files are there, with its entry in the record, or with what keeps it out. Raises Stopped."""
    progress.begin(f"export {work.format.name}", len(done), len(done), "slide")
    try:
        for number, state in enumerate(done):
            if number % SLIDES_AT_ONCE == 0:
                ids = [one.slide.slide_id for one in done[number : number + SLIDES_AT_ONCE]]
                said = said_of_tiles(work.run, ids, outcome_of(work.survey.config.outcome))
            if stop.is_set():
                raise Stopped("stopped on request", remedy="run the same command again to go on")
            try:
                yield state.slide.slide_id, _write(work, state, said.get(state.slide.slide_id))
            except SlideError as error:
                yield state.slide.slide_id, error
            progress.item(1)
    finally:
        progress.end()


def _write(work: _Work, state: SlideState, said: pd.DataFrame | None) -> Json:
    """The entry of a slide in the record; its files are there then. Raises SlideError for a slide without a place in
    the format, or a damaged store."""
    key = ":".join((state.key, work.said_key, work.model))
    held = work.before.get(state.slide.slide_id)
    if isinstance(held, dict) and held.get("key") == key and _are_there(work.folder, held.get("files")):
        return held
    return {"key": key, "files": write_slide(work.format, _opened(work, state, said), work.folder)}


def _are_there(folder: Path, files: object) -> bool:
    return isinstance(files, list) and bool(files) and all((folder / str(name)).is_file() for name in files)


def _opened(work: _Work, state: SlideState, said: pd.DataFrame | None) -> SlideExport:
    """Raises SlideError for a damaged store."""
    slide_id, table = state.slide.slide_id, work.survey.config.extract
    tiles = open_tiles(work.run.tiles(slide_id))
    outcome = outcome_of(work.survey.config.outcome)
    of_tiles = at_places(said, tiles.xy)
    return SlideExport(
        state.slide,
        with_size(tile_attributes(tiles.attributes), state.slide.path),
        tiles.xy,
        of_tiles,
        called_classes(of_tiles, work.model, outcome),
        names_of_classes(outcome),
        table.name,
        FeatureRows(work.run.features(table.name, slide_id)) if work.format.has_features else None,
    )


def _keep_record(work: _Work, written: Json) -> None:
    """What is in the folder now, when it is durable; files of slides that are not of the run any more stay, and stand
    in it."""
    new = [name for slide_id, one in written.items() if work.before.get(slide_id) is not one for name in one["files"]]
    sync_folders({(work.folder / name).parent for name in new})
    record = {"schema": 1, "format": work.format.name, "slides": {**work.before, **written}}
    committed_file(work.folder / RECORD, canonical_json(record).encode())
