"""Whether the files of a slide are those whose MD5 slides.csv has."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hypoxia_hpc.errors import some_names
from hypoxia_hpc.reading import MOST_SLIDE_BYTES, UnfitFileError, open_plain
from hypoxia_hpc.slides.dicom import instances_of


@dataclass(frozen=True, slots=True)
class Compared:
    """``problem``: what is wrong, empty where nothing is. ``n_unsaid``: files of a DICOM series beyond the MD5 said."""

    problem: str = ""
    remedy: str = ""
    n_unsaid: int = 0


def compared_md5(path: Path, said: Collection[str]) -> Compared:
    """Read a slide's file whole, of a DICOM slide all files of its series, and look for each MD5 of ``said`` among
    theirs (32 hexadecimal digits, lower case)."""
    try:
        files = sorted({path, *(each.path for each in instances_of(path))})
        sums = {file: _md5_of(file) for file in files}
    except OSError as error:
        return Compared(f"{error.filename} cannot be read: {error.strerror}")
    except UnfitFileError as error:
        return Compared(error.problem, "mend its path in slides.csv")
    missing = sorted(set(said).difference(sums.values()))
    if not missing:
        return Compared(n_unsaid=len(files) - len(said))
    if len(files) == len(said) == 1:
        return Compared(f"MD5 {sums[path]}, slides.csv has {missing[0]}", "download it again")
    others = [file.name for file, md5 in sums.items() if md5 not in said]
    told = f"no file of the slide has the MD5 {some_names(missing)}, which slides.csv has"
    if len(others) <= len(missing):
        return Compared(f"{told}; files with another MD5: {some_names(others) or 'none'}", "download these files again")
    among = f"it is of one of these {len(others)}, and slides.csv does not have the MD5 of each: {some_names(others)}"
    return Compared(f"{told}; {among}", "download the files again that the manifest names")


def _md5_of(path: Path) -> str:
    with open_plain(path, MOST_SLIDE_BYTES) as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
