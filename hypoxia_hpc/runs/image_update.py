"""A run on images in folders that grows: new patients and new images are added, what was made of the others stays."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.given_split import OF_IMAGES, given_split, read_given
from hypoxia_hpc.cohorts.growing import Grown, grown_patients, grown_slides
from hypoxia_hpc.cohorts.images import ImageRow, read_images
from hypoxia_hpc.cohorts.labelling import patients_in
from hypoxia_hpc.cohorts.naming import KnownSlide
from hypoxia_hpc.cohorts.splits import members_of
from hypoxia_hpc.cohorts.tables import patients_csv, read_columns, slides_csv, split_csv
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Patient
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.image_cohort import (
    OTHER_PATIENT,
    SHARED_ID,
    ImageCohort,
    equal_images,
    examined_images,
    image_cohort,
    shared_ids,
)
from hypoxia_hpc.runs.initialised import Initialised, known_slides, records, with_costs, without_labelled, write_files
from hypoxia_hpc.runs.sources import Sources, grown_flow
from hypoxia_hpc.runs.split import split_rule

MORE_IMAGES = "patients with images that are new, whose tiles and features are made again"
NOT_FOUND = "images of the run that are not found any more; their rows stay"


@dataclass(frozen=True, slots=True)
class _There:
    """The run as it is: slides.csv as text, where its patients' folders are, the slide id of each patient."""

    table: pd.DataFrame
    known: tuple[KnownSlide, ...]
    ids: Mapping[str, str]

    @property
    def in_place(self) -> set[str]:
        return {each.slide_id for each in self.known if each.has_file}


@dataclass(frozen=True, slots=True)
class _GrownImages:
    """All ``rows``, by patient, of which ``n_new`` are new; ``more``: patients of the run with new images;
    ``not_found``: paths that stay."""

    rows: tuple[ImageRow, ...]
    n_new: int
    more: tuple[str, ...]
    not_found: tuple[str, ...]


def update_images(
    run: RunDir, config: RunConfig, sources: Sources, progress: Progress, stop: threading.Event
) -> Initialised:
    """Add the patients and images that a run lacks; its rows and its run.toml stay as they are, empty cells of
    patients.csv are filled. The same call again changes nothing.

    Raises InputError for whatever is wrong with the images and tables, for another folder than that of the run while
    that is there, and where a table has another set for a patient than the run; MachineError, Stopped.
    """
    there, outcome = _read(run), run.outcome()
    _require_one_folder(sources.slides, there)
    cohort = _found(config, sources, outcome, there)
    images = _grown_images(run, cohort, there, is_middle=config.source.patient_mode == "middle")
    whole = replace(cohort, rows=images.rows, slide_ids={**there.ids, **cohort.slide_ids})
    slides = grown_slides(there.table, cohort.joined.slides.slides.astype(object), there.in_place)
    table, odd = _priced(whole, slides, images, progress, stop)
    grown = grown_patients(_held_patients(run, outcome), cohort.joined.table)
    patients = patients_in(grown.table, outcome)
    joined = without_labelled(cohort.joined, patients)
    flow = grown_flow(joined.flow, table, patients, slides.unnamed)
    files = {
        run.slides_file: slides_csv(table),
        run.images_file: whole.images_csv(),
        run.patients_file: patients_csv(grown.table),
        **_grown_split(run, config, cohort, patients, str(sources.images_table)),
    }
    write_files({**files, **records(run, joined, flow, cohort.left_out())})
    counts = {"n_images": len(images.rows), "n_new_images": images.n_new}
    return Initialised(joined, patients, outcome, len(table), flow, odd, (slides, grown), **counts)


def _read(run: RunDir) -> _There:
    run.slides(), run.patients()  # whatever is wrong with them is said before anything is added
    table = read_columns(run.slides_file)
    known = tuple(known_slides(run, table))
    return _There(table, known, {each.patient_id: each.slide_id for each in known})


def _held_patients(run: RunDir, outcome: Outcome) -> pd.DataFrame:
    if run.patients_file.exists():
        return read_columns(run.patients_file)
    return pd.DataFrame(columns=["patient_id", *outcome.table.columns], dtype=object)


def _require_one_folder(folder: Path, there: _There) -> None:
    """Paths of images.csv begin in one folder; where that is gone, ``folder`` is where it is now."""
    others = sorted({each.path for each in there.known if each.has_file and not each.path.samefile(folder)})
    refuse(
        f"--images {folder} is another folder than that of the run",
        [str(path) for path in others],
        "put the new images below the folder of the run, and name that; or make a new run",
    )


