"""What a run on images in folders is made of: a row of slides.csv for each patient, images.csv, and who said which
set."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.cohorts.flow import Step
from hypoxia_hpc.cohorts.image_series import chosen_series
from hypoxia_hpc.cohorts.images import (
    COLUMNS,
    SERIES_COLUMNS,
    ImageRow,
    read_key_table,
    rows_by_pattern,
    sets_of,
    slices_cell,
)
from hypoxia_hpc.cohorts.joining import SlideTable
from hypoxia_hpc.cohorts.naming import unique_slide_ids
from hypoxia_hpc.config.source import SourceTable
from hypoxia_hpc.config.text_paths import is_there, spellings, text_of_path
from hypoxia_hpc.errors import InputError, SlideError, Stopped
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import MOST_COST_MS, Json
from hypoxia_hpc.runs.slice_rows import slice_rows
from hypoxia_hpc.runs.sources import Joined, Sources, joined_to, known_labels
from hypoxia_hpc.slides.copies import equal_files
from hypoxia_hpc.slides.finding import Found, files_below, is_selected
from hypoxia_hpc.slides.image_files import SUFFIXES, ImageHeader, image_header, quiet, read_pixels
from hypoxia_hpc.slides.slice_files import is_volume, slice_header
from hypoxia_hpc.stores.commit import machine_errors
from hypoxia_hpc.tiling.remarks import SENTENCES, SEVERAL_PATIENTS
from hypoxia_hpc.tiling.slice_views import MOST_TURN, Directions, turn_between

OTHER_PATIENT = "images of several patients with equal files, so that a model can meet in test what it was trained on"
SHARED_ID = (
    "patients whose DICOM files have one PatientID, and count as several patients: make sure that they are several "
    "persons, else a model can meet in test whom it was trained on; put the images of one person into one folder, and "
    "make the run again"
)
NOT_READ = "images that cannot be read, {reason}, and that tile leaves out"
MIXED_SERIES = "series with slices of several sizes or orientations, for which tile puts the patient in quarantine"
# As for slides (slides/costs.py): JPEG costs by the byte, the rest by the pixel; and each file some time of its own.
MS_A_MB_JPEG, MS_A_MPX_JPEG, MS_A_MPX, MS_A_FILE = 28.0, 3.0, 10.0, 0.3
MEGA = 1_000_000
READERS = 32


@dataclass(frozen=True, eq=False)
class ImageCohort:
    """``rows``: the images, each with the slide id of its patient in ``slide_ids``, by patient and path. ``others``:
    files that the pattern does not fit. ``missing``: patients without a series, by its name, as `chosen_series` has it;
    ``without``: patients who are left out since they have none of them. ``in_series``: the images are slices of
    series, which is asked for, or has to be, as of DICOM and NIfTI."""

    joined: Joined
    rows: tuple[ImageRow, ...]
    slide_ids: Mapping[str, str]
    others: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    in_series: bool = False

    @property
    def sets(self) -> dict[str, str]:
        """The set of each patient of whom the table says one."""
        return sets_of(self.rows)

    @property
    def series(self) -> tuple[str, ...]:
        """The names of all series."""
        return tuple(sorted({row.series or "no name" for row in self.rows}))

    def images_csv(self) -> str:
        """The text of images.csv. Its columns on planes and slices are there where a row has one."""
        cells = [
            (self.slide_ids[row.patient_id], row.path, row.series, row.plane, slices_cell(row.slices))
            for row in self.rows
        ]
        table = pd.DataFrame(cells, columns=[*COLUMNS, *SERIES_COLUMNS]).sort_values("slide_id", kind="stable")
        by_series = any(row.plane or row.slices for row in self.rows)
        return csv_text(table if by_series else table[list(COLUMNS)])

    def left_out(self) -> list[Json]:
        """Series and patients that are not in the run, as entries of receipts/init/cohort.json."""
        found: list[Json] = [
            {"kind": "series", "reason": f"no series {name}", "names": list(names)}
            for name, names in self.missing.items()
        ]
        if self.without:
            reason = "none of the series that image_mode asks for"
            found.append({"kind": "patient", "reason": reason, "names": list(self.without)})
        return found


def image_cohort(
    sources: Sources,
    names: SourceTable,
    outcome: Outcome,
    *,
    has_sets: bool = True,
    in_series: bool = False,
    known_ids: Mapping[str, str] = MappingProxyType({}),
) -> ImageCohort:
    """Find the images, whose they are and what is known of the patients. ``has_sets`` off: what the table says of sets
    is not read. ``in_series``: images are slices of series, so that DICOM and NIfTI are taken beside PNG, JPEG and
    TIFF; else only where there are none of these. ``known_ids``: slide ids of patients that a run has. Raises
    InputError for whatever is wrong, MachineError."""
    folder = sources.slides.absolute()
    if not folder.is_dir():
        raise InputError(f"--images {sources.slides} is no folder", remedy="give the folder that the images lie below")
    _refuse_at_odds(sources)
    found, all_rows, others = _found(sources, folder, names, has_sets=has_sets, in_series=in_series)
    in_series = in_series or any(is_volume(folder / row.path) for row in all_rows)
    if in_series or names.by_series:
        all_rows = slice_rows(all_rows, folder, names)
    chosen = chosen_series(all_rows, names)
    rows = list(chosen.rows)
    labels, known = known_labels(sources, outcome)
    slide_ids = _slide_ids(rows, known_ids)
    table = _slide_table(rows, slide_ids, folder, None if known is None else list(known["patient_id"]))
    joined = joined_to(table, found, labels, known, outcome, of_images=True)
    return ImageCohort(joined, tuple(rows), slide_ids, tuple(others), chosen.missing, chosen.without, in_series)


def _slide_ids(rows: Sequence[ImageRow], known: Mapping[str, str]) -> dict[str, str]:
    """Of each patient, by patient."""
    patients = sorted({row.patient_id for row in rows})
    new = [name for name in patients if name not in known]
    ids = unique_slide_ids([PurePath(f"{name.replace('/', '-')}.dcm") for name in new], known.values())
    made = dict(zip(new, ids, strict=True))
    return {name: known.get(name) or made[name] for name in patients}


def _refuse_at_odds(sources: Sources) -> None:
    if sources.scores is not None and sources.patients is not None:
        raise InputError("--scores and --patients both give labels", remedy="give one of them")
    if sources.images_table is not None and (sources.include or sources.exclude):
        raise InputError(
            "--include and --exclude choose files of a folder, and --images-table names each image",
            remedy="leave these rows out of the table",
        )


def _found(
    sources: Sources, folder: Path, names: SourceTable, *, has_sets: bool, in_series: bool
) -> tuple[Found, list[ImageRow], list[str]]:
    if sources.images_table is not None:
        rows = read_key_table(sources.images_table, folder, names, has_sets=has_sets)
        placed = [replace(row, path=_as_spelt(folder, row.path)) for row in rows]
        if not any(is_there(folder / row.path) for row in placed):
            raise InputError(
                f"no image of {sources.images_table} is there below {folder}",
                offending=[row.path for row in placed],
                remedy="give --images the folder that the paths of the table begin in",
            )
        return Found([], {}, 0, root=folder), _in_order(placed), []
    with machine_errors(folder):
        files = sorted(file.relative_to(folder).as_posix() for file in files_below(folder))
    chosen = [file for file in files if is_selected(PurePath(file), sources.include, sources.exclude)]
    images = [file for file in chosen if PurePath(file).suffix.lower() in SUFFIXES and file.isprintable()]
    if in_series or not images:
        images = sorted([*images, *_volumes(folder, sorted(set(chosen) - set(images)))])
    skipped = Counter(PurePath(file).suffix.lower() or "no suffix" for file in sorted(set(chosen) - set(images)))
    if not images:
        raise InputError(
            f"no image (PNG, JPEG, TIFF, DICOM, NIfTI) below {folder}",
            offending=[f"{kind}: {n:,}" for kind, n in sorted(skipped.items())],
            remedy="give the folder that the images lie below; slides are given by --slides",
        )
    rows, others = rows_by_pattern(images, names.pattern)
    return Found([], dict(skipped), len(files) - len(chosen), root=folder), _in_order(rows), others


def _volumes(folder: Path, files: Sequence[str]) -> list[str]:
    """Those of DICOM and NIfTI. Of names without a suffix the first bytes are read."""
    named = [file for file in files if file.isprintable()]
    with ThreadPoolExecutor(READERS) as readers:
        are = readers.map(is_volume, [folder / file for file in named])
    return [file for file, is_one in zip(named, are, strict=True) if is_one]


def _as_spelt(folder: Path, path: str) -> str:
    """The path with its accents as the file has them, where there is one."""
    return next((text for text in spellings(path) if is_there(folder / text)), path)


def _in_order(rows: Sequence[ImageRow]) -> list[ImageRow]:
    return sorted(rows, key=lambda row: (row.patient_id, row.series, _natural(row.path)))


def _natural(path: str) -> tuple[list[list[tuple[int, str]]], str]:
    """Numbers in names by their value: image 2 before image 10."""
    runs = [_runs(part) for part in PurePosixPath(path).parts]
    return [[(int(run), "") if run.isdecimal() else (-1, run) for run in part] for part in runs], path


def _runs(text: str) -> list[str]:
    """The text as runs of digits and of others."""
    found: list[str] = []
    for char in text:
        if found and found[-1].isdecimal() == char.isdecimal():
            found[-1] += char
        else:
            found.append(char)
    return found


def _slide_table(
    rows: Sequence[ImageRow], slide_ids: Mapping[str, str], folder: Path, known: Sequence[str] | None
) -> SlideTable:
    n_images = Counter(row.patient_id for row in rows)
    cells = [(slide_ids[name], text_of_path(folder), name, 0, float("nan"), "", name) for name in slide_ids]
    slides = pd.DataFrame(cells, columns=["slide_id", "path", "patient_id", "cost", "mpp", "site", "name"])
    said = [(row.patient_id, slide_ids[row.patient_id], row.label, "") for row in rows]
    there = set(n_images)
    return SlideTable(
        slides=slides.sort_values("slide_id", ignore_index=True),
        said=pd.DataFrame(said, columns=["patient_id", "slide_id", "label", "tumour_type"]),
        dropped=(),
        missing=(),
        assumed=(),
        unlabelled=() if known is None else tuple(sorted(there - set(known))),
        without_slide=() if known is None else tuple(sorted(set(known) - there)),
        steps=(Step("found", len(there), len(there)), Step("in the run", len(there), len(there))),
    )


@dataclass(frozen=True, slots=True)
class ImageCosts:
    """``cost`` of each patient by slide id, in milliseconds of a core. ``refused``: images that tile will leave out, by
    the reason that is known before their pixels are read. ``mixed``: series with slices of several sizes, for which
    tile will quarantine the patient. ``pooled``: patients whose DICOM files name several patients; ``shared``: patients
    whose DICOM files name the same one, as ``P1 = P2``."""

    cost: Mapping[str, int]
    refused: Mapping[str, tuple[str, ...]]
    mixed: tuple[str, ...] = ()
    pooled: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def examined_images(
    cohort: ImageCohort, progress: Progress, stop: threading.Event
) -> tuple[Mapping[str, int], dict[str, tuple[str, ...]]]:
    """What each patient costs to tile, by slide id, and what is odd about which images. Raises Stopped."""
    progress.begin("init", len(cohort.rows), len(cohort.rows), "header")
    try:
        costs = image_costs(cohort, lambda: progress.item(1), stop)
    finally:
        progress.end()
    odd = {NOT_READ.format(reason=reason): names for reason, names in costs.refused.items()}
    odd |= {MIXED_SERIES: costs.mixed, SENTENCES[SEVERAL_PATIENTS]: costs.pooled, SHARED_ID: costs.shared}
    odd |= {f"patients without series {name}": patients for name, patients in cohort.missing.items()}
    odd["patients with none of the series, who are left out"] = cohort.without
    odd["files that the pattern does not fit"] = cohort.others
    odd[OTHER_PATIENT] = equal_images(cohort, stop)
    return costs.cost, {sentence: names for sentence, names in odd.items() if names}


def image_costs(cohort: ImageCohort, counted: Callable[[], None], stop: threading.Event) -> ImageCosts:
    """Look at the header of every image, many at a time; ``counted`` is called for each. Raises Stopped."""
    headers = _headers(cohort, counted, stop)
    cost: Counter[str] = Counter()
    refused: dict[str, list[str]] = {}
    for row, found in zip(cohort.rows, headers, strict=True):
        if isinstance(found, SlideError):
            refused.setdefault(found.reason, []).append(row.path)
        else:
            n = 1 if row.slices is None else row.slices[1] - row.slices[0]
            cost[cohort.slide_ids[row.patient_id]] += round(1000 * _milliseconds(found, n))
    costs = {slide_id: min(MOST_COST_MS, max(1, cost[slide_id] // 1000)) for slide_id in cohort.slide_ids.values()}
    mixed = _mixed_series(cohort.rows, headers) if cohort.in_series else ()
    by_reason = {reason: tuple(paths) for reason, paths in sorted(refused.items())}
    return ImageCosts(costs, by_reason, mixed, _pooled(cohort.rows, headers), _shared(cohort.rows, headers))


def _headers(cohort: ImageCohort, counted: Callable[[], None], stop: threading.Event) -> list[ImageHeader | SlideError]:
    folder = cohort.joined.found.root or Path()

    def look(row: ImageRow) -> ImageHeader | SlideError | None:
        try:
            if stop.is_set():
                return None
            path = folder / row.path
            return slice_header(path, row.plane) if cohort.in_series else image_header(path)
        except SlideError as error:
            return error

    headers = []
    with quiet(), ThreadPoolExecutor(READERS) as readers:
        for found in readers.map(look, cohort.rows):
            counted()
            if found is not None:
                headers.append(found)
    if stop.is_set():
        raise Stopped("stopped on request while reading headers", remedy="run the same command again")
    return headers


def _pooled(rows: Sequence[ImageRow], headers: Sequence[ImageHeader | SlideError]) -> tuple[str, ...]:
    ids: dict[str, set[str]] = {}
    for row, found in zip(rows, headers, strict=True):
        if isinstance(found, ImageHeader) and found.patient:
            ids.setdefault(row.patient_id, set()).add(found.patient)
    return tuple(name for name, those in sorted(ids.items()) if len(those) > 1)


def shared_ids(cohort: ImageCohort, stop: threading.Event) -> tuple[str, ...]:
    """Patients whose first images are DICOM files of one PatientID, as ``P1 = P2``. Raises Stopped."""
    firsts = tuple({row.patient_id: row for row in reversed(cohort.rows)}.values())
    return _shared(firsts, _headers(replace(cohort, rows=firsts), lambda: None, stop))


def _shared(rows: Sequence[ImageRow], headers: Sequence[ImageHeader | SlideError]) -> tuple[str, ...]:
    patients: dict[str, set[str]] = {}
    for row, found in zip(rows, headers, strict=True):
        if isinstance(found, ImageHeader) and found.patient:
            patients.setdefault(found.patient, set()).add(row.patient_id)
    return tuple(sorted(" = ".join(sorted(names)) for names in patients.values() if len(names) > 1))


def _mixed_series(rows: Sequence[ImageRow], headers: Sequence[ImageHeader | SlideError]) -> tuple[str, ...]:
    """Series with slices of several sizes or planes, as ``P1 FLAIR: 240 x 240 axial, 512 x 512 axial``, or that are
    turned against the first one."""
    sizes: dict[tuple[str, str], dict[str, None]] = {}
    first: dict[tuple[str, str], Directions] = {}
    for row, found in zip(rows, headers, strict=True):
        if isinstance(found, ImageHeader):
            name = row.patient_id, row.series
            first[name] = first.get(name) or found.directions
            sizes.setdefault(name, {})[_kind(row, found, turn_between(first[name], found.directions))] = None
    return tuple(f"{' '.join(name).strip()}: {', '.join(those)}" for name, those in sizes.items() if len(those) > 1)


def _kind(row: ImageRow, header: ImageHeader, turn: float) -> str:
    is_turned = f" turned by more than {MOST_TURN:g}°" if turn > MOST_TURN else ""
    return f"{header.width} x {header.height} {row.plane}".rstrip() + is_turned


def _milliseconds(header: ImageHeader, n: int) -> float:
    """``n``: slices that are taken."""
    mpx, megabytes = n * header.width * header.height / MEGA, header.nbytes / MEGA
    by_content = MS_A_MB_JPEG * megabytes + MS_A_MPX_JPEG * mpx if header.format == "JPEG" else MS_A_MPX * mpx
    return MS_A_FILE + by_content


def equal_images(cohort: ImageCohort, stop: threading.Event) -> tuple[str, ...]:
    """Images of several patients with equal files, as ``a = b``; those of one gray level, as empty slices are, show no
    patient."""
    folder = cohort.joined.found.root or Path()
    files = [(folder / row.path, _size(folder / row.path)) for row in cohort.rows]
    groups = [[cohort.rows[place] for place in places] for places in equal_files(files, stop)]
    return tuple(
        _named(group)
        for group in groups
        if len({row.patient_id for row in group}) > 1 and not _is_blank(folder / group[0].path)
    )


def _named(group: Sequence[ImageRow]) -> str:
    """Of hundreds, the first of each of two patients."""
    first = group[0]
    other = next(row for row in group if row.patient_id != first.patient_id)
    more = len(group) - 2
    return f"{first.path} = {other.path}{f' and {more:,} more' if more else ''}"


def _is_blank(path: Path) -> bool:
    try:
        pixels = read_pixels(path)[..., :3]
    except SlideError:
        return False
    return bool((pixels == pixels[:1, :1]).all())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
