"""init: slides, or images in folders, and what is known of the patients -> run.toml, slides.csv, patients.csv."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hypoxia_hpc.analysis.embedding import require_umap
from hypoxia_hpc.cohorts.given_split import OF_FILE, OF_IMAGES, given_split, read_given
from hypoxia_hpc.cohorts.growing import Grown, grown_patients, grown_slides
from hypoxia_hpc.cohorts.labelling import patients_in
from hypoxia_hpc.cohorts.naming import KnownSlide
from hypoxia_hpc.cohorts.splits import members_of
from hypoxia_hpc.cohorts.tables import patients_csv, read_columns, slides_csv, split_csv
from hypoxia_hpc.config import RunConfig, TileTable, render_config
from hypoxia_hpc.config.text_paths import is_there, path_of_text
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.progress import NoProgress, Progress
from hypoxia_hpc.reading import UnfitFileError, read_plain
from hypoxia_hpc.records import Patient
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.image_cohort import examined_images, image_cohort
from hypoxia_hpc.runs.image_update import update_images
from hypoxia_hpc.runs.initialised import Initialised, known_slides, records, with_costs, without_labelled, write_files
from hypoxia_hpc.runs.sources import Sources, grown_flow, joined_cohort, with_columns_of_study
from hypoxia_hpc.runs.split import split_rule
from hypoxia_hpc.slides.copies import equal_files
from hypoxia_hpc.slides.costs import Header, read_headers
from hypoxia_hpc.slides.finding import is_selected, nbytes_of
from hypoxia_hpc.stores.commit import machine_errors
from hypoxia_hpc.tiling.remarks import by_kind

SAME_PATIENT = "slides of one patient with files of the same content, whose tiles will count more than once"
OTHER_PATIENT = (
    "slides of several patients with files of the same content, which train refuses; --exclude leaves out those that "
    "are no slide of their own, such as masks"
)
REFUSED = (
    "slides that tile puts in quarantine as they are, {reason}; hypoxia-hpc doctor says of each what is wrong and what "
    "to do"
)
SCALED = 'slices of DICOM or NIfTI, of which each series gets one scale ([tile.series] scale = "percentiles")'


def init(
    run: RunDir,
    config: RunConfig,
    slides: Path,
    *,
    split: Path | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **sources: Any,
) -> Initialised:
    """Make a run directory. The same call again finds it made. ``sources``: the other fields of `Sources`. ``split``: a
    split of the user's, which is checked and kept in the run; [train] split_file has to name it.

    Raises:
        InputError: input that is wrong, or files there already that say something else.
        MachineError: disk or permission.
        Stopped: on request.
    """
    require_umap(config.phenotypes.picture)
    given = with_columns_of_study(Sources(slides, **sources), config.study)
    if config.source.kind == "folders":
        return _init_images(run, config, given, split, progress, stop)
    outcome = outcome_of(config.outcome)
    joined = joined_cohort(given, config.cohort, outcome)
    priced, odd = _examined(joined.slides.slides, config.tile, progress or NoProgress(), stop or threading.Event())
    files = {
        run.slides_file: slides_csv(priced),
        run.patients_file: patients_csv(joined.table),
        **_given_split(run, config, None if split is None else read_given(split), str(split), joined.patients, OF_FILE),
        **records(run, joined, joined.flow),
        # Last, since a run.toml is what makes a folder a run directory.
        run.config_file: render_config(config),
    }
    _refuse_to_overwrite(run, {path: text.encode() for path, text in files.items()})
    write_files(files)
    return Initialised(joined, joined.patients, outcome, len(priced), joined.flow, odd)


def _init_images(
    run: RunDir,
    config: RunConfig,
    sources: Sources,
    split: Path | None,
    progress: Progress | None,
    stop: threading.Event | None,
) -> Initialised:
    """The same for images in folders: a row of slides.csv for each patient, and images.csv."""
    in_series, outcome = config.tile.series.is_on, outcome_of(config.outcome)
    cohort = image_cohort(sources, config.source, outcome, has_sets=split is None, in_series=in_series)
    joined = cohort.joined
    costs, odd = examined_images(cohort, progress or NoProgress(), stop or threading.Event())
    if cohort.in_series and not in_series:
        config, odd = _with_scale(config), {SCALED: cohort.series, **odd}
    given = None if split is None else read_given(split)
    if cohort.sets:
        given = pd.DataFrame(
            [(name, 0, one) for name, one in cohort.sets.items()], columns=["patient_id", "fold", "set"]
        )
        named = {"split_file": run.given_split_file.name, "folds": 1, "repeats": 1}
        config = config.model_copy(update={"train": config.train.model_copy(update=named)})
    slides, source = joined.slides.slides, str(split or sources.images_table)
    files = {
        run.slides_file: slides_csv(slides.assign(cost=[costs[slide_id] for slide_id in slides["slide_id"]])),
        run.images_file: cohort.images_csv(),
        run.patients_file: patients_csv(joined.table),
        **_given_split(run, config, given, source, joined.patients, OF_IMAGES if cohort.sets else OF_FILE),
        **records(run, joined, joined.flow, cohort.left_out()),
        run.config_file: render_config(config),
    }
    _refuse_to_overwrite(run, {path: text.encode() for path, text in files.items()})
    write_files(files)
    return Initialised(joined, joined.patients, outcome, len(slides), joined.flow, odd, n_images=len(cohort.rows))


def _with_scale(config: RunConfig) -> RunConfig:
    """What DICOM and NIfTI have are no values of 8 bits."""
    series = config.tile.series.model_copy(update={"scale": "percentiles"})
    return config.model_copy(update={"tile": config.tile.model_copy(update={"series": series})})


def update(
    run: RunDir,
    slides: Path,
    *,
    of_images: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **sources: Any,
) -> Initialised:
    """Add to a run the slides and patients that it lacks; its rows and its run.toml stay as they are, empty cells of
    patients.csv are filled. The same call again changes nothing. ``of_images``: ``slides`` is a folder of images.

    Raises InputError as ``init`` does, for a folder that is no run, and for slides that are neither found nor there any
    more; MachineError, Stopped.
    """
    config, outcome, given = run.config(), run.outcome(), Sources(slides, **sources)
    _require_kind(run, config, of_images=of_images)
    if of_images:
        sources_of = with_columns_of_study(given, config.study)
        return update_images(run, config, sources_of, progress or NoProgress(), stop or threading.Event())
    run.slides(), run.patients()  # whatever is wrong with them is said before anything is added
    there = read_columns(run.slides_file)
    known = known_slides(run, there)
    joined = joined_cohort(given, config.cohort, outcome, known)
    grown = grown_slides(there, joined.slides.slides.astype(object), {each.slide_id for each in known if each.has_file})
    grown = replace(grown, excluded=_excluded(grown, known, joined.found.root, given))
    is_new = joined.slides.slides["slide_id"].isin(grown.added)
    new = joined.slides.slides[is_new].reset_index(drop=True)
    priced, odd = _examined(new, config.tile, progress or NoProgress(), stop or threading.Event(), known)
    costs = dict(zip(priced["slide_id"], priced["cost"], strict=True))
    table = with_costs(grown.table, costs)
    empty = table[["patient_id"]][:0].assign(**dict.fromkeys(outcome.table.columns, ""))
    held = read_columns(run.patients_file) if run.patients_file.exists() else empty
    grown_table = grown_patients(held, joined.table)
    patients = patients_in(grown_table.table, outcome)
    joined = without_labelled(joined, patients)
    flow = grown_flow(joined.flow, table, patients, grown.unnamed)
    files = {run.slides_file: slides_csv(table), run.patients_file: patients_csv(grown_table.table)}
    write_files({**files, **records(run, joined, flow)})
    return Initialised(joined, patients, outcome, len(table), flow, odd, (grown, grown_table))


def _require_kind(run: RunDir, config: RunConfig, *, of_images: bool) -> None:
    if of_images != (config.source.kind == "folders"):
        is_of, option = ("slides", "--slides") if of_images else ("images in folders", "--images")
        raise InputError(f"{run.root} is a run of {is_of}", remedy=f"name them by {option}")


def _excluded(grown: Grown, known: Sequence[KnownSlide], root: Path | None, given: Sources) -> tuple[str, ...]:
    """Slides that were not named again since the patterns leave their files out."""
    if root is None:
        return ()
    below = {each.slide_id: each.path.relative_to(root) for each in known if each.path.is_relative_to(root)}
    left_out = {name for name, file in below.items() if not is_selected(file, given.include, given.exclude)}
    return tuple(name for name in grown.unnamed if name in left_out)


def _given_split(
    run: RunDir, config: RunConfig, given: pd.DataFrame | None, source: str, patients: Sequence[Patient], remedy: str
) -> dict[Path, str]:
    """The user's split as it is kept in the run. Raises InputError where it is none of this cohort."""
    if given is None:
        return {}
    outcome = outcome_of(config.outcome)
    given_split(given, members_of(patients, outcome=outcome), split_rule(config.train, outcome), source, remedy)
    return {run.given_split_file: split_csv(given)}


