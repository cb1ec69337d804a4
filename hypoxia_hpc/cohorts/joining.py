"""The slide table of a run: ids and patients of the slides, and which files are left out, with the reason."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import Barcode, alike, parse_barcode, plain_patient_id
from hypoxia_hpc.cohorts.flow import Step, kinds, left_out
from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.naming import derived_ids, naming_path, slide_id_from_name
from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config.cohort import CohortTable
from hypoxia_hpc.config.text_paths import composed, shown_name, text_of_path
from hypoxia_hpc.errors import InputError, some_names

COLUMNS = ("slide_id", "path", "patient_id", "cost", "mpp", "site", "name")
_ROW = (
    *COLUMNS,
    *("md5", "barcoded", "sample", "preparation", "label", "tumour_type", "reason"),
    *("missing", "assumed", "resized", "lengthened", "merged", "placeholder"),
)


@dataclass(frozen=True, eq=False)
class SlideTable:
    """``slides``: one row a slide, with `COLUMNS` (and ``md5`` where a manifest gives any), sorted by slide_id; cost in
    bytes, mpp in µm per pixel or NaN. ``said``: patient_id, slide_id, label, tumour_type as the manifest has them.

    ``dropped``: (name, reason) of files without a row. ``missing``: slide ids whose file does not exist (they have rows
    too). ``assumed``: slide ids that name no patient and count as a patient of their own. ``unlabelled``: patients
    with slides that the patients table lacks. ``without_slide``: patients of that table without a slide. ``resized``:
    slide ids whose file has another size than its GDC manifest says. ``steps``: slides and patients that were found,
    and that have a row. ``counts``: slides that were found by what they are of. ``mixed``: frozen sections where there
    are diagnostic slides too. ``lengthened``: slide ids that the file name alone does not give, since others give the
    same. ``anonymous``: slide ids whose DICOM header has a placeholder for a patient, with it. ``merged``: slide ids
    that several rows of a manifest are.
    """

    slides: pd.DataFrame
    said: pd.DataFrame
    dropped: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    assumed: tuple[str, ...]
    unlabelled: tuple[str, ...]
    without_slide: tuple[str, ...]
    resized: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    mixed: tuple[str, ...] = ()
    lengthened: tuple[str, ...] = ()
    anonymous: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, one for each kind of finding: what it is, how many, and at most five examples."""
        facts = (
            (
                self.missing,
                "slides whose file is not there, which will be quarantined (slides.csv has where they are looked for; "
                "relative paths begin at the manifest's folder)",
            ),
            (self.anonymous, "DICOM slides whose PatientID is a placeholder, which is taken for no patient"),
            (
                self.assumed,
                "slides that name no patient (no patient column, no PatientID, no TCGA barcode) and count as a patient "
                "each; if some share a patient, give a manifest with a patient_id column (--patient-column names "
                "another one), or that patient can be in both training and test",
            ),
            (
                self.resized,
                "slides whose file has another size than the GDC manifest says; download them again, or the rest is "
                "missing",
            ),
            (
                self.mixed,
                "frozen sections beside diagnostic slides, which look otherwise; --preparation diagnostic ([cohort] "
                "preparations) leaves them out",
            ),
            (self.merged, "DICOM series of which the manifest names several files; each series is one slide"),
            (
                self.lengthened,
                "slides whose names alone give the id of another slide; theirs have the folder, the suffix or eight "
                "digits of a checksum in addition, and slides.csv has the path of each",
            ),
            (self.unlabelled, "patients with a slide and not in the patients table: predicted, but not trained on"),
            (self.without_slide, "patients of the patients table without a slide"),
        )
        return tuple(f"{what}: {len(who):,} ({_examples(who)})" for who, what in facts if who)


