"""What the viewer shows: the slides of a run with what is known and said of their patients, or those of a folder."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hypoxia_hpc.cohorts.naming import derived_ids
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, open_plain
from hypoxia_hpc.records import Json, Patient, Slide
from hypoxia_hpc.reports.data import CohortPatient, PatientPrediction
from hypoxia_hpc.runs.directory import RunDir

KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ShownSlide:
    """A row of the list of slides; what is not known is empty or None. ``key`` stands in paths, ``slide_id`` in links.
    ``set_name``, ``label``, ``call`` and ``values`` (what the leading model says) are those of the patient;
    ``is_wrong`` where ``call`` is another class than ``label``. ``quality``: what stands out, by
    `hypoxia-hpc quality`. ``mpp``: of slides.csv, in µm per pixel."""

    key: str
    slide_id: str
    path: Path
    name: str = ""
    patient_id: str = ""
    set_name: str = ""
    label: str = ""
    call: str = ""
    values: tuple[float, ...] = ()
    is_wrong: bool | None = None
    quality: str = ""
    mpp: float | None = None

    def as_json(self) -> Json:
        """Without the path, which is nothing to a browser."""
        entries = asdict(self)
        del entries["path"]
        return entries


@dataclass(frozen=True, slots=True)
class Shown:
    """``run`` None: slides without a run. ``outputs``: names of ``values``. ``note``: why there are no predictions."""

    title: str
    slides: tuple[ShownSlide, ...]
    run: RunDir | None = None
    model: str = ""
    outputs: tuple[str, ...] = ()
    note: str = ""

    def as_json(self) -> Json:
        return {
            "title": self.title,
            "model": self.model,
            "outputs": list(self.outputs),
            "note": self.note,
            "slides": [slide.as_json() for slide in self.slides],
        }


def new_keys(n: int) -> list[str]:
    """As many keys, hexadecimal: other ones in every viewer, for browsers keep what they got from an earlier one."""
    salt = secrets.token_hex(KEY_DIGITS // 4)
    return [f"{salt}{number:0{KEY_DIGITS // 2}x}" for number in range(n)]


def shown_folder(folder: Path) -> Shown:
    """The slides below a folder, or the one that a path names. Raises InputError where there is none, MachineError."""
    from hypoxia_hpc.cohorts.manifests import Candidate
    from hypoxia_hpc.slides.finding import find_below, nbytes_of

    if folder.is_file():
        candidates: Sequence[Candidate] = [Candidate(folder, nbytes_of(folder))]
        root = folder.parent
    else:
        candidates, root = find_below(folder).candidates, folder
    ids = derived_ids(candidates, root)
    slides = tuple(
        ShownSlide(key, slide_id, one.path, _shown_path(one.path, root), mpp=one.mpp)
        for key, one, slide_id in zip(new_keys(len(ids)), candidates, ids, strict=True)
    )
    return Shown(_printable(folder.absolute().name), slides)


def _shown_path(path: Path, root: Path) -> str:
    return _printable(str(path.relative_to(root) if path.is_relative_to(root) else path))


def _printable(text: str) -> str:
    """A name whose bytes are no UTF-8, as text that can be sent."""
    return text.encode("utf-8", "replace").decode()


def shown_run(run: RunDir) -> Shown:
    """The slides of a run. Raises InputError for bad tables, and for images in folders."""
    slides = run.slides()
    if any(slide.images for slide in slides):
        raise InputError(
            f"the tiles of {run.root} are of images in folders, which have no place on a slide",
            remedy="hypoxia-hpc report RUN shows them",
        )
    known, said, model, note = _said(run, slides)
    outcome, quality = run.outcome(), _quality(run)
    rows = [
        replace(
            _row(key, slide, known.get(slide.patient_id), said.get(slide.patient_id), outcome),
            quality=quality.get(slide.slide_id, ""),
        )
        for key, slide in zip(new_keys(len(slides)), slides, strict=True)
    ]
    outputs = outcome.outputs if said else ()
    return Shown(_printable(run.root.absolute().name), tuple(rows), run, model, outputs, note)


def _quality(run: RunDir) -> dict[str, str]:
    """What stands out of each slide that was measured; of none where the table is not there, or damaged."""
    import pandas as pd

    try:
        with open_plain(run.quality_file, MOST_PREDICTIONS_BYTES) as opened:
            table = pd.read_csv(opened, dtype=str, keep_default_na=False)
        words = table["stands_out"].where((table["reason"] == "") | (table["tissue_mm2"] != ""), "not measured")
        return dict(zip(table["slide_id"], words.where(words != "", "nothing stands out"), strict=True))
    except (OSError, ValueError, KeyError):
        return {}


def _said(
    run: RunDir, slides: Sequence[Slide]
) -> tuple[dict[str, CohortPatient], dict[str, PatientPrediction], str, str]:
    """What tables know of patients; what the leading model says of them, its name, or why it says nothing."""
    from hypoxia_hpc.models.reported import cohort_of, predictions_of
    from hypoxia_hpc.runs.cohort import patients_with_slides

    patients: Mapping[str, Patient] = patients_with_slides(slides, run.patients())
    known = {one.patient_id: one for one in cohort_of(run, patients)}
    metrics = run.metrics()
    if metrics is None:
        return known, {}, "", f"no predictions yet: hypoxia-hpc run {run.word} makes them"
    rows = predictions_of(run, run.config(), run.outcome(), patients)
    model = str(metrics["lead"]["model"] or next(iter(sorted(metrics["models"])), ""))
    order = ("test", "unlabelled")  # of one patient in several sets: where the model had not seen it
    ranked = sorted((one for one in rows if one.model == model), key=lambda one: one.set_name not in order)
    said = {one.patient_id: one for one in reversed(ranked)}
    return known, said, model if said else "", "" if said else f"{model} has no predictions here"


def _row(
    key: str, slide: Slide, known: CohortPatient | None, said: PatientPrediction | None, outcome: Outcome
) -> ShownSlide:
    label = "" if known is None or known.label is None else outcome.shown(known.label)
    call = said.call if said else ""
    return ShownSlide(
        key=key,
        slide_id=slide.slide_id,
        path=slide.path,
        name=_printable(slide.name or slide.path.name),
        patient_id=slide.patient_id,
        set_name=said.set_name if said else known.set_name if known else "",
        label=label,
        call=call,
        values=said.said if said else (),
        is_wrong=call != label if call and label else None,
        mpp=slide.mpp,
    )