def _examined(
    slides: pd.DataFrame,
    table: TileTable,
    progress: Progress,
    stop: threading.Event,
    known: Sequence[KnownSlide] = (),
) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """The slides with what each costs to tile, and what is odd about which of them. ``known``: those that the run has
    already. Raises Stopped."""
    headers = _headers(slides, table, progress, stop)
    odd = by_kind(zip(slides["slide_id"], (header.remarks for header in headers), strict=True))
    odd |= _refused(slides, headers)
    return slides.assign(cost=[header.cost for header in headers]), odd | _copies(slides, known, stop)


def _refused(slides: pd.DataFrame, headers: Sequence[Header]) -> dict[str, tuple[str, ...]]:
    """Slides that are there and cannot be read or planned, by the sentence with the reason."""
    found: dict[str, tuple[str, ...]] = {}
    for slide_id, path, header in zip(slides["slide_id"], slides["path"], headers, strict=True):
        if header.refused and is_there(path_of_text(path)):
            sentence = REFUSED.format(reason=header.refused)
            found[sentence] = (*found.get(sentence, ()), slide_id)
    return found


def _headers(slides: pd.DataFrame, table: TileTable, progress: Progress, stop: threading.Event) -> list[Header]:
    """What the header of each slide tells. Raises Stopped."""
    known = [
        (path_of_text(path), None if pd.isna(mpp) else float(mpp))
        for path, mpp in zip(slides["path"], slides["mpp"], strict=True)
    ]
    progress.begin("init", len(known), len(known), "header")
    try:
        return read_headers(known, table, lambda: progress.item(1), stop)
    finally:
        progress.end()