def slide_table(
    candidates: Sequence[Candidate],
    known_patients: Collection[str] | None = None,
    cohort: CohortTable = CohortTable(),  # noqa: B008 - frozen
    *,
    root: Path | None = None,
    taken: Collection[str] = (),
) -> SlideTable:
    """Name the slides, join them to patients, leave out what [cohort] does not take.

    Slide id: the candidate's, else from the file name, where needed from the path below ``root``, and none that is
    ``taken`` (see `derived_ids`). Patient: the candidate's, else the TCGA barcode's, else the file name without suffix
    where that is one of ``known_patients``, else the one that a run has for it, else the slide id.

    Raises InputError for slide ids that are equal ignoring case, for a path that occurs twice, for a file name whose
    barcode is another patient's, for patients whose ids differ only in case, separators or leading zeros, and if no
    slide is left.
    """
    known = frozenset(known_patients or ())
    reasons = [each.left_out or _reason_to_drop(each, cohort) for each in candidates]
    ids = derived_ids([replace(each, left_out=why) for each, why in zip(candidates, reasons, strict=True)], root, taken)
    rows_of = (_row(*one, known) for one in zip(candidates, ids, reasons, strict=True))
    found = pd.DataFrame(rows_of, columns=list(_ROW))
    rows = found[found["reason"] == ""].sort_values("slide_id", ignore_index=True)
    dropped = tuple(sorted(zip(*(found.loc[found["reason"] != "", name] for name in ("name", "reason")), strict=True)))
    if rows.empty:
        raise InputError(
            "no slide to work on",
            offending=[f"{name!r}: {reason}" for name, reason in dropped],
            remedy="give a folder or a manifest with at least one slide that [cohort] takes",
        )
    _refuse_ambiguous(rows)
    _refuse_contradictions(rows, known)
    return _joined(found, rows, dropped, known_patients)


def _joined(
    found: pd.DataFrame,
    rows: pd.DataFrame,
    dropped: tuple[tuple[str, str], ...],
    known_patients: Collection[str] | None,
) -> SlideTable:
    with_slide, known = frozenset(rows["patient_id"]), frozenset(known_patients or ())
    columns = [*COLUMNS, *(["md5"] if rows["md5"].any() else [])]
    frozen = rows["preparation"] == "frozen"
    return SlideTable(
        slides=rows[columns].astype({"mpp": "float64"}),
        said=rows[["patient_id", "slide_id", "label", "tumour_type"]],
        dropped=dropped,
        missing=tuple(rows["slide_id"][rows["missing"]]),
        assumed=tuple(rows["slide_id"][rows["assumed"]]),
        unlabelled=() if known_patients is None else tuple(sorted(with_slide - known)),
        without_slide=tuple(sorted(known - with_slide)),
        resized=tuple(rows["slide_id"][rows["resized"]]),
        steps=(
            Step("found", len(found), found["patient_id"].nunique()),
            Step("in the run", len(rows), len(with_slide), left_out("slide", dropped)),
        ),
        counts=kinds(found["sample"].tolist(), found["preparation"].tolist()),
        mixed=tuple(rows["slide_id"][frozen]) if (rows["preparation"] == "diagnostic").any() else (),
        lengthened=tuple(rows["slide_id"][rows["lengthened"]]),
        merged=tuple(rows["slide_id"][rows["merged"]]),
        anonymous=tuple(
            f"{slide_id}: {said}" for slide_id, said in zip(rows["slide_id"], rows["placeholder"], strict=True) if said
        ),
    )


def _kind(each: Candidate) -> tuple[Barcode | None, str, str]:
    """The barcode in the name of the file or DICOM folder, and what the slide is of by it or else by the sample sheet:
    sample, preparation."""
    barcode = parse_barcode(shown_name(naming_path(each).name))
    sample = (barcode.sample if barcode else "") or each.sample
    return barcode, sample, (barcode.preparation if barcode else "") or each.preparation


