"""init: a folder or manifest of slides and what is known of the patients -> run.toml, slides.csv, patients.csv."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.joining import SlideTable, slide_table
from hypoxia_hpc.cohorts.manifests import Candidate, candidates_from_manifest
from hypoxia_hpc.cohorts.scores import HypoxiaLabels, LabelRule, hypoxia_labels, read_scores
from hypoxia_hpc.cohorts.tables import patients_csv, read_patient_table, slides_csv
from hypoxia_hpc.config import RunConfig, TileTable, render_config
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.progress import NoProgress, Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.costs import slide_costs
from hypoxia_hpc.stores.commit import committed_file, machine_errors

# What OpenSlide 4 may open, by suffix; a manifest may name anything.
SLIDE_SUFFIXES = frozenset(
    ".svs .tif .tiff .ndpi .mrxs .scn .bif .vms .vmu .svslide .czi .dcm".split()  # noqa: SIM905 - reads as a list
)


@dataclass(frozen=True, slots=True)
class Initialised:
    """What init made: the joined slides, the patients that have one, and the labels where scores were given."""

    slides: SlideTable
    patients: pd.DataFrame
    labels: HypoxiaLabels | None


def init(
    run: RunDir,
    config: RunConfig,
    slides: Path,
    *,
    scores: Path | None = None,
    patients: Path | None = None,
    patient_column: str | None = None,
    rule: LabelRule = "type-median",
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Initialised:
    """Make a run directory. The same call again finds it made.

    Raises:
        InputError: input that is wrong, or files there already that say something else.
        MachineError: disk or permission.
        Stopped: on request.
    """
    if scores is not None and patients is not None:
        raise InputError("--scores and --patients both give labels", remedy="give one of them")
    labels = hypoxia_labels(read_scores(scores), rule) if scores is not None else None
    known = labels.table if labels is not None else read_patient_table(patients) if patients is not None else None
    candidates = find_slides(slides, patient_column)
    table = slide_table(candidates, None if known is None else list(known["patient_id"]))
    with_slides = _patients(table, known)
    priced = _with_costs(table.slides, config.tile, progress or NoProgress(), stop or threading.Event())
    files = {
        run.slides_file: slides_csv(priced),
        run.patients_file: patients_csv(with_slides),
        run.receipts("init") / "cohort.json": json.dumps(_left_out(table, labels), indent=1),
        # Last, since a run.toml is what makes a folder a run directory.
        run.config_file: render_config(config),
    }
    _refuse_to_overwrite(run, {path: text.encode() for path, text in files.items()})
    for path, text in files.items():
        committed_file(path, text.encode())
    return Initialised(table, with_slides, labels)


def _with_costs(slides: pd.DataFrame, table: TileTable, progress: Progress, stop: threading.Event) -> pd.DataFrame:
    """The slides with what each costs to tile (milliseconds of one core, from its header) as their cost."""
    known = [
        (Path(path), None if pd.isna(mpp) else float(mpp))
        for path, mpp in zip(slides["path"], slides["mpp"], strict=True)
    ]
    progress.begin("init", len(known), len(known), "header")
    try:
        return slides.assign(cost=slide_costs(known, table, lambda: progress.item(1), stop))
    finally:
        progress.end()


def _refuse_to_overwrite(run: RunDir, files: dict[Path, bytes]) -> None:
    with machine_errors(run.root):
        others = [path for path, data in files.items() if path.exists() and path.read_bytes() != data]
    if others:
        raise InputError(
            f"{run.root} has files already that this would overwrite with others",
            offending=[str(path) for path in others],
            remedy="choose another directory; to change a run edit its run.toml, slides.csv and patients.csv",
        )


def find_slides(source: Path, patient_column: str | None) -> Sequence[Candidate]:
    """Slides below a folder, by suffix, or the rows of a manifest. Raises InputError."""
    if source.is_dir():
        if patient_column is not None:
            raise InputError(
                f"--patient-column {patient_column} names a column, but --slides {source} is a folder",
                remedy="give a manifest (CSV with the columns path and your patient column) as --slides",
            )
        return _below(source.absolute())
    if not source.exists():
        raise InputError(f"--slides {source} does not exist", remedy="give a folder of slides or a manifest (CSV)")
    return candidates_from_manifest(source, nbytes_of, patient_column)


def _below(folder: Path) -> list[Candidate]:
    with machine_errors(folder):
        found = [
            Path(parent, name)
            for parent, names in _folders_below(folder)
            for name in names
            if Path(name).suffix.lower() in SLIDE_SUFFIXES and not name.startswith("._")  # macOS leaves these beside
        ]
    if not found:
        raise InputError(
            f"no slide below {folder}: no file ends in {' '.join(sorted(SLIDE_SUFFIXES))}",
            remedy="give the folder that holds the slides, or a manifest (CSV) with a column path",
        )
    return [Candidate(path, nbytes_of(path)) for path in sorted(found)]


def _folders_below(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below, through symbolic links too, each once; with the names of its files. Raises OSError."""

    def stop(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield parent, names


def nbytes_of(path: Path) -> int | None:
    """Size of a file, None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _patients(table: SlideTable, known: pd.DataFrame | None) -> pd.DataFrame:
    """The patients with a slide: what is known of them, an empty label for the others."""
    with_slides = pd.DataFrame({"patient_id": sorted(set(table.slides["patient_id"]))})
    if known is None:
        return with_slides.assign(label="")
    return with_slides.merge(known.astype(str), on="patient_id", how="left").fillna("")


def _left_out(table: SlideTable, labels: HypoxiaLabels | None) -> Json:
    groups: dict[str, list[str]] = {}
    for name, reason in table.dropped:
        groups.setdefault(reason, []).append(name)
    dropped = [{"kind": "slide", "reason": reason, "names": names} for reason, names in groups.items()]
    if table.without_slide:
        dropped.append({"kind": "patient", "reason": "no slide", "names": list(table.without_slide)})
    if labels is not None and labels.set_aside:
        reason = "second sample of a patient in the score table"
        dropped.append({"kind": "score row", "reason": reason, "names": list(labels.set_aside)})
    return {"dropped": dropped}
