"""The file system that a folder lies on: its kind, what is free there, and what the user's quota leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.machine.programs import query_program

# Kinds of file system that other machines serve.
NETWORK = frozenset(
    "nfs nfs4 cifs smb3 lustre gpfs beegfs ceph glusterfs pvfs2 orangefs afs 9p virtiofs panfs wekafs ocfs2 gfs2 "  # noqa: SIM905
    "fuse.sshfs fuse.glusterfs fuse.ceph fuse.juicefs fuse.s3fs fuse.rclone".split()
)
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_ESCAPED = re.compile(r"\\([0-7]{3})", re.ASCII)
_USED = re.compile(r"(\d+)\*?", re.ASCII)
KIB = 1024


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system hangs in, and of which kind it is (``lustre``); empty texts where it is not known."""

    point: str
    kind: str

    @property
    def is_network(self) -> bool:
        return self.kind in NETWORK

    @property
    def is_memory(self) -> bool:
        return self.kind in IN_MEMORY


@dataclass(frozen=True, slots=True)
class Room:
    """What may still be written: bytes and files (inodes); None where there is no limit, or it is not known.
    ``source`` says who knows."""

    source: str
    nbytes: int | None
    files: int | None


def mount_of(folder: Path) -> Mount:
    """The file system of a folder, which need not exist yet."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return find_mount(os.path.realpath(folder), lines)


def find_mount(path: str, lines: Iterable[str]) -> Mount:
    """The innermost mount that holds ``path`` among the lines of /proc/mounts; of two at one place the later one."""
    best = Mount("", "")
    for line in lines:
        fields = line.split(" ")
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[1]) if len(fields) > 2 else ""
        if point and Path(path).is_relative_to(point) and len(point) >= len(best.point):
            best = Mount(point, fields[2])
    return best


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write there; 0 where that cannot be asked."""
    return free_room(folder).nbytes or 0


def free_room(folder: Path) -> Room:
    """What the file system has left for this user; some file systems count no inodes."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return Room("free", None, None)
    return Room("free", found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def quota_room(mount: Mount) -> Room | None:
    """What the user's quota leaves there; None where no program of this machine knows one."""
    if mount.kind == "lustre":
        answer, _ = query_program("lfs", "quota", "-q", "-u", str(os.getuid()), mount.point)
        return None if answer is None else parse_lfs_quota(answer)
    # Exit code 1: over quota.
    options = ("--no-wrap", "--raw-grace", "--show-mntpoint", "--hide-device")
    answer, _ = query_program("quota", *options, f"--filesystem={mount.point}", also=(1,))
    return None if answer is None else parse_quota(answer)


def parse_quota(text: str) -> Room | None:
    """``quota``'s line of one file system, without wrapping and with raw grace times: eight numbers at its end."""
    rows = [line.split()[-8:] for line in text.splitlines()[1:]]
    return next((room for row in rows if (room := _room("quota", row)) is not None), None)


def parse_lfs_quota(text: str) -> Room | None:
    """``lfs quota -q``: the file system, which may stand on a line of its own, and eight columns after it."""
    return _room("lfs quota", text.split()[1:9])


def _room(source: str, columns: list[str]) -> Room | None:
    """From KiB used, quota, limit, grace, and the same of files. A limit of 0 is none; the soft one counts, for it
    stops writing when its grace is over."""
    if len(columns) != 8:
        return None
    numbers = [_USED.fullmatch(column) for column in (*columns[:3], *columns[4:7])]
    if not all(numbers):
        return None
    used, soft, hard, used_files, soft_files, hard_files = (int(match[1]) for match in numbers if match)
    kib = _left(used, soft, hard)
    return Room(source, None if kib is None else kib * KIB, _left(used_files, soft_files, hard_files))


def _left(used: int, soft: int, hard: int) -> int | None:
    limits = [limit for limit in (soft, hard) if limit]
    return max(0, min(limits) - used) if limits else None
