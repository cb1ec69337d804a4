"""Which files below a folder are slides, and what the others are."""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.naming import common_folder
from hypoxia_hpc.cohorts.placeholders import placeholders
from hypoxia_hpc.cohorts.series import each_series_once, merged_rows
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config.text_paths import composed
from hypoxia_hpc.errors import InputError, SlideError, some_names
from hypoxia_hpc.slides.companions import HAMAMATSU_SECTIONS, companions
from hypoxia_hpc.slides.dicom import SLIDE_KIND, Instance, instances_in, kind_of, may_be_dicom, read_instance
from hypoxia_hpc.stores.commit import machine_errors

# What OpenSlide 4 or the native reader may open, by suffix; a manifest may name anything. DICOM is told by its content.
SLIDE_SUFFIXES = frozenset(
    ".svs .tif .tiff .btf .tf8 .qptiff .ndpi .mrxs .scn .bif .vms .vmu .svslide .czi".split()  # noqa: SIM905 - reads as a list
)

SPECIAL = {stat.S_ISFIFO: "a named pipe", stat.S_ISSOCK: "a socket", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}

OF_SEVERAL_PATIENTS = "DICOM series whose headers name several patients"


@dataclass(frozen=True, slots=True)
class Found:
    """``skipped``: how many files are no slide, by suffix. ``left_out``: how many the patterns left out. ``unused``:
    columns of a manifest that say nothing to `init`. ``root``: the folder that was searched, None for a manifest.
    ``idle``: options with a pattern that no file matches."""

    candidates: Sequence[Candidate]
    skipped: Mapping[str, int]
    left_out: int
    unused: tuple[str, ...] = ()
    root: Path | None = None
    idle: tuple[str, ...] = ()


