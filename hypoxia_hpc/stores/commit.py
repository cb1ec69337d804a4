"""The only place that fsyncs, renames and deletes in a run directory.

Every file and folder is first written under a unique ``.tmp-<name>-<host>-<pid>-<random>`` beside its target (so on the
same file system), fsynced with every folder in it, and only then renamed. Whenever a job is killed, the target's name
is either absent or names a whole file or folder. There are no lock files. A killed job leaves its ``.tmp-*`` behind,
and perhaps an ``.old-*``; :func:`remove_leftovers` clears them up, and :func:`discard_unfinished` what a worker process
left whose parent still lives.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.stores.sealing import seal

RUN_FILE = "run.toml"
DAY_SECONDS = 24 * 60 * 60
LEFTOVER_NAME = re.compile(r"\.(?:tmp|old)-.+-(?P<host>[^-]+)-(?P<pid>[0-9]{1,7})-[0-9a-f]{8}")
_RUN_AGAIN = "then run the same command again; what is done stays done"
_NO_SPACE = ("the disk is full", f"free space there or choose another disk, {_RUN_AGAIN}")
_READ_ONLY = ("it cannot be written or read here", f"mount it writable or mend its permissions, {_RUN_AGAIN}")
_CANNOT = ("this file system cannot do it", f"have the run on another disk (copy it there as it is), {_RUN_AGAIN}")
_GONE = ("its disk or network file system does not answer", f"look at the mount and the server, {_RUN_AGAIN}")
_FILE_IN_THE_WAY = ("a file is where a folder has to be", f"move it away, {_RUN_AGAIN}")
# errno -> (the rule that is broken, the remedy). Any other OSError is a bug, not a state of the machine.
_MACHINE_ERRORS = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: ("the quota (bytes or inodes) is used up", f"free some of it or ask for more, {_RUN_AGAIN}"),
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EFBIG: ("the file is larger than this file system or a limit (ulimit -f) allows", "choose another disk"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter run directory or slide_id"),
    errno.EIO: ("the disk reports an error", f"check it or choose another, {_RUN_AGAIN}"),
    **dict.fromkeys((errno.EXDEV, errno.ENOTSUP, errno.ENOSYS), _CANNOT),  # as an overlay that renames no folder
    **dict.fromkeys((errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO, errno.ETIMEDOUT), _GONE),
    errno.ESTALE: ("the network file system lost it", f"check the mount, {_RUN_AGAIN}"),
    errno.EISDIR: ("a folder is where a file has to be", f"move it away, {_RUN_AGAIN}"),
    errno.ENOMEM: ("memory ran out", f"fewer workers, or a machine or job with more memory, {_RUN_AGAIN}"),
    errno.EAGAIN: ("no more processes or threads are allowed", f"raise the limit (ulimit -u), {_RUN_AGAIN}"),
    errno.EMFILE: ("too many files are open", f"raise the limit (ulimit -n), {_RUN_AGAIN}"),
    errno.ENFILE: ("too many files are open on this machine", f"close some, {_RUN_AGAIN}"),
    errno.ELOOP: ("a symbolic link leads to itself", f"mend the link, {_RUN_AGAIN}"),
    errno.ENOTDIR: _FILE_IN_THE_WAY,
    errno.EEXIST: _FILE_IN_THE_WAY,
}


@contextmanager
def machine_errors(path: Path) -> Iterator[None]:
    """Turn an OSError caused by the machine (disk full, quota, read-only, ...) into a MachineError.

    ``path`` is named where the OSError itself names none. Other OSErrors pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS:
            raise
        rule, remedy = _MACHINE_ERRORS[error.errno]
        raise MachineError(f"{error.filename or path}: {rule} ({error.strerror})", remedy=remedy) from error