def _found(config: RunConfig, sources: Sources, outcome: Outcome, there: _There) -> ImageCohort:
    in_series = config.tile.series.is_on
    cohort = image_cohort(sources, config.source, outcome, in_series=in_series, known_ids=there.ids)
    if cohort.in_series and not in_series:
        problem = "the images found are slices of DICOM or NIfTI, and [tile.series] of this run is off"
        raise InputError(problem, remedy="make a new run with these images")
    return cohort


def _grown_images(run: RunDir, cohort: ImageCohort, there: _There, *, is_middle: bool) -> _GrownImages:
    """``is_middle``: the slices that a patient of the run has are the middle ones of the series as it was, and stay."""
    held = _held_rows(run, there)
    found = {name: list(rows) for name, rows in groupby(cohort.rows, key=lambda row: row.patient_id)}
    rows: list[ImageRow] = []
    more, not_found = [], []
    for name in sorted({*held, *found}):
        old = {row.path: row for row in held.get(name, ())}
        new = [row for row in found.get(name, ()) if row.path not in old]
        not_found += [path for path in old if path not in {row.path for row in found.get(name, ())}]
        if old and (is_middle or not new):
            rows += old.values()
            continue
        rows += _merged(old, found[name])
        more += [name] if old else []
    n_new = len(rows) - sum(map(len, held.values()))
    return _GrownImages(tuple(rows), n_new, tuple(more), tuple(not_found))


def _merged(old: Mapping[str, ImageRow], found: Sequence[ImageRow]) -> list[ImageRow]:
    """In the order of a new run, those that are not found any more at the end of their series."""
    there = {row.path for row in found}
    rows = [*(old.get(row.path, row) for row in found), *(row for path, row in old.items() if path not in there)]
    places = list(dict.fromkeys(row.series for row in rows))
    return sorted(rows, key=lambda row: places.index(row.series))


def _held_rows(run: RunDir, there: _There) -> dict[str, list[ImageRow]]:
    """Of each patient what images.csv has."""
    patients = {slide_id: name for name, slide_id in there.ids.items()}
    return {
        patients[slide_id]: [
            ImageRow(patients[slide_id], path, part.series, plane=part.plane, slices=part.slices)
            for path, part in images
        ]
        for slide_id, images in read_images(run.images_file).items()
        if slide_id in patients
    }


def _priced(
    whole: ImageCohort, slides: Grown, images: _GrownImages, progress: Progress, stop: threading.Event
) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """slides.csv with the cost of patients whose images changed, and what is odd."""
    changed = {*images.more, *slides.table.loc[slides.table["slide_id"].isin(slides.added), "patient_id"]}
    ids = {name: slide_id for name, slide_id in whole.slide_ids.items() if name in changed}
    rows = tuple(row for row in whole.rows if row.patient_id in changed)
    costs, odd = examined_images(replace(whole, rows=rows, slide_ids=ids), progress, stop)
    odd |= {
        OTHER_PATIENT: equal_images(whole, stop),
        SHARED_ID: shared_ids(whole, stop),
        MORE_IMAGES: images.more,
        NOT_FOUND: images.not_found,
    }
    return with_costs(slides.table, costs), odd


def _grown_split(
    run: RunDir, config: RunConfig, cohort: ImageCohort, patients: Sequence[Patient], source: str
) -> dict[Path, str]:
    """The sets that a table of images gave, with those of new patients. Raises InputError for a patient who has another
    one now."""
    kept, asked = run.given_split_file.absolute(), config.train.split_file
    if not cohort.sets or asked is None or run.root.absolute() / asked != kept or not kept.exists():
        return {}
    given = read_given(run.given_split_file)
    known = dict(zip(given["patient_id"], given["set"], strict=True))
    refuse(
        f"{source}: patients in another set than {run.given_split_file} has",
        [
            f"patient {name}: {known[name]}, now {one}"
            for name, one in cohort.sets.items()
            if known.get(name, one) != one
        ],
        "a patient who was trained on cannot be tested on: mend the table, or make a new run",
    )
    new = [(name, 0, one) for name, one in cohort.sets.items() if name not in known]
    grown = pd.concat([given, pd.DataFrame(new, columns=given.columns)]).astype({"fold": "int64"})
    members = members_of(patients, outcome=run.outcome())
    given_split(grown, members, split_rule(config.train, run.outcome()), source, OF_IMAGES)
    return {run.given_split_file: split_csv(grown)}
