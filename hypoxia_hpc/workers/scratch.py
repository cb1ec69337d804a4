"""Staging: a slide is copied to a disk of the node itself, read there, and deleted.

A copy lies in a folder of its own, ``<scratch>/hypoxia-hpc-<host>-<pid>-<random>-<random>``, ``pid`` being the process
whose workers read it. The worker holds that folder locked while it reads. The kernel lets go of the lock when the
worker ends, however it ends: so a later process on this host knows which copies no process uses, also where
containers have process numbers of their own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from hypoxia_hpc.config import SiteTable
from hypoxia_hpc.errors import MachineError, SlideError
from hypoxia_hpc.machine.disks import free_bytes
from hypoxia_hpc.reading import MOST_SLIDE_BYTES, open_plain
from hypoxia_hpc.slides.companions import companions
from hypoxia_hpc.slides.fingerprint import slide_errors

COPY_BYTES = 8 * 2**20
# A folder is locked right after it is made; and a file system without locks leaves only its age.
NEW_SECONDS, DAY_SECONDS = 60, 24 * 60 * 60
# What slurm/job.bash makes for each job, and points TMPDIR at.
_OF_A_JOB = re.compile(r"hypoxia-[0-9]+", re.ASCII)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_RUN_AGAIN = "then run the same command again; what is done stays done"


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where slides are staged, and the beginning of the names of one process' folders there."""

    folder: Path
    prefix: str


@contextmanager
def staging(folder: Path | None) -> Iterator[Scratch | None]:
    """Make ``folder`` ready for the copies of this process' workers; None for a stage that reads slides where they lie.

    What killed jobs left on this host, there or in folders of their own beside it, is removed before; what killed
    workers left, after. Raises MachineError.
    """
    if folder is None:
        yield None
        return
    try:
        # The last part of it may be missing, as on a node that was never used; a missing disk is not made up.
        folder.mkdir(mode=0o700, exist_ok=True)
        _remove_abandoned(folder)
    except OSError as error:
        raise _unusable(folder, error) from error
    scratch = Scratch(folder, f"{_of_this_host()}{os.getpid()}-{secrets.token_hex(4)}-")
    try:
        yield scratch
    finally:
        for left in folder.glob(f"{scratch.prefix}*"):
            shutil.rmtree(left, ignore_errors=True)


def scratch_folder(site: SiteTable, root: Path) -> Path:
    """[site] scratch with $NAMES and ~ filled in, relative to the run directory ``root``; the temporary folder without
    it, and where that lies in it: the job's own. Raises MachineError for a name that is not set here."""
    temporary = Path(tempfile.gettempdir())
    if site.scratch is None:
        return temporary
    filled = os.path.expandvars(site.scratch)
    if "$" in filled:
        raise MachineError(
            f"[site] scratch = {site.scratch!r}: {filled!r} has a $NAME that is not set here ({platform.node()})",
            remedy="set it in the job, or name a folder that every node has",
        )
    folder = root.absolute() / Path(filled).expanduser()
    return temporary if temporary.is_relative_to(folder) else folder


@contextmanager
def staged(path: Path, scratch: Scratch | None) -> Iterator[Path]:
    """The copy of a slide and of all files that belong to it, or the slide itself where ``scratch`` is None.

    Raises:
        MachineError: scratch is full or not writable.
        SlideError: the slide cannot be read; what is raised inside, with the slide's own path in place of the copy's.
    """
    if scratch is None:
        yield path
        return
    folder = _new_folder(scratch)
    lock = _locked(folder)
    try:
        _copy_all(path, folder, scratch.folder)
        yield folder / path.name
    except SlideError as error:
        raise SlideError(
            error.reason, error.problem.replace(str(folder), str(path.parent)), remedy=error.remedy
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _new_folder(scratch: Scratch) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=scratch.prefix, dir=scratch.folder))
    except OSError as error:
        raise _unusable(scratch.folder, error) from error


def _unusable(folder: Path, error: OSError) -> MachineError:
    return MachineError(
        f"scratch {folder} on {platform.node()} cannot be used ({error.strerror}; {free_bytes(folder):,} bytes free)",
        remedy=f"set [site] scratch to a folder that this user may write on every node, or stage_slides = false, "
        f"{_RUN_AGAIN}",
    )


def _locked(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # a file system without locks: its age alone tells
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _copy_all(path: Path, folder: Path, scratch: Path) -> None:
    with slide_errors(path):
        files = sorted({path, *companions(path)})
        sizes = {file: file.stat().st_size for file in files}
    needed, free = sum(sizes.values()), free_bytes(scratch)
    if needed > free:
        raise _full(scratch, path, needed)
    for file, size in sizes.items():
        _copy(file, folder / file.relative_to(path.parent), scratch, needed)
        if (folder / file.relative_to(path.parent)).stat().st_size != size:
            raise SlideError(
                "slide-changed", f"{file} had {size:,} bytes, and others while it was copied", remedy="run tile again"
            )


def _copy(file: Path, target: Path, scratch: Path, needed: int) -> None:
    """In large blocks. Reading and writing apart: one is the slide's fault, the other the scratch's."""
    with slide_errors(file):
        source = open_plain(file, MOST_SLIDE_BYTES).detach()
    try:
        target.parent.mkdir(exist_ok=True)
        with source, target.open("wb") as copy:
            for block in _blocks(source, file):
                copy.write(block)
    except OSError as error:
        raise _full(scratch, file, needed) if error.errno in _FULL else _unusable(scratch, error) from error


def _blocks(source: RawIOBase, file: Path) -> Iterator[memoryview]:
    block = memoryview(bytearray(COPY_BYTES))
    while True:
        with slide_errors(file):
            n = source.readinto(block)
        if not n:
            return
        yield block[:n]


def _full(scratch: Path, slide: Path, needed: int) -> MachineError:
    return MachineError(
        f"scratch {scratch} on {platform.node()} is full: {slide} needs {needed:,} bytes there, "
        f"{free_bytes(scratch):,} are free",
        remedy="free space there, set [site] scratch to a larger disk, take fewer [site] workers (each has one slide "
        f"there) or stage_slides = false, {_RUN_AGAIN}",
    )


def _of_this_host() -> str:
    return f"hypoxia-hpc-{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}-"


def _remove_abandoned(folder: Path) -> None:
    """Remove copies on this host that no process of this user holds any more: here, and where jobs that crashed kept
    theirs. The folders of those jobs stay: one may be starting again, and has no lock while it stages nothing."""
    others = folder.parent if _OF_A_JOB.fullmatch(folder.name) else folder
    jobs = [Path(entry.path) for entry in _our_folders(others) if _OF_A_JOB.fullmatch(entry.name)]
    for place in dict.fromkeys([folder, *jobs]):
        copies = [Path(entry.path) for entry in _our_folders(place) if entry.name.startswith(_of_this_host())]
        for copy in filter(_is_abandoned, copies):
            shutil.rmtree(copy, ignore_errors=True)


def _our_folders(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if _is_ours(entry)]
    except OSError:  # a job ends and its folder goes; or it may not be listed
        return []


def _is_ours(entry: os.DirEntry[str]) -> bool:
    """A folder of this user, no link to one: a shared /tmp may hold what another user put there under this name."""
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    except OSError:  # it has gone
        return False


def _is_abandoned(folder: Path) -> bool:
    try:
        age = time.time() - folder.stat().st_mtime
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return age > DAY_SECONDS
    else:
        return age > NEW_SECONDS
    finally:
        os.close(descriptor)