def find_below(folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Found:
    """Slides below a folder: files by their suffix, DICOM series by their content, each once. Names and folders that
    begin with a dot are passed over, and a series whose headers name several patients is left out. Raises MachineError,
    and InputError where there is none, or copies of a series are of two patients."""
    with machine_errors(folder):
        files = sorted(files_below(folder))
    chosen = [file for file in files if is_selected(file.relative_to(folder), include, exclude)]
    idle = _idle([file.relative_to(folder) for file in files], include, exclude)
    series, others = _dicom_series(chosen)
    parts = _parts(chosen)
    slides = [file for file in others if file not in parts and _is_slide(file)]
    skipped = Counter(_kind(file) for file in set(others) - set(slides) - parts)
    found = _without_placeholders(_series_candidates(folder, [volumes for volumes in series if volumes]))
    skipped["DICOM without a VOLUME image"] += sum(not volumes for volumes in series)
    found += [Candidate(file, nbytes_of(file)) for file in slides]
    if not found:
        raise _without_slides(folder, +skipped, sorted(set(files) - set(chosen)), idle)
    once = each_series_once(sorted(found, key=lambda each: each.path))
    return Found(once, dict(+skipped), len(files) - len(chosen), root=folder, idle=idle)


def is_selected(relative: PurePath, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a file is to be looked at. A pattern (``*mask*``) is held against its name and its path below the folder,
    whatever their case and forms of accents; without ``include`` all are in."""
    return (not include or _matches(relative, include)) and not _matches(relative, exclude)


def _matches(relative: PurePath, patterns: Iterable[str]) -> bool:
    texts = (composed(relative.name).lower(), composed(relative.as_posix()).lower())
    return any(fnmatchcase(text, composed(pattern).lower()) for pattern in patterns for text in texts)


def _idle(files: Sequence[PurePath], include: Sequence[str], exclude: Sequence[str]) -> tuple[str, ...]:
    """The options whose pattern matches none of the files."""
    options = [("--include", pattern) for pattern in include] + [("--exclude", pattern) for pattern in exclude]
    return tuple(
        f"{option} {pattern!r}" for option, pattern in options if not any(_matches(file, [pattern]) for file in files)
    )


def series_of_manifest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, those that name a DICOM instance or the folder of a series as that series, each once. Raises
    InputError for folders that hold no series, or several, for rows of a series that contradict each other, and for a
    series under two patients."""
    offending: list[str] = []
    volumes = [_volumes_named(each.path, offending) for each in candidates]
    refuse(
        "folders that are not the folder of one DICOM series",
        offending,
        "name a file of each slide",
    )
    _refuse_two_patients([of for each, of in zip(candidates, volumes, strict=True) if of and not each.patient_id])
    series = [_series_candidate(of) if of else None for of in volumes]
    rows = _named_as_below_a_folder(
        merged_rows([each if of is None else _as_series(each, of) for each, of in zip(candidates, series, strict=True)])
    )
    by_path = {of.path: of for of in series if of is not None}
    headers = dict(zip(by_path, _without_placeholders(list(by_path.values())), strict=True))
    return each_series_once(
        [_with_patient(each, headers[each.path]) if each.series and not each.patient_id else each for each in rows]
    )


def nbytes_of(path: Path) -> int | None:
    """Size of a file, None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below, through symbolic links too, each folder once. Raises OSError."""

    def stop(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _dicom_series(files: Sequence[Path]) -> tuple[list[list[Instance]], list[Path]]:
    """The VOLUME instances of each series of each folder, and the files that are no DICOM slides."""
    series: dict[tuple[Path, str], list[Instance]] = defaultdict(list)
    others = []
    for file in files:
        instance = read_instance(file) if may_be_dicom(file) else None
        if instance is None:
            others.append(file)
        else:
            volumes = series[file.parent, instance.series]
            volumes.extend([instance] if instance.is_volume else [])
    return list(series.values()), others


def _is_slide(file: Path) -> bool:
    """Also a DICOM slide whose header cannot be read: `tile` says why, and it is not forgotten."""
    if file.suffix.lower() in SLIDE_SUFFIXES:
        return not _special(file)
    return may_be_dicom(file) and kind_of(file).startswith(SLIDE_KIND)


def _special(file: Path) -> str:
    """What it is where it has no bytes to read, else empty; also for a link that leads nowhere."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return ""
    return next((kind for is_one, kind in SPECIAL.items() if is_one(mode)), "")


def _parts(files: Collection[Path]) -> set[Path]:
    """Files that belong to a slide of many files without being its first."""
    parts: set[Path] = set()
    mirax = {file.with_suffix("") for file in files if file.suffix.lower() == ".mrxs"}
    for file in files:
        if file.parent in mirax:
            parts.add(file)
        elif file.suffix.lower() in HAMAMATSU_SECTIONS:
            parts.update(_named_by(file) - {file})
    return parts


def _named_by(path: Path) -> set[Path]:
    try:
        return set(companions(path))
    except (OSError, SlideError):  # doctor and tile say why
        return set()


def _kind(file: Path) -> str:
    suffix = file.suffix.lower()
    if special := _special(file) if suffix in SLIDE_SUFFIXES else "":
        return f"{special} under the name of a slide"
    if may_be_dicom(file) and kind_of(file):
        return "DICOM of another kind"
    if suffix == ".dcm":
        return "no DICOM under a name that ends in .dcm"
    return suffix if suffix.isprintable() and suffix else "no suffix"


def _series_candidates(folder: Path, series: Sequence[Sequence[Instance]]) -> list[Candidate]:
    """A series is named by its folder where no other lies in it, else by its first file. One of several patients is
    left out, and no copy of another."""
    slides = [_series_candidate(volumes) for volumes in series]
    n_in = Counter(each.path.parent for each in slides)
    named = [replace(each, named_by=_name_of_series(each.path, folder, n_in[each.path.parent])) for each in slides]
    return [
        replace(each, patient_id="", series="", left_out=OF_SEVERAL_PATIENTS) if len(_patients(volumes)) > 1 else each
        for each, volumes in zip(named, series, strict=True)
    ]


def _name_of_series(first: Path, root: Path, n_in_folder: int) -> Path:
    """What names a series whose first file this is, in a folder with this many series, below ``root``."""
    return first.parent if n_in_folder == 1 and first.parent != root else first


def _named_as_below_a_folder(rows: Sequence[Candidate]) -> list[Candidate]:
    """The rows, series of which several rows name files by what `find_below` would name them by."""
    root = common_folder([each.path for each in rows])
    return [
        replace(each, named_by=_name_of_series(each.path, root, _n_series_in(each.path.parent)))
        if each.rows > 1 and each.named_by == each.path
        else each
        for each in rows
    ]


def _n_series_in(folder: Path) -> int:
    return len({each.series for each in instances_in(folder) if each.is_volume})


def _series_candidate(volumes: Sequence[Instance]) -> Candidate:
    first = min(volumes, key=lambda each: each.path)
    nbytes = sum(nbytes_of(each.path) or 0 for each in volumes)
    return Candidate(first.path, nbytes, patient_id=next(iter(_patients(volumes)), ""), series=first.series)


def _patients(volumes: Sequence[Instance]) -> dict[str, str]:
    """The patients that the headers of a series name, each with a file that does; a placeholder where none does."""
    said = {each.patient_id: each.path.name for each in volumes if each.patient_id}
    named = {patient: name for patient, name in said.items() if patient not in placeholders([*said, *said])}
    return named or dict(list(said.items())[:1])


def _without_placeholders(series: Sequence[Candidate]) -> list[Candidate]:
    """Series whose header has a placeholder for a patient, without one."""
    found = placeholders(each.patient_id for each in series)
    return [
        replace(each, patient_id="", placeholder=each.patient_id) if each.patient_id in found else each
        for each in series
    ]


def _with_patient(row: Candidate, series: Candidate) -> Candidate:
    return replace(row, patient_id=series.patient_id, placeholder=series.placeholder)


def _refuse_two_patients(series: Iterable[Sequence[Instance]]) -> None:
    """Raises InputError for series whose own headers name two patients."""
    refuse(
        "a DICOM series is one slide, and headers of its files name several patients",
        [
            f"{volumes[0].path.parent}, series {volumes[0].series}: "
            + " and ".join(f"{patient} ({name})" for patient, name in patients.items())
            for volumes in series
            if len(patients := _patients(volumes)) > 1
        ],
        "give a manifest with the patient_id of these slides, or leave them out",
    )


def _volumes_named(path: Path, offending: list[str]) -> list[Instance]:
    """The VOLUME files of the series that a file or a folder of a manifest is of; none where it is no DICOM slide."""
    own = read_instance(path) if may_be_dicom(path) and os.path.isfile(path) else None  # noqa: PTH113 - see below
    if own is None and not os.path.isdir(path):  # noqa: PTH112 - Path's raises where a name is too long
        return []
    by_series: dict[str, list[Instance]] = defaultdict(list)
    for each in instances_in(path if own is None else path.parent):
        by_series[each.series].extend([each] if each.is_volume else [])
    found = [volumes for name, volumes in by_series.items() if volumes and (own is None or name == own.series)]
    if len(found) != 1:
        offending.extend([f"{path}: {len(found)} series"] if own is None else [])
        return []
    return found[0]


def _as_series(row: Candidate, series: Candidate) -> Candidate:
    """A row that names a file of a series, or its folder. Its md5 is that of one of the files; where its file has
    another size than the row says, so has the series."""
    other = None if None in (row.nbytes, row.nbytes_named) else (row.nbytes_named or 0) - (row.nbytes or 0)
    return replace(
        row,
        path=series.path,
        nbytes=series.nbytes,
        nbytes_named=None if other is None else (series.nbytes or 0) + other,
        series=series.series,
        named_by=row.path,
    )


def _without_slides(
    folder: Path, skipped: Mapping[str, int], left_out: Sequence[Path], idle: Sequence[str]
) -> InputError:
    there = _counted(skipped)
    if any(map(_is_slide, left_out)):
        return InputError(
            f"no slide below {folder} is among the files that --include and --exclude leave (they leave: {there}; they "
            f"leave out: {_counted(Counter(map(_kind, left_out)))})",
            offending=[f"{option} matches no file" for option in idle],
            remedy="mend the patterns; each is for a whole file name, or a whole path below the folder, as in "
            "--include '*.svs' --exclude 'old/*'",
        )
    by_patterns = f"; --include and --exclude leave out {len(left_out):,}" if left_out else ""
    return InputError(
        f"no slide below {folder}: no file ends in {' '.join(sorted(SLIDE_SUFFIXES))} or is a DICOM slide"
        f" (there are: {there}{by_patterns})",
        remedy="give the folder that holds the slides, or a manifest (CSV) with a column path",
    )


def _counted(kinds: Mapping[str, int]) -> str:
    return some_names([f"{kind} {count:,}" for kind, count in sorted(kinds.items())]) or "no files"
