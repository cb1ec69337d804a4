"""init: a folder or manifest of slides and what is known of the patients -> run.toml, slides.csv, patients.csv."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hypoxia_hpc.cohorts.joining import SlideTable, slide_table
from hypoxia_hpc.cohorts.manifests import read_manifest
from hypoxia_hpc.cohorts.scores import HypoxiaLabels, LabelRule, hypoxia_labels, read_scores
from hypoxia_hpc.cohorts.tables import patients_csv, read_patient_table, slides_csv
from hypoxia_hpc.config import RunConfig, TileTable, render_config
from hypoxia_hpc.config.text_paths import path_of_text
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.progress import NoProgress, Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.copies import equal_files
from hypoxia_hpc.slides.costs import Header, read_headers
from hypoxia_hpc.slides.finding import Found, find_below, nbytes_of, series_of_manifest
from hypoxia_hpc.stores.commit import committed_file, machine_errors
from hypoxia_hpc.tiling.remarks import by_kind

SAME_PATIENT = "slides of one patient with files of the same content, whose tiles will count more than once"
OTHER_PATIENT = "slides of several patients with files of the same content, which train refuses"


@dataclass(frozen=True, slots=True)
class Initialised:
    """What init made: the joined slides, the patients that have one, the labels where scores were given, what was
    found, and what is odd about slides that are used all the same, as sentences with the ids of the slides."""

    slides: SlideTable
    patients: pd.DataFrame
    labels: HypoxiaLabels | None
    found: Found
    remarks: Mapping[str, tuple[str, ...]]


def init(
    run: RunDir,
    config: RunConfig,
    slides: Path,
    *,
    scores: Path | None = None,
    patients: Path | None = None,
    patient_column: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    rule: LabelRule = "type-median",
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Initialised:
    """Make a run directory. The same call again finds it made. ``include`` and ``exclude``: see :func:`is_selected`.

    Raises:
        InputError: input that is wrong, or files there already that say something else.
        MachineError: disk or permission.
        Stopped: on request.
    """
    if scores is not None and patients is not None:
        raise InputError("--scores and --patients both give labels", remedy="give one of them")
    labels = hypoxia_labels(read_scores(scores), rule) if scores is not None else None
    known = labels.table if labels is not None else read_patient_table(patients) if patients is not None else None
    found = find_slides(slides, patient_column, include, exclude)
    table = slide_table(found.candidates, None if known is None else list(known["patient_id"]), config.cohort)
    with_slides = _patients(table, known)
    priced, odd = _examined(table.slides, config.tile, progress or NoProgress(), stop or threading.Event())
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
    return Initialised(table, with_slides, labels, found, odd)


def _examined(
    slides: pd.DataFrame, table: TileTable, progress: Progress, stop: threading.Event
) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """The slides with what each costs to tile, and what is odd about which of them. Raises Stopped."""
    headers = _headers(slides, table, progress, stop)
    odd = by_kind(zip(slides["slide_id"], (header.remarks for header in headers), strict=True))
    return slides.assign(cost=[header.cost for header in headers]), odd | _copies(slides, stop)


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


def _copies(slides: pd.DataFrame, stop: threading.Event) -> dict[str, tuple[str, ...]]:
    """Slides whose file has the content of another one, as ``a = b``, by the sentence that says what follows from it.
    ``cost`` of the slides is still their size."""
    groups = equal_files(list(zip(map(path_of_text, slides["path"]), map(int, slides["cost"]), strict=True)), stop)
    ids, patients = list(slides["slide_id"]), list(slides["patient_id"])
    found: dict[str, tuple[str, ...]] = {}
    for group in groups:
        sentence = SAME_PATIENT if len({patients[place] for place in group}) == 1 else OTHER_PATIENT
        found[sentence] = (*found.get(sentence, ()), " = ".join(ids[place] for place in group))
    return found


def _refuse_to_overwrite(run: RunDir, files: dict[Path, bytes]) -> None:
    with machine_errors(run.root):
        others = [path for path, data in files.items() if path.exists() and path.read_bytes() != data]
    if others:
        raise InputError(
            f"{run.root} has files already that this would overwrite with others",
            offending=[str(path) for path in others],
            remedy="choose another directory; to change a run edit its run.toml, slides.csv and patients.csv",
        )


def find_slides(
    source: Path, patient_column: str | None, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Found:
    """Slides below a folder, or the rows of a manifest. Raises InputError."""
    if source.is_dir():
        if patient_column is not None:
            raise InputError(
                f"--patient-column {patient_column} names a column, but --slides {source} is a folder",
                remedy="give a manifest (CSV with the columns path and your patient column) as --slides",
            )
        return find_below(source.absolute(), include, exclude)
    if include or exclude:
        raise InputError(
            f"--include and --exclude choose files of a folder, but --slides {source} is none",
            remedy="give a folder, or leave those rows out of the manifest",
        )
    if not source.exists():
        raise InputError(f"--slides {source} does not exist", remedy="give a folder of slides or a manifest (CSV)")
    manifest = read_manifest(source, nbytes_of, patient_column)
    return Found(series_of_manifest(manifest.candidates), {}, 0, manifest.unused)


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
