"""init: a folder or manifest of slides and what is known of the patients -> run.toml, slides.csv, patients.csv."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from hypoxia_hpc.analysis.embedding import require_umap
from hypoxia_hpc.cohorts.flow import Flow, LeftOut, left_out
from hypoxia_hpc.cohorts.given_split import OF_FILE, OF_IMAGES, given_split, read_given
from hypoxia_hpc.cohorts.growing import Grown, grown_patients, grown_slides
from hypoxia_hpc.cohorts.joining import SlideTable
from hypoxia_hpc.cohorts.labelling import patients_in
from hypoxia_hpc.cohorts.naming import KnownSlide
from hypoxia_hpc.cohorts.scores import HypoxiaLabels
from hypoxia_hpc.cohorts.splits import members_of
from hypoxia_hpc.cohorts.tables import patients_csv, read_columns, slides_csv, split_csv
from hypoxia_hpc.config import RunConfig, TileTable, render_config
from hypoxia_hpc.config.text_paths import is_there, path_of_text
from hypoxia_hpc.errors import InputError, some_names
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.progress import NoProgress, Progress
from hypoxia_hpc.reading import UnfitFileError, read_plain
from hypoxia_hpc.records import Json, Patient
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.image_cohort import OTHER_PATIENT as OF_OTHER_PATIENT
from hypoxia_hpc.runs.image_cohort import ImageCohort, equal_images, image_cohort, image_costs
from hypoxia_hpc.runs.sources import Joined, Sources, grown_flow, joined_cohort, with_columns_of_study
from hypoxia_hpc.runs.split import split_rule
from hypoxia_hpc.slides.copies import equal_files
from hypoxia_hpc.slides.costs import Header, read_headers
from hypoxia_hpc.slides.finding import is_selected, nbytes_of
from hypoxia_hpc.stores.commit import committed_file, machine_errors
from hypoxia_hpc.tiling.remarks import SENTENCES, SEVERAL_PATIENTS, by_kind

SAME_PATIENT = "slides of one patient with files of the same content, whose tiles will count more than once"
OTHER_PATIENT = (
    "slides of several patients with files of the same content, which train refuses; --exclude leaves out those that "
    "are no slide of their own, such as masks"
)
REFUSED = (
    "slides that tile puts in quarantine as they are, {reason}; hypoxia-hpc doctor says of each what is wrong and what "
    "to do"
)
NOT_READ = "images that cannot be read, {reason}, and that tile leaves out"
MIXED_SERIES = "series with slices of several sizes or orientations, for which tile puts the patient in quarantine"
SCALED = 'slices of DICOM or NIfTI, of which each series gets one scale ([tile.series] scale = "percentiles")'
EXCLUDED = (
    "slides of the run that --include and --exclude leave out now, which removes nothing: their rows stay; to take "
    "these slides out of the run delete their rows in slides.csv"
)


@dataclass(frozen=True, slots=True)
class Initialised:
    """What init made: slides and patients as they were joined, what the tables of a run that grew got (``slides`` and
    ``patients`` of it, None for a new one), and what is odd about slides that are used all the same, as sentences with
    the ids of the slides. ``patients`` are those of the run, ``flow`` is how it came to them.
    ``n_images``: of a run on images in folders."""

    joined: Joined
    patients: tuple[Patient, ...]
    outcome: Outcome
    n_slides: int
    flow: Flow
    remarks: Mapping[str, tuple[str, ...]]
    grown: tuple[Grown, Grown] | None = None
    n_images: int = 0

    def notes(self, *, without: Collection[str] = ()) -> tuple[str, ...]:
        """What the user should know, a sentence each: what was left out, what is not used, what is odd. ``without``:
        remarks that another stage makes."""
        found = self.joined.found
        kinds = [f"{kind} {count:,}" for kind, count in sorted(found.skipped.items())]
        facts = [
            ("files passed over, by suffix or kind", sum(found.skipped.values()), kinds),
            ("files left out by --include and --exclude", found.left_out, []),
            *((f"slides left out, {each.reason}", each.n, each.names) for each in self._dropped),
        ]
        named = [(f"columns of {where} that are not used", names) for where, names in self.joined.unused]
        named += [("patterns that no file of the folder matches", found.idle)] if found.idle else []
        remarks = [(what, names) for what, names in self.remarks.items() if what not in without]
        changed = [] if self.grown is None else _changes(*self.grown)
        return (
            *(_note(*fact) for fact in facts if fact[1]),
            *(f"{what}: {some_names(names)}" for what, names in named),
            *self.joined.slides.notes,
            *(_note(what, len(names), names) for what, names in (*remarks, *changed) if names),
        )

    @property
    def _dropped(self) -> tuple[LeftOut, ...]:
        return left_out("slide", self.joined.slides.dropped)


def _note(what: str, n: int, names: Sequence[str]) -> str:
    return f"{what}: {n:,}{f' ({some_names(names)})' if names else ''}"


def _changes(slides: Grown, patients: Grown) -> list[tuple[str, tuple[str, ...]]]:
    """What is odd about a run that grew, with the slides or patients concerned."""
    return [
        ("slides that are not where they were; slides.csv has where they are now", slides.moved),
        (EXCLUDED, slides.excluded),
        (
            "slides that are not found any more, and whose files are there; their rows stay",
            tuple(name for name in slides.unnamed if name not in slides.excluded),
        ),
        ("patients with a value in a cell that was empty", patients.filled),
        ("patients with another value in the table now; patients.csv keeps the one it has", patients.kept),
    ]


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
        **_records(run, joined, joined.flow),
        # Last, since a run.toml is what makes a folder a run directory.
        run.config_file: render_config(config),
    }
    _refuse_to_overwrite(run, {path: text.encode() for path, text in files.items()})
    _write(files)
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
    costs, odd = _examined_images(cohort, progress or NoProgress(), stop or threading.Event())
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
        **_records(run, joined, joined.flow, cohort.left_out()),
        run.config_file: render_config(config),
    }
    _refuse_to_overwrite(run, {path: text.encode() for path, text in files.items()})
    _write(files)
    return Initialised(joined, joined.patients, outcome, len(slides), joined.flow, odd, n_images=len(cohort.rows))


def _with_scale(config: RunConfig) -> RunConfig:
    """What DICOM and NIfTI have are no values of 8 bits."""
    series = config.tile.series.model_copy(update={"scale": "percentiles"})
    return config.model_copy(update={"tile": config.tile.model_copy(update={"series": series})})


def _examined_images(
    cohort: ImageCohort, progress: Progress, stop: threading.Event
) -> tuple[Mapping[str, int], dict[str, tuple[str, ...]]]:
    """What each patient costs to tile, by slide id, and what is odd about which images. Raises Stopped."""
    progress.begin("init", len(cohort.rows), len(cohort.rows), "header")
    try:
        costs = image_costs(cohort, lambda: progress.item(1), stop)
    finally:
        progress.end()
    odd = {NOT_READ.format(reason=reason): names for reason, names in costs.refused.items()}
    odd |= {MIXED_SERIES: costs.mixed, SENTENCES[SEVERAL_PATIENTS]: costs.pooled}
    odd |= {f"patients without series {name}": patients for name, patients in cohort.missing.items()}
    odd["patients with none of the series, who are left out"] = cohort.without
    odd["files that the pattern does not fit"] = cohort.others
    odd[OF_OTHER_PATIENT] = equal_images(cohort, stop)
    return costs.cost, {sentence: names for sentence, names in odd.items() if names}


def update(
    run: RunDir,
    slides: Path,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **sources: Any,
) -> Initialised:
    """Add to a run the slides and patients that it lacks; its rows and its run.toml stay as they are, empty cells of
    patients.csv are filled. The same call again changes nothing.

    Raises InputError as ``init`` does, for a folder that is no run, and for slides that are neither found nor there any
    more; MachineError, Stopped.
    """
    config, outcome = run.config(), run.outcome()
    _require_slides(config)
    run.slides(), run.patients()  # whatever is wrong with them is said before anything is added
    there = read_columns(run.slides_file)
    known = _known_slides(run, there)
    given = Sources(slides, **sources)
    joined = joined_cohort(given, config.cohort, outcome, known)
    grown = grown_slides(there, joined.slides.slides.astype(object), {each.slide_id for each in known if each.has_file})
    grown = replace(grown, excluded=_excluded(grown, known, joined.found.root, given))
    is_new = joined.slides.slides["slide_id"].isin(grown.added)
    new = joined.slides.slides[is_new].reset_index(drop=True)
    priced, odd = _examined(new, config.tile, progress or NoProgress(), stop or threading.Event(), known)
    costs = dict(zip(priced["slide_id"], priced["cost"], strict=True))
    table = grown.table
    rows = zip(table["slide_id"], table["cost"], strict=True)
    table = table.assign(cost=pd.Series([costs.get(*row) for row in rows], table.index, dtype=object))
    empty = table[["patient_id"]][:0].assign(**dict.fromkeys(outcome.table.columns, ""))
    held = read_columns(run.patients_file) if run.patients_file.exists() else empty
    grown_table = grown_patients(held, joined.table)
    patients = patients_in(grown_table.table, outcome)
    joined = _without_labelled(joined, patients)
    flow = grown_flow(joined.flow, table, patients, grown.unnamed)
    files = {run.slides_file: slides_csv(table), run.patients_file: patients_csv(grown_table.table)}
    _write({**files, **_records(run, joined, flow)})
    return Initialised(joined, patients, outcome, len(table), flow, odd, (grown, grown_table))


def _require_slides(config: RunConfig) -> None:
    if config.source.kind == "folders":
        problem = "--update adds slides, and this run is of images in folders"
        raise InputError(problem, remedy="make a new run with all images")


def _without_labelled(joined: Joined, patients: Sequence[Patient]) -> Joined:
    """Without a note on patients whom the table does not have and whose label the run has."""
    labelled = {each.patient_id for each in patients if each.label is not None}
    unlabelled = tuple(name for name in joined.slides.unlabelled if name not in labelled)
    return replace(joined, slides=replace(joined.slides, unlabelled=unlabelled))


def _known_slides(run: RunDir, there: pd.DataFrame) -> list[KnownSlide]:
    rows = zip(there["slide_id"], there["patient_id"], there["path"], strict=True)
    places = ((*ids, run.root.absolute() / path_of_text(path)) for *ids, path in rows)
    return [KnownSlide(slide_id, patient_id, path, is_there(path)) for slide_id, patient_id, path in places]


def _excluded(grown: Grown, known: Sequence[KnownSlide], root: Path | None, given: Sources) -> tuple[str, ...]:
    """Slides that were not named again since the patterns leave their files out."""
    if root is None:
        return ()
    below = {each.slide_id: each.path.relative_to(root) for each in known if each.path.is_relative_to(root)}
    left_out = {name for name, file in below.items() if not is_selected(file, given.include, given.exclude)}
    return tuple(name for name in grown.unnamed if name in left_out)


def _records(run: RunDir, joined: Joined, flow: Flow, others: Sequence[Json] = ()) -> dict[Path, str]:
    """What was left out on the way; ``others`` is what else was."""
    dropped = [*_left_out(joined.slides, joined.labels), *others]
    return {
        run.flow_file: json.dumps(flow.as_json(), indent=1) + "\n",
        run.receipts("init") / "cohort.json": json.dumps({"dropped": dropped}, indent=1),
    }


def _given_split(
    run: RunDir, config: RunConfig, given: pd.DataFrame | None, source: str, patients: Sequence[Patient], remedy: str
) -> dict[Path, str]:
    """The user's split as it is kept in the run. Raises InputError where it is none of this cohort."""
    if given is None:
        return {}
    outcome = outcome_of(config.outcome)
    given_split(given, members_of(patients, outcome=outcome), split_rule(config.train, outcome), source, remedy)
    return {run.given_split_file: split_csv(given)}


def _write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        committed_file(path, text.encode())


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
            remedy=f"choose another directory; to add slides: hypoxia-hpc init {run.word} --slides DIR --update; to "
            "change a run edit its run.toml, slides.csv and patients.csv",
        )


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file is of these bytes."""
    try:
        return read_plain(path, len(data)) == data
    except UnfitFileError:
        return False


def _left_out(table: SlideTable, labels: HypoxiaLabels | None) -> list[Json]:
    groups: dict[str, list[str]] = {}
    for name, reason in table.dropped:
        groups.setdefault(reason, []).append(name)
    dropped: list[Json] = [{"kind": "slide", "reason": reason, "names": names} for reason, names in groups.items()]
    if table.without_slide:
        dropped.append({"kind": "patient", "reason": "no slide", "names": list(table.without_slide)})
    if labels is not None and labels.set_aside:
        reason = "second sample of a patient in the score table"
        dropped.append({"kind": "score row", "reason": reason, "names": list(labels.set_aside)})
    return dropped
