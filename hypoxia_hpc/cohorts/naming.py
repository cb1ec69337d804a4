"""Ids of slides: from the names of their files, each once; and those that a run has already."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from hypoxia_hpc.cohorts.manifests import Candidate

MOST_CHARACTERS, DIGEST_CHARACTERS = 128, 8


@dataclass(frozen=True, slots=True)
class KnownSlide:
    """A row that slides.csv of a run has. ``has_file``: there is a file where the row says."""

    slide_id: str
    patient_id: str
    path: Path
    has_file: bool


def slide_id_from_name(name: str) -> str:
    """A slide id from a file name: without its suffix, letters without their accents (``Müller``: ``Muller``), other
    characters than `NAME_PATTERN` has as ``-``, no dot, dash or underscore at the start, 128 at most. If nothing
    remains: ``slide-`` and eight hex digits of the name's SHA-256. The same in every locale; a byte that is not UTF-8
    is one character.
    """
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    decomposed = unicodedata.normalize("NFKD", PurePath(text).stem)
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", letters).lstrip("._-")[:MOST_CHARACTERS]
    return cleaned or f"slide-{_digest(text)}"


def unique_slide_ids(labels: Sequence[PurePath], taken: Collection[str] = ()) -> list[str]:
    """Slide ids from paths below one folder, none of them in ``taken``, all compared ignoring case: from the file name
    alone; where that is not unique, with the folders before it (``case1/HE.svs``: ``case1-HE``); where that is not
    either, with the suffix.

    What is left are files whose names differ in what an id cannot have (``a b.svs``, ``a-b.svs``). The one whose name
    is its id keeps it, whatever is added; the others get eight hex digits of the SHA-256 of their path.
    """
    held = {name.lower() for name in taken}
    stems = [slide_id_from_name(label.name) for label in labels]
    joined = [label.as_posix().strip("/").replace("/", "-") for label in labels]
    ids = list(stems)
    for spelled in (joined, [f"{name}.suffix" for name in joined]):
        for place in _clashing(ids, held):
            ids[place] = slide_id_from_name(spelled[place])
    left = _clashing(ids, held)
    held.update(slide_id.lower() for place, slide_id in enumerate(ids) if place not in left)
    exact = Counter(stems[place].lower() for place in left if labels[place].stem == stems[place])
    for place in left:
        stem = stems[place]
        is_kept = labels[place].stem == stem and exact[stem.lower()] == 1 and stem.lower() not in held
        ids[place] = stem if is_kept else _with_digest(stem, labels[place])
    return ids


def derived_ids(candidates: Sequence[Candidate], root: Path | None, taken: Collection[str] = ()) -> list[str]:
    """The id of each candidate: its own; else the one that its path below ``root`` gives, by default below the folder
    that they have in common. What is left out has an id as if it were alone."""
    paths = [naming_path(each) for each in candidates]
    open_places = [place for place, each in enumerate(candidates) if not each.slide_id and not each.left_out]
    open_paths = [paths[place] for place in open_places]
    folder = root or common_folder(open_paths)
    own = {each.slide_id for each in candidates if each.slide_id}
    found = unique_slide_ids([PurePath(os.path.relpath(path, folder)) for path in open_paths], {*taken, *own})
    derived = dict(zip(open_places, found, strict=True))
    return [
        derived.get(place) or each.slide_id or slide_id_from_name(paths[place].name)
        for place, each in enumerate(candidates)
    ]


def naming_path(candidate: Candidate) -> Path:
    """The path that a candidate's id comes from. That of a DICOM series has a suffix, so that the last number of a UID
    is not taken for one."""
    path = candidate.named_by
    if path is None:
        return candidate.path
    return path if path.suffix.lower() == ".dcm" else path.with_name(path.name + ".dcm")


def common_folder(paths: Sequence[Path]) -> Path:
    """The deepest folder that all these files are below."""
    return Path(os.path.commonpath([path.parent for path in paths]) if paths else "/")


def with_known_ids(
    candidates: Sequence[Candidate],
    known: Sequence[KnownSlide],
    root: Path | None,
    is_copy: Callable[[Path, Path], bool],
) -> list[Candidate]:
    """The candidates, those that a run has with its id, and with its patient where nothing else names one.

    A slide that a run has is one at the same path, or one of the same id: the id that a manifest gives, or the one that
    its path below ``root`` gives where the file that the run has is gone, or ``is_copy`` of it. Where that file is
    another one, the new slide has yet to get an id.
    """
    by_path = {os.path.normpath(each.path): each for each in known}
    by_id = {each.slide_id: each for each in known}
    here = [by_path.get(os.path.normpath(each.path)) for each in candidates]
    at_their_place = {each.slide_id for each in here if each is not None}

    def same(candidate: Candidate, slide_id: str) -> KnownSlide | None:
        found = by_id.get(slide_id)
        if found is None or candidate.slide_id or candidate.left_out:
            return found if candidate.slide_id else None
        is_other = candidate.nbytes is not None and found.has_file and not is_copy(candidate.path, found.path)
        return None if is_other or found.slide_id in at_their_place else found

    ids = derived_ids(candidates, root)
    found = [one or same(each, name) for each, one, name in zip(candidates, here, ids, strict=True)]
    return [
        each if one is None else replace(each, slide_id=one.slide_id, known_patient=one.patient_id)
        for each, one in zip(candidates, found, strict=True)
    ]


def _clashing(ids: Sequence[str], held: Collection[str]) -> list[int]:
    """The places of ids that are in ``held`` or occur twice, ignoring case."""
    counts = Counter(slide_id.lower() for slide_id in ids)
    return [place for place, name in enumerate(map(str.lower, ids)) if counts[name] > 1 or name in held]


def _with_digest(stem: str, label: PurePath) -> str:
    text = os.fsencode(label.as_posix()).decode("utf-8", "surrogateescape")
    return f"{stem[: MOST_CHARACTERS - DIGEST_CHARACTERS - 1]}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:DIGEST_CHARACTERS]
