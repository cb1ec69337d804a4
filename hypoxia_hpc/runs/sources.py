"""What a run is made of: the slides of a folder or a manifest, joined to what tables know of their patients."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import read_table
from hypoxia_hpc.cohorts.flow import Flow, LeftOut, Step, left_out
from hypoxia_hpc.cohorts.joining import SlideTable, slide_table
from hypoxia_hpc.cohorts.labelling import patients_in, patients_said, said_of
from hypoxia_hpc.cohorts.manifests import read_manifest
from hypoxia_hpc.cohorts.naming import KnownSlide, common_folder, with_known_ids
from hypoxia_hpc.cohorts.scores import HypoxiaLabels, LabelRule, hypoxia_labels, read_scores
from hypoxia_hpc.cohorts.tables import read_patient_table
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config.cohort import CohortTable
from hypoxia_hpc.config.studies.registry import STUDIES
from hypoxia_hpc.errors import InputError, SlideError, some_names
from hypoxia_hpc.outcomes.named import NamedClasses
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Patient
from hypoxia_hpc.slides.finding import Found, find_below, nbytes_of, series_of_manifest
from hypoxia_hpc.slides.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Sources:
    """Where slides and labels come from. ``patient_column`` may be one of the manifest and of the table of labels,
    ``label_column`` is one of ``patients`` or of the manifest, ``score_column`` one of ``scores``. ``include`` and
    ``exclude``: see :func:`is_selected`. Where [source] says folders, ``slides`` is the folder of images, and
    ``images_table`` says whose they are."""

    slides: Path
    images_table: Path | None = None
    scores: Path | None = None
    patients: Path | None = None
    patient_column: str | None = None
    label_column: str | None = None
    score_column: str | None = None
    rule: LabelRule = "type-median"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Joined:
    """The slides with a row, the patients that have one (``table``: patient_id, the outcome's columns and what else is
    known, as text), the labels where scores were given, what was found, and the flow from there to patients with a
    label. ``unused``: columns that say nothing to a run, by what has them."""

    slides: SlideTable
    table: pd.DataFrame
    patients: tuple[Patient, ...]
    labels: HypoxiaLabels | None
    found: Found
    flow: Flow
    unused: tuple[tuple[str, tuple[str, ...]], ...]


def with_columns_of_study(sources: Sources, study: str) -> Sources:
    """With the columns of the table of labels that the study was published with, where --patients has them and no
    others are asked for. Raises InputError for a table that cannot be read."""
    if sources.patients is None:
        return sources
    patient, label = STUDIES[study].patient_column, STUDIES[study].label_column
    return replace(
        sources,
        patient_column=sources.patient_column or _own(sources.patients, patient or None),
        label_column=sources.label_column or _own(sources.patients, label or None),
    )


def joined_cohort(
    sources: Sources, cohort: CohortTable, outcome: Outcome = BINARY, there: Sequence[KnownSlide] = ()
) -> Joined:
    """Read all of it. ``there``: the slides that the run has, which keep their ids. Raises InputError for whatever is
    wrong, MachineError."""
    _refuse_at_odds(sources, outcome)
    labels, known = known_labels(sources, outcome)
    found = find_slides(sources, outcome)
    paths = [*(each.path for each in found.candidates), *(each.path for each in there)]
    patient_ids = None if known is None else list(known["patient_id"])
    slides = slide_table(
        with_known_ids(found.candidates, there, found.root, _is_copy),
        patient_ids,
        cohort,
        root=common_folder(paths) if there else found.root,
        taken=[each.slide_id for each in there],
    )
    return joined_to(slides, found, labels, known, outcome, there)


def joined_to(
    slides: SlideTable,
    found: Found,
    labels: HypoxiaLabels | None,
    known: pd.DataFrame | None,
    outcome: Outcome,
    there: Sequence[KnownSlide] = (),
    *,
    of_images: bool = False,
) -> Joined:
    """Slides and what tables of labels know of their patients (`known_labels`), or else the manifest (``of_images``: a
    table of images, or their paths). Raises InputError."""
    if known is not None:
        _refuse_strangers(slides, list(known["patient_id"]), there)
    said = patients_said(slides.said, outcome, of_images=of_images) if known is None else None
    table = _with_slides(slides, known if said is None else said, outcome)
    patients = patients_in(table, outcome)
    has_labels = known is not None or any(each.label is not None for each in patients)
    flow = cohort_flow(slides, patients, found, labels, has_labels=has_labels)
    unused = tuple(_unused(slides, found, labels, () if known is not None else said_of(outcome)))
    return Joined(slides, table, patients, labels, found, flow, unused)


def _refuse_strangers(slides: SlideTable, known: Sequence[str], there: Sequence[KnownSlide]) -> None:
    """Raises InputError where the table of labels has no patient of any slide, of those that the run has too."""
    with_slide = {*slides.slides["patient_id"], *(each.patient_id for each in there)}
    if with_slide.isdisjoint(known):
        raise InputError(
            "no patient of the table of labels (--patients, --scores) has a slide",
            offending=[
                f"patients of the slides: {some_names(sorted(with_slide))}",
                f"patients of the table: {some_names(sorted(known))}",
            ],
            remedy="give the table of these patients, with --patient-column where another column has their ids; or a "
            "manifest with the columns path and patient_id that says whose each slide is; without a table of labels "
            "the run serves tile, extract and predict",
        )


def known_labels(sources: Sources, outcome: Outcome) -> tuple[HypoxiaLabels | None, pd.DataFrame | None]:
    """What tables of labels know of patients. Raises InputError, also where scores are not what is asked for."""
    if sources.patients is not None:
        column = _own(sources.patients, sources.patient_column)
        return None, read_patient_table(sources.patients, column, sources.label_column, outcome=outcome)
    if sources.scores is None:
        return None, None
    scores = read_scores(sources.scores, sources.rule, sources.score_column)
    labels = hypoxia_labels(scores, sources.rule, sources.score_column)
    refuse(
        f"[outcome] asks for what --scores does not give (patient_id, {', '.join(labels.table.columns[1:])})",
        [f"column {name}" for name in outcome.table.columns if name not in labels.table],
        "give --patients with these columns, or change [outcome]",
    )
    return labels, _in_words(labels, outcome)


def _in_words(labels: HypoxiaLabels, outcome: Outcome) -> pd.DataFrame:
    """The labels as text; by name, where run.toml has hypoxic first, so that no number means the other class."""
    table = labels.table.astype(str)
    if isinstance(outcome, NamedClasses) and outcome.named(BINARY.positive) == 0:
        table["label"] = labels.table["label"].map(BINARY.shown)
    return table


def find_slides(sources: Sources, outcome: Outcome = BINARY) -> Found:
    """Slides below a folder, or the rows of a manifest. Raises InputError."""
    source = sources.slides
    if source.is_dir():
        return find_below(source.absolute(), sources.include, sources.exclude)
    if sources.include or sources.exclude:
        raise InputError(
            f"--include and --exclude choose files of a folder, but --slides {source} is none",
            remedy="give a folder, or leave those rows out of the manifest",
        )
    if not source.exists():
        raise InputError(f"--slides {source} does not exist", remedy="give a folder of slides or a manifest (CSV)")
    label_column = sources.label_column if sources.patients is None else None
    if label_column is None and len(outcome.table.columns) == 1:
        label_column = _own(source, outcome.table.column)
    patient_column, is_number = _own(source, sources.patient_column), outcome.numbers == outcome.table.columns
    manifest = read_manifest(source, nbytes_of, patient_column, label_column, label_is_number=is_number)
    return Found(series_of_manifest(manifest.candidates), {}, 0, manifest.unused)


def _is_copy(path: Path, other: Path) -> bool:
    """Whether two slides have the same content; one that cannot be read is no copy. Only files of one size are read."""
    try:
        return nbytes_of(path) == nbytes_of(other) and fingerprint(path) == fingerprint(other)
    except SlideError:
        return False


def cohort_flow(
    table: SlideTable, patients: Sequence[Patient], found: Found, labels: HypoxiaLabels | None, *, has_labels: bool
) -> Flow:
    """From the slides that were found to the patients with a label, where any table has labels."""
    unknown = frozenset(table.unlabelled)
    steps = (*table.steps, *([_labelled(table.slides, patients, unknown)] if has_labels else []))
    aside = [LeftOut("file", kind, n) for kind, n in sorted(found.skipped.items())]
    aside += [LeftOut("file", "by --include and --exclude", found.left_out)] if found.left_out else []
    if labels is not None and labels.set_aside:
        reason = "second sample of a patient in the score table"
        aside.append(LeftOut("score row", reason, len(labels.set_aside), labels.set_aside))
    if table.without_slide:
        aside.append(LeftOut("patient", "no slide", len(table.without_slide), table.without_slide))
    return Flow(steps, tuple(aside), table.counts)


def _refuse_at_odds(sources: Sources, outcome: Outcome) -> None:
    """Options that contradict each other, or that no table is there for."""
    is_table = sources.slides.is_file() and sources.slides.suffix.lower() != ".json"
    if sources.scores is not None and sources.patients is not None:
        raise InputError("--scores and --patients both give labels", remedy="give one of them")
    if sources.label_column is not None and (sources.scores is not None or not (sources.patients or is_table)):
        raise InputError(
            f"--label-column {sources.label_column} names a column of --patients or of a manifest, and there is none",
            remedy="give the table that has it",
        )
    if sources.label_column is not None and len(outcome.table.columns) > 1:
        raise InputError(
            f"--label-column {sources.label_column} names one column, and a follow-up has two",
            remedy="give --time-column and --event-column",
        )
    if sources.score_column is not None and sources.scores is None:
        raise InputError(
            f"--score-column {sources.score_column} names a column of --scores, and there is none",
            remedy="give the table that has it",
        )
    column, tables = sources.patient_column, [sources.slides] if is_table else []
    tables += [sources.patients] if sources.patients is not None else []
    if column is not None and not any(_own(table, column) for table in tables):
        raise InputError(
            f"--patient-column {column} is a column of neither the manifest nor the table of labels",
            remedy="give a manifest (CSV with the columns path and your patient column) as --slides, or name the "
            "column as the table has it",
        )


def _own(path: Path, column: str | None) -> str | None:
    """The column where the table has it. Raises InputError for a table that cannot be read."""
    return column if column is not None and column in read_table(path, (), (column,)).columns else None


def _labelled(slides: pd.DataFrame, patients: Sequence[Patient], unknown: Collection[str] = ()) -> Step:
    """The last step. ``unknown``: patients whom the table of labels does not have."""
    without = [each.patient_id for each in patients if each.label is None]
    reasons = [(name, "not in the table of labels" if name in unknown else "no label") for name in without]
    n_slides = int((~slides["patient_id"].isin(without)).sum())
    return Step("with a label", n_slides, len(patients) - len(without), left_out("patient", reasons))


def _with_slides(table: SlideTable, known: pd.DataFrame | None, outcome: Outcome) -> pd.DataFrame:
    """The patients with a slide: what is known of them, an empty label for the others."""
    with_slides = pd.DataFrame({"patient_id": sorted(set(table.slides["patient_id"]))})
    if known is None:
        return with_slides.assign(**dict.fromkeys(outcome.table.columns, ""))
    return with_slides.merge(known, on="patient_id", how="left").fillna("")


def _unused(
    table: SlideTable, found: Found, labels: HypoxiaLabels | None, used: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    others = [name for name in ("label", "tumour_type") if name not in used and table.said[name].str.strip().any()]
    if names := (*found.unused, *others):
        yield "the manifest", tuple(names)
    if labels is not None and labels.unused:
        yield "the score table", labels.unused


def grown_flow(flow: Flow, slides: pd.DataFrame, patients: Sequence[Patient], unnamed: Sequence[str]) -> Flow:
    """The flow of a run that grew to these slides and patients. ``unnamed``: slides that it has and that were not found
    again; they count as found."""
    found, taken, *_ = flow.steps
    old = slides.loc[slides["slide_id"].isin(unnamed), "patient_id"]
    others = set(old) - set(slides.loc[~slides["slide_id"].isin(unnamed), "patient_id"])
    first = Step("found", found.slides + len(old), found.patients + len(others))
    second = Step("in the run", len(slides), slides["patient_id"].nunique(), taken.left_out)
    has_labels = any(each.label is not None for each in patients)
    return replace(flow, steps=(first, second, *([_labelled(slides, patients)] if has_labels else [])))
