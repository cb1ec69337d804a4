"""Where the viewer listens: a UNIX socket for its owner alone, or a port of the loopback."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypoxia_hpc.errors import MachineError

LOOPBACK = "127.0.0.1"
# Of the path of a UNIX socket, its closing zero included (sockaddr_un of linux/un.h).
MOST_PATH_BYTES = 108
SOCKET_NAME = "view.sock"
# Connections that wait to be taken.
MOST_WAITING = 1024
# The port on the user's own computer in the line that is printed.
TUNNEL_PORT = 8080


@contextmanager
def unix_socket() -> Iterator[tuple[socket.socket, Path]]:
    """A listening socket of mode 0600 in a new folder of mode 0700 among the temporary files, and its path; deleted
    afterwards. Raises MachineError."""
    folder = _new_folder()
    path = folder / SOCKET_NAME
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fsencode(path))
            path.chmod(0o600)
            listening.listen(MOST_WAITING)
            yield listening, path
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSPC, errno.EROFS):
            raise
        remedy = "set TMPDIR to a folder on this node's own disk, or use --port"
        raise MachineError(f"no socket can be made in {folder}: {error.strerror}", remedy=remedy) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    """Where the path of a socket has room: in $TMPDIR, or else in /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="hypoxia-view-"))
    if len(os.fsencode(folder / SOCKET_NAME)) < MOST_PATH_BYTES:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="hypoxia-view-", dir="/tmp"))


@contextmanager
def loopback_port(port: int) -> Iterator[socket.socket]:
    """A socket that listens on a port of this machine's loopback; 0: one that is free. Raises MachineError."""
    with socket.socket(socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
            listening.listen(MOST_WAITING)
        except OSError as error:
            raise _port_error(port, error) from None
        yield listening


def _port_error(port: int, error: OSError) -> MachineError:
    if error.errno == errno.EADDRINUSE:
        problem = f"port {port} is taken: another program of this machine listens there"
        return MachineError(problem, remedy="another port, or --port 0 for one that is free")
    if error.errno == errno.EACCES:
        return MachineError(f"port {port} is for root alone", remedy="a port above 1023, or --port 0")
    return MachineError(f"cannot listen on port {port}: {error.strerror}", remedy="--port 0")


def tunnel_command(path: Path, user: str, host: str) -> str:
    """What to type on one's own computer to reach a socket on this machine."""
    return f"ssh -N -L {TUNNEL_PORT}:{shlex.quote(str(path))} {user}@{host}"