def _copies(slides: pd.DataFrame, known: Sequence[KnownSlide], stop: threading.Event) -> dict[str, tuple[str, ...]]:
    """Slides whose file has the content of another one, or of a known one, as ``a = b``, by the sentence that says what
    follows from it. ``cost`` of the slides is still their size."""
    others = known if len(slides) else ()
    files = list(zip(map(path_of_text, slides["path"]), map(int, slides["cost"]), strict=True))
    groups = equal_files([*files, *((each.path, nbytes_of(each.path) or 0) for each in others)], stop)
    ids = [*slides["slide_id"], *(each.slide_id for each in others)]
    patients = [*slides["patient_id"], *(each.patient_id for each in others)]
    found: dict[str, tuple[str, ...]] = {}
    for group in (places for places in groups if places[0] < len(slides)):  # not those known already
        sentence = SAME_PATIENT if len({patients[place] for place in group}) == 1 else OTHER_PATIENT
        found[sentence] = (*found.get(sentence, ()), " = ".join(ids[place] for place in group))
    return found


def _refuse_to_overwrite(run: RunDir, files: dict[Path, bytes]) -> None:
    with machine_errors(run.root):
        others = [path for path, data in files.items() if path.exists() and not _holds(path, data)]
    if others:
        raise InputError(
            f"{run.root} has files already that this would overwrite with others",
            offending=[str(path) for path in others],
            remedy=f"choose another directory; to add slides or images: hypoxia-hpc init {run.word} --slides DIR (or "
            "--images DIR) --update; to change a run edit its run.toml, slides.csv and patients.csv",
        )


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file is of these bytes."""
    try:
        return read_plain(path, len(data)) == data
    except UnfitFileError:
        return False
