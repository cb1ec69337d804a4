"""DICOM whole-slide images: which files of a folder are one slide.

A slide is a series: its levels, and the parts of a level (a concatenation), are files of one folder with one
SeriesInstanceUID. Label and overview images may be of that series, too; no pixel of a slide comes from them.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from hypoxia_hpc.errors import SlideError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

WHOLE_SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
SLIDE_KIND = "VL Whole Slide Microscopy Image Storage"  # its name, see `kind_of`
TAGS = ("ImageType", "PatientID", "SeriesInstanceUID", "ConcatenationUID", "InConcatenationTotalNumber")
# Elements are in the order of their tags, and all of TAGS lie below: what comes after is not read.
FIRST_TAG_NOT_READ = 0x0028_0000
MATRIX_TAGS = ("TotalPixelMatrixColumns", "TotalPixelMatrixRows", "Columns", "Rows")
AFTER_MATRIX = 0x0048_0008
PREAMBLE_BYTES, MAGIC = 128, b"DICM"
# A folder that changed less than this ago may change again without another time.
SETTLED_NS = 2_000_000_000
_LOADING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Instance:
    """One file of a series. ``concatenation`` is empty for a level of one file; else ``n_parts`` files have it."""

    path: Path
    series: str
    patient_id: str
    is_volume: bool
    concatenation: str
    n_parts: int


class Matrix(NamedTuple):
    """Pixels of a level, and of each of its frames."""

    width: int
    height: int
    frame_width: int
    frame_height: int


def kind_of(path: Path) -> str:
    """What a DICOM file says that it holds (``CT Image Storage``; at the end ``, deflated`` where it is), empty for a
    file that is none. The rest of its header need not be sound."""
    try:
        if not begins_as_dicom(path):
            return ""
        ignore_odd_values()
        meta = loaded_pydicom().filereader.read_file_meta_info(path)
        is_deflated = meta.get("TransferSyntaxUID") == loaded_pydicom().uid.DeflatedExplicitVRLittleEndian
        return f"{meta.MediaStorageSOPClassUID.name}{', deflated' if is_deflated else ''}"
    except Exception:  # noqa: BLE001 - as in `read_instance`
        return ""


def claimed_matrices(path: Path) -> list[Matrix]:
    """What the headers of a file's series claim of the sizes of its levels; nothing for a file that is no DICOM slide,
    and of headers that do not say it. Raises OSError."""
    found = [_claimed_matrix(each.path) for each in instances_of(path)]
    return [matrix for matrix in found if matrix is not None]


def _claimed_matrix(path: Path) -> Matrix | None:
    try:
        header = read_header(path, MATRIX_TAGS, AFTER_MATRIX)
        return Matrix(*(int(header[name].value) for name in MATRIX_TAGS))
    except Exception:  # noqa: BLE001 - as in `read_instance`
        return None


def transfer_syntax_of(path: Path) -> str:
    """Its name. Raises whatever a damaged header leads to."""
    return str(loaded_pydicom().filereader.read_file_meta_info(path).TransferSyntaxUID.name)


def loaded_pydicom() -> ModuleType:
    """pydicom, loaded as a whole by one thread: its modules import each other, so that threads which begin with
    different ones find some that are half made."""
    with _LOADING:
        import pydicom.filereader
        import pydicom.uid
    return pydicom


def begins_as_dicom(path: Path) -> bool:
    """Whether it is a plain file (opening a pipe would wait for ever) with DICOM's mark. Raises OSError."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(PREAMBLE_BYTES + len(MAGIC))[PREAMBLE_BYTES:] == MAGIC


def may_be_dicom(path: Path) -> bool:
    """Whether a name may be a DICOM file's: ``.dcm``, no suffix, or one that is the last number of a UID."""
    suffix = path.suffix.lower()
    return suffix in ("", ".dcm") or suffix[1:].isdigit()