def _reason_to_drop(each: Candidate, cohort: CohortTable) -> str:
    barcode, sample, preparation = _kind(each)
    if sample and sample not in cohort.samples:
        known = barcode is not None and barcode.sample_type is not None
        where = f"TCGA sample type {barcode.sample_type:02d}" if barcode and known else "by the sample sheet"
        return f"{sample} sample ({where}), not in [cohort] samples"
    if preparation and preparation not in cohort.preparations:
        return f"{preparation} slide, not in [cohort] preparations"
    return ""


def _row(each: Candidate, slide_id: str, reason: str, known: frozenset[str]) -> tuple[object, ...]:
    """The cells of `_ROW`."""
    name = shown_name(each.path.name)
    barcode, sample, preparation = _kind(each)
    stem = composed(PurePath(shown_name(naming_path(each).name)).stem)
    from_name = barcode.patient_id if barcode else stem if stem in known else ""
    patient_id = plain_patient_id(each.patient_id) or from_name or each.known_patient
    site = each.site or (barcode.site if barcode else "")
    resized = None not in (each.nbytes, each.nbytes_named) and each.nbytes != each.nbytes_named
    lengthened = not each.slide_id and slide_id != slide_id_from_name(naming_path(each).name)
    named = (
        slide_id,
        text_of_path(each.path),
        patient_id or slide_id,
        each.nbytes or 0,
        each.mpp,
        site,
        shown_name(str(each.path)) if each.left_out else name,
        each.md5,
    )
    of = (barcode.patient_id if barcode else "", sample, preparation, each.label, each.tumour_type, reason)
    return (*named, *of, each.nbytes is None, not patient_id, resized, lengthened, each.rows > 1, each.placeholder)


def _refuse_contradictions(rows: pd.DataFrame, known: Collection[str]) -> None:
    """A slide under two patients can be in training and test; so can a patient under two ids."""
    coded = rows[rows["barcoded"] != ""]
    is_code = coded["patient_id"].map(lambda text: parse_barcode(text) is not None)
    other = coded[is_code & (coded["patient_id"] != coded["barcoded"])]
    offending = [f"{name}: patient_id {found}" for name, found in zip(other["name"], other["patient_id"], strict=True)]
    for barcode, mine in coded[~coded.index.isin(other.index)].groupby("barcoded"):
        if mine["patient_id"].nunique() > 1:  # noqa: PD101 - these are a patient's slides
            offending.append(f"{barcode}: under the patients {some_names(sorted(set(mine['patient_id'])))}")
    refuse(
        "file names whose TCGA barcode is another patient's than the table says",
        offending,
        "mend patient_id of these rows, or the names of these files",
    )
    assumed = rows[rows["assumed"]]
    named = {*rows.loc[~rows["assumed"], "patient_id"], *known}
    from_files = {*assumed["patient_id"], *(composed(PurePath(name).stem) for name in assumed["name"])}
    refuse(
        "patients whose ids differ only in case, separators or leading zeros, so that one patient may count as several",
        [", ".join(map(repr, same)) for same in alike(named | from_files) if not named.isdisjoint(same)],
        "write each patient's id in one way in all tables and file names",
    )


def _refuse_ambiguous(rows: pd.DataFrame) -> None:
    normal = rows["path"].map(os.path.normpath)
    repeated = [f"path {path!r} stands in {n} rows" for path, n in normal.value_counts(sort=False).items() if n > 1]
    key = rows["slide_id"].str.lower()
    same_id = [
        f"slide id {slide_id}: {some_names([repr(path) for path in paths])}"
        for slide_id, paths in rows["path"][~normal.duplicated() & key.duplicated(keep=False)].groupby(key)
        if len(paths) > 1
    ]
    once = "list each file once"
    if not same_id:
        refuse("files that stand in several rows", repeated, once)
    refuse(
        "slides with the same path or id (ids are compared ignoring case)",
        repeated + same_id,
        f"{once}, and give these slides ids of their own: a manifest with the columns path and slide_id",
    )


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
