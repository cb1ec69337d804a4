"""A slide's fingerprint: cheap to compute over a network drive, and equal wherever the file lies."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from hypoxia_hpc.errors import SlideError, missing_file, some
from hypoxia_hpc.reading import MOST_SLIDE_BYTES, UnfitFileError, open_plain
from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.companions import companions
from hypoxia_hpc.slides.dicom import may_be_dicom

END_BYTES = 2**20
BLOCK_BYTES = 64 * 2**10
N_BLOCKS = 16
# An image up to this size is read whole. The number of the rule is raised where the same images become other tiles.
WHOLE_BYTES = 4 * 2**20
IMAGES_RULE = b"images 1"
NO_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP})


def fingerprint(path: Path) -> str:
    """SHA-256 (hex) of the file's size, its first and last MiB and sixteen evenly spaced 64 KiB blocks; for formats of
    many files also their names and sizes, for a DICOM series all that of each of its files, whichever of them is
    named. Path and time do not enter.

    Raises:
        SlideError: ``missing-file``, ``no-permission``, ``not-a-slide`` (a folder, a pipe), ``unreadable``.
    """
    digest = hashlib.sha256()
    with slide_errors(path):
        _require_plain(path)
        others = companions(path)
        for file in others if others and may_be_dicom(path) else [path]:
            _add_sample(digest, file)
        for file in others:
            digest.update(f"{file.name}\0{file.stat().st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def fingerprint_of(slide: Slide) -> str:
    """The fingerprint of a slide's file; of a patient whose images lie in folders one of their paths below the folder,
    their order and content, where an image that cannot be read counts as such. Files of up to 4 MiB count whole.

    Raises:
        SlideError: as `fingerprint`; ``missing-file`` where none of the images is there.
    """
    if not slide.images:
        return fingerprint(slide.path)
    states = tuple(_state(slide.path / image) for image in slide.images)
    if (digest := _of_images(slide.path, slide.images, states)) is None:
        n = some(len(slide.images), "image")
        problem = f"none of {n} of patient {slide.patient_id} can be read below {slide.path}"
        raise SlideError("missing-file", problem, remedy="bring them back, or mend path in slides.csv")
    return digest


def _state(path: Path) -> tuple[int, ...]:
    """What changes with the file; empty where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=1)
def _of_images(folder: Path, images: tuple[str, ...], states: tuple[tuple[int, ...], ...]) -> str | None:
    """Once for images of these ``states``: the key of a store is made of it, and the store holds it, too. None where
    none of them can be read."""
    digest = hashlib.sha256(IMAGES_RULE)
    known = [_add_image(digest, folder, image) for image in images]
    return digest.hexdigest() if any(known) else None


def _add_image(digest: hashlib._Hash, folder: Path, image: str) -> bool:
    """Whether there is such a file, and it may be read."""
    digest.update(f"\0{image}\0".encode(errors="surrogateescape"))
    try:
        with slide_errors(folder / image), open_plain(folder / image, MOST_SLIDE_BYTES) as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{size}\n".encode())
            for offset, length in _ranges(size) if size > WHOLE_BYTES else [(0, size)]:
                file.seek(offset)
                digest.update(file.read(length))
    except SlideError as error:
        digest.update(f"unread: {error.reason}".encode())
        return False
    return True


def _add_sample(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"{size}\n".encode())
    with path.open("rb") as file:
        for offset, length in _ranges(size):
            file.seek(offset)
            digest.update(file.read(length))


@contextmanager
def slide_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system on a slide's file into SlideError, with the reasons of :func:`fingerprint`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise missing_file(path) from None
    except PermissionError as error:
        raise SlideError("no-permission", f"{path}: {error.strerror}", remedy="chmod it for this user") from None
    except UnfitFileError as error:
        raise SlideError("not-a-slide", error.problem, remedy="mend its path in slides.csv") from None
    except OSError as error:
        if error.errno in NO_NAME:
            raise _without_file(path, str(error.strerror)) from None
        raise SlideError("unreadable", f"{path}: {error.strerror}", remedy="check the file system") from None


def require_plain_file(path: Path) -> None:
    """Raises SlideError ``missing-file`` where there is no such file or no file can have that name, ``not-a-slide`` for
    a folder or a pipe, and as :func:`slide_errors`."""
    with slide_errors(path):
        try:
            _require_plain(path)
        except ValueError as error:  # a NUL
            raise _without_file(path, str(error)) from None


def _require_plain(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
        raise SlideError("not-a-slide", f"{path} is no plain file", remedy="mend its path in slides.csv")


def _without_file(path: Path, why: str) -> SlideError:
    return SlideError("missing-file", f"{path}: no file can have that name ({why})", remedy="mend slides.csv")


def _ranges(size: int) -> list[tuple[int, int]]:
    ranges = [(0, min(END_BYTES, size)), (max(0, size - END_BYTES), END_BYTES)]
    step = max(0, size - BLOCK_BYTES) // (N_BLOCKS - 1)
    return ranges + [(index * step, BLOCK_BYTES) for index in range(N_BLOCKS)]