def volumes_of(path: Path) -> list[Instance]:
    """The VOLUME instances of the series that a file belongs to, by name; empty where it is no DICOM slide.

    Raises:
        SlideError: ``missing-file`` where parts of a concatenation are not there.
        OSError: the folder cannot be listed.
    """
    volumes = [each for each in instances_of(path) if each.is_volume]
    _refuse_incomplete(path, volumes)
    return volumes


def instances_of(path: Path) -> list[Instance]:
    """All instances of the series that a file belongs to, by name; empty where it is no DICOM slide. Raises OSError:
    the folder cannot be listed."""
    own = read_instance(path) if may_be_dicom(path) else None
    return [] if own is None else [each for each in instances_in(path.parent) if each.series == own.series]


def instances_in(folder: Path) -> tuple[Instance, ...]:
    """The whole-slide instances that lie in a folder, by name. Their headers are read once, and again where the folder
    changes. Raises OSError."""
    changed = folder.stat().st_mtime_ns
    if abs(time.time_ns() - changed) < SETTLED_NS:
        return _read_folder(folder, changed)
    return _known_folder(folder, changed)


def _read_folder(folder: Path, _changed: int) -> tuple[Instance, ...]:
    with os.scandir(folder) as entries:
        files = sorted(Path(entry.path) for entry in entries if entry.is_file())
    found = [read_instance(file) for file in files if may_be_dicom(file)]
    return tuple(each for each in found if each is not None)


_known_folder = lru_cache(maxsize=256)(_read_folder)


def read_instance(path: Path) -> Instance | None:
    """What the beginning of a file's header says, None where it is no whole-slide DICOM file that can be read."""
    try:
        if not begins_as_dicom(path):
            return None
        ignore_odd_values()
        return _instance(path, read_header(path, TAGS, FIRST_TAG_NOT_READ)) if _is_whole_slide(path) else None
    except Exception:  # noqa: BLE001 - a damaged header raises anything; OpenSlide says what is wrong with a slide
        return None


def _is_whole_slide(path: Path) -> bool:
    """By the first group of the header. A deflated file is none: OpenSlide does not read it, and looking into it would
    inflate all of it, to a thousand times its size."""
    meta = loaded_pydicom().filereader.read_file_meta_info(path)
    is_deflated = meta.get("TransferSyntaxUID") == loaded_pydicom().uid.DeflatedExplicitVRLittleEndian
    return meta.get("MediaStorageSOPClassUID") == WHOLE_SLIDE_IMAGE and not is_deflated


def ignore_odd_values() -> None:
    """Values that break a rule of DICOM are no reason for a warning: where they matter, the file is no slide, or
    OpenSlide says why it does not read it. Set each time, since both are state of the process that others may set."""
    pydicom = loaded_pydicom()
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom\.")


def read_header(path: Path, tags: Sequence[str], first_not_read: int) -> FileDataset:
    """Those of some elements that a header has before a tag. Raises whatever a damaged header leads to."""
    pydicom = loaded_pydicom()
    with path.open("rb") as file:
        header: FileDataset = pydicom.filereader.read_partial(
            file,
            lambda tag, _vr, _length: tag >= first_not_read,
            specific_tags=[pydicom.tag.Tag(name) for name in tags],
        )
    return header


def _instance(path: Path, header: FileDataset) -> Instance:
    patient_id = str(header.get("PatientID") or "").strip()
    return Instance(
        path=path,
        series=str(header.SeriesInstanceUID),
        patient_id=patient_id if patient_id.isprintable() else "",
        is_volume="VOLUME" in (header.get("ImageType") or ()),
        concatenation=str(header.get("ConcatenationUID") or ""),
        n_parts=int(header.get("InConcatenationTotalNumber") or 1),
    )


def _refuse_incomplete(path: Path, volumes: Sequence[Instance]) -> None:
    parts: dict[str, list[Instance]] = defaultdict(list)
    for each in volumes:
        parts[each.concatenation].append(each)
    for concatenation, there in parts.items():
        if concatenation and len(there) < there[0].n_parts:
            raise SlideError(
                "missing-file",
                f"{path}: of the {there[0].n_parts} parts of concatenation {concatenation} {len(there)} are there",
                remedy="fetch the whole series again",
            )
