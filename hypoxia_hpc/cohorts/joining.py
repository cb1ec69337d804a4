"""The slide table of a run: ids and patients of the slides, and which files are left out, with the reason."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pandas as pd

from hypoxia_hpc.cohorts.barcodes import parse_barcode
from hypoxia_hpc.cohorts.csvfiles import refuse
from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.config.text_paths import shown_name, text_of_path
from hypoxia_hpc.errors import InputError, some_names

COLUMNS = ("slide_id", "path", "patient_id", "cost", "mpp", "site", "name")


@dataclass(frozen=True, eq=False)
class SlideTable:
    """``slides``: one row a slide, with `COLUMNS`, sorted by slide_id; cost in bytes, mpp in µm per pixel or NaN.

    ``dropped``: (name, reason) of files without a row. ``missing``: slide ids whose file does not exist (they have rows
    too). ``assumed``: slide ids that name no patient and count as a patient of their own. ``unlabelled``: patients
    with slides that the patients table lacks. ``without_slide``: patients of that table without a slide. ``resized``:
    slide ids whose file has another size than its GDC manifest says.
    """

    slides: pd.DataFrame
    dropped: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    assumed: tuple[str, ...]
    unlabelled: tuple[str, ...]
    without_slide: tuple[str, ...]
    resized: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, one for each kind of finding: what it is, how many, and at most five examples."""
        facts = (
            (self.missing, "slides whose file is not there, which will be quarantined"),
            (
                self.assumed,
                "slides that name no patient (no patient column, no TCGA barcode) and count as a patient each; "
                "if some share a patient, give a manifest with a patient_id column, or that patient can be in both "
                "training and test",
            ),
            (
                self.resized,
                "slides whose file has another size than the GDC manifest says; download them again, or the rest is "
                "missing",
            ),
            (self.unlabelled, "patients with a slide and not in the patients table: predicted, but not trained on"),
            (self.without_slide, "patients of the patients table without a slide"),
        )
        return tuple(f"{what}: {len(who):,} ({_examples(who)})" for who, what in facts if who)


def slide_table(candidates: Sequence[Candidate], known_patients: Collection[str] | None = None) -> SlideTable:
    """Name the slides, join them to patients, leave out what is no tumour sample.

    Slide id: the candidate's, else from the file name. Patient: the candidate's, else the TCGA barcode's, else the file
    name without suffix where that is one of ``known_patients``, else the slide id. Raises InputError for slide ids that
    are equal ignoring case, for a path that occurs twice, and if no slide is left.
    """
    kept, dropped = _tumour_slides(candidates)
    if not kept:
        raise InputError(
            "no slide to work on",
            offending=[f"{name!r}: {reason}" for name, reason in dropped],
            remedy="give a folder or a manifest with at least one slide of a tumour sample",
        )
    known = frozenset(known_patients or ())
    rows = pd.DataFrame([_row(each, known) for each in kept]).sort_values("slide_id", ignore_index=True)
    _refuse_ambiguous(rows)
    with_slide = frozenset(rows["patient_id"])
    return SlideTable(
        slides=rows[list(COLUMNS)].astype({"mpp": "float64"}),
        dropped=tuple(sorted(dropped)),
        missing=tuple(rows["slide_id"][rows["missing"]]),
        assumed=tuple(rows["slide_id"][rows["assumed"]]),
        unlabelled=() if known_patients is None else tuple(sorted(with_slide - known)),
        without_slide=tuple(sorted(known - with_slide)),
        resized=tuple(rows["slide_id"][rows["resized"]]),
    )


def slide_id_from_name(name: str) -> str:
    """A slide id from a file name: without its suffix, other characters than `NAME_PATTERN` has as ``-``, no dot, dash
    or underscore at the start, 128 at most. If nothing remains: ``slide-`` and eight hex digits of the name's SHA-256.
    The same in every locale; a byte that is not UTF-8 is one character.
    """
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", PurePath(text).stem).lstrip("._-")[:128]
    return cleaned or "slide-" + hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:8]


def unique_slide_ids(paths: Sequence[PurePath]) -> list[str]:
    """Slide ids from paths below one folder: from the file name alone; where that is not unique, with the folders
    before it (``case1/HE.svs``: ``case1-HE``), and where that is not either, with the suffix."""
    ids = [slide_id_from_name(path.name) for path in paths]
    joined = [path.as_posix().replace("/", "-") for path in paths]
    for spelled in (joined, [f"{name}.suffix" for name in joined]):
        counts = Counter(slide_id.lower() for slide_id in ids)
        both = zip(ids, spelled, strict=True)
        ids = [slide_id_from_name(name) if counts[slide_id.lower()] > 1 else slide_id for slide_id, name in both]
    return ids


def _tumour_slides(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[tuple[str, str]]]:
    kept, dropped = [], []
    for each in candidates:
        reason = each.left_out or _reason_to_drop(each.path)
        if reason:
            dropped.append((shown_name(str(each.path) if each.left_out else each.path.name), reason))
        else:
            kept.append(each)
    return kept, dropped


def _reason_to_drop(path: Path) -> str:
    barcode = parse_barcode(path.name)
    if barcode is None or barcode.sample_type is None or barcode.is_tumour:
        return ""
    kind = "normal" if barcode.is_normal else "control"
    return f"{kind} sample (TCGA sample type {barcode.sample_type:02d}), no tumour"


def _row(each: Candidate, known: frozenset[str]) -> dict[str, object]:
    name = shown_name(each.path.name)
    barcode, stem = parse_barcode(name), PurePath(name).stem
    slide_id = each.slide_id or slide_id_from_name(each.path.name)
    from_name = barcode.patient_id if barcode else stem if stem in known else ""
    patient_id = each.patient_id or from_name
    return {
        "slide_id": slide_id,
        "path": text_of_path(each.path),
        "patient_id": patient_id or slide_id,
        "cost": each.nbytes or 0,
        "mpp": each.mpp,
        "site": each.site or (barcode.site if barcode else ""),
        "name": name,
        "missing": each.nbytes is None,
        "assumed": not patient_id,
        "resized": None not in (each.nbytes, each.nbytes_named) and each.nbytes != each.nbytes_named,
    }


def _refuse_ambiguous(rows: pd.DataFrame) -> None:
    normal = rows["path"].map(os.path.normpath)
    offending = [f"path {path!r} occurs {n} times" for path, n in normal.value_counts(sort=False).items() if n > 1]
    key = rows["slide_id"].str.lower()
    for slide_id, paths in rows["path"][key.duplicated(keep=False)].groupby(key):
        offending.append(f"slide id {slide_id}: {some_names([repr(path) for path in paths])}")
    refuse(
        "slides that cannot be told apart (ids are compared ignoring case)",
        offending,
        "list each file once, and give these slides ids of their own: a manifest with the columns path and slide_id",
    )


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