def committed_file(target: Path, data: bytes, *, durable: bool = True) -> None:
    """Make ``target`` a file of these bytes, replacing an older one, all or nothing; with ``durable`` off a crash of
    the machine, not of a process, may lose it. Raises MachineError."""
    with committing_file(target, durable=durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def committing_file(target: Path, *, durable: bool = True, entry_durable: bool = True) -> Iterator[Path]:
    """Yield the name of a file to write; when the block ends well it becomes ``target``, replacing an older one,
    otherwise it vanishes. ``durable`` as in :func:`committed_file`; with ``entry_durable`` off that holds after
    :func:`sync_folders`, once for many files. Raises MachineError, for the block's own OSErrors too."""
    with machine_errors(target):
        make_folder(target.parent)
        temporary = _unique_beside(target, "tmp")
        try:
            with making(temporary):
                yield temporary
            if durable:
                _fsync(temporary)
            os.replace(temporary, target)  # noqa: PTH105 - the fault tests count calls of os.replace and os.rename
        finally:
            _discard(temporary)
        if durable and entry_durable:
            _fsync(target.parent)


@contextmanager
def making(path: Path) -> Iterator[None]:
    """Around what makes ``path`` in a folder that is there: where no such file or folder is said of ``path`` itself,
    nothing can be made there, as below /proc. Said of any other file it is no state of the machine, and passes.
    Raises MachineError."""
    try:
        yield
    except FileNotFoundError as error:
        if str(error.filename) != str(path):
            raise
        raise MachineError(
            f"nothing can be made in {path.parent} ({error.strerror})", remedy="choose a folder on a disk"
        ) from error


def require_writable(target: Path) -> None:
    """Try whether :func:`committed_file` can write there; the folder is made, and no file stays. Raises
    MachineError."""
    with machine_errors(target):
        make_folder(target.parent)
        temporary = _unique_beside(target, "tmp")
        with making(temporary):
            temporary.touch()
        _discard(temporary)


def sync_folders(folders: Iterable[Path]) -> None:
    """Make the names of the files in these folders durable. Raises MachineError."""
    for folder in sorted(folders):
        with machine_errors(folder):
            _fsync(folder)


@contextmanager
def committing_directory(target: Path, is_same: Callable[[Path], bool], *, sealed: bool = True) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends well it becomes ``target``, otherwise it vanishes.

    ``is_same`` as in :func:`commit_directory`. ``sealed``: with SHA256SUMS of all files; off where another document
    says what was written. Raises MachineError, for the block's own OSErrors too.
    """
    with temporary_directory(target) as folder, machine_errors(target):
        yield folder
        if sealed:
            seal(folder)
        commit_directory(folder, target, is_same)


@contextmanager
def temporary_directory(target: Path) -> Iterator[Path]:
    """Yield a new empty folder beside ``target``; whatever is left of it afterwards is deleted. Raises MachineError."""
    with machine_errors(target):
        make_folder(target.parent)
        folder = _unique_beside(target, "tmp")
        folder.mkdir()
    try:
        yield folder
    finally:
        _discard(folder)


def commit_directory(folder: Path, target: Path, is_same: Callable[[Path], bool]) -> None:
    """Give ``folder`` (from :func:`temporary_directory`) the name ``target``, after fsync of all that is in it.

    Where ``target`` exists already, ``is_same(target)`` decides: if true, ``folder`` is left for its context to
    delete; if false, the old target is replaced. Another writer may remove ``target`` during that call, so it has to
    return false, and not raise, for a target that cannot be read. Raises MachineError.
    """
    with machine_errors(target):
        for parent, _, files in os.walk(folder, topdown=False):
            for name in files:
                _fsync(Path(parent, name))
            _fsync(Path(parent))
        replaced = _move_in(folder, target, is_same)
        _fsync(target.parent)
    for old in replaced:
        _discard(old)


def remove_directory(folder: Path) -> None:
    """Delete a folder with all that is in it, where it is there; a kill may leave a part of it. Raises MachineError."""
    _refuse_leading_out(folder.parent)
    with machine_errors(folder), suppress(FileNotFoundError):
        _delete(folder)


def discard_unfinished(target: Path, pid: int) -> None:
    """Delete as far as possible what process ``pid`` of this host, which has ended, wrote beside ``target`` to become
    it."""
    prefix = f".tmp-{target.name}-{_host()}-{pid}-"
    with suppress(OSError):
        for path in [path for path in target.parent.iterdir() if path.name.startswith(prefix)]:
            _discard(path)


def leftovers(run_dir: Path) -> list[Path]:
    """What killed jobs left under ``run_dir``: ``.tmp-*`` and ``.old-*`` not written to for a day, their process gone.

    Whether a process of another host still runs cannot be found out; there the age alone decides. Finished stores
    (``*.zarr``) are not searched, symbolic links not followed.
    """
    found = []
    for parent, folders, files in os.walk(run_dir):
        names = [name for name in (*folders, *files) if LEFTOVER_NAME.fullmatch(name)]
        found += [Path(parent, name) for name in names if _is_abandoned(Path(parent, name))]
        folders[:] = [name for name in folders if name not in names and not name.endswith(".zarr")]
    return sorted(found)


def remove_leftovers(run_dir: Path) -> list[Path]:
    """Delete the :func:`leftovers` of ``run_dir`` and return them. Raises MachineError."""
    found = leftovers(run_dir)
    for path in found:
        with machine_errors(path), suppress(FileNotFoundError):  # another process cleans up too
            _delete(path)
    return found


def _move_in(folder: Path, target: Path, is_same: Callable[[Path], bool]) -> list[Path]:
    """Rename ``folder`` to ``target``, and return the older targets that were moved away for it."""
    replaced: list[Path] = []
    # Every round returns here or moves another writer's target away. Each writer moves in only once, so this ends.
    while True:
        try:
            os.rename(folder, target)  # noqa: PTH104
            return replaced
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        if is_same(target):
            return replaced
        old = _unique_beside(target, "old")
        with suppress(FileNotFoundError):  # another writer moved it away just now
            os.rename(target, old)  # noqa: PTH104
            replaced.append(old)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents, each entry durable. Raises MachineError where it lies in a run behind a
    symbolic link that leads out of it; OSError."""
    _refuse_leading_out(folder)
    _make_folder(folder)


def _refuse_leading_out(folder: Path) -> None:
    """Who may write into a run must not choose by a link what else of this user's is written or deleted."""
    places = (folder, *folder.parents)
    for number, run in enumerate(places):
        if not os.path.lexists(run / RUN_FILE):
            continue
        inside = os.path.realpath(run)
        for link in (place for place in places[:number] if place.is_symlink()):
            if not Path(os.path.realpath(link)).is_relative_to(inside):
                raise MachineError(
                    f"{link} is a symbolic link that leads out of the run, to {link.readlink()}: nothing goes there",
                    remedy=f"put a folder in its place (to have it on another disk, make the run there), {_RUN_AGAIN}",
                )


def _make_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents, each entry durable."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with making(folder):
        folder.mkdir(exist_ok=True)
    _fsync(folder.parent)


def _unique_beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{kind}-{target.name}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname()) or "_"


def _fsync(path: Path) -> None:
    # Linux writes back all dirty pages of a file, whichever descriptor fsync is called on: a read-only one is enough.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _discard(path: Path) -> None:
    """Delete as far as possible: what stays (an open file on NFS, a dead disk) is a leftover, and no reason to fail."""
    with suppress(OSError):
        _delete(path)


def _is_abandoned(path: Path) -> bool:
    match = LEFTOVER_NAME.fullmatch(path.name)
    if match is None or (match["host"] == _host() and _is_alive(int(match["pid"]))):
        return False
    return time.time() - _last_written(path) > DAY_SECONDS


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs and belongs to another user
        return True
    return True


def _last_written(path: Path) -> float:
    """Newest modification time of a file or of anything in a folder; a file that vanishes meanwhile counts as new."""
    try:
        return max(entry.lstat().st_mtime for entry in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()
