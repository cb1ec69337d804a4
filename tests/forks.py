"""Commands as processes: in a fork of a server that has imported everything (``fork_server.py``), or in a Python of
their own."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).with_name("fork_server.py")
SOCKET = "HYPOXIA_TEST_FORKS"  # in the environment: of a server that several test workers share


@dataclass
class Forked:
    """A command in a fork of the server, which leads a process group; to be used as a ``subprocess.Popen``."""

    args: Sequence[str]
    pid: int
    log: Path
    connection: socket.socket
    returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or minus the number of the signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self.connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(_line(self.connection))
            self.connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Fresh(subprocess.Popen[bytes]):
    """A command in a Python of its own, which leads a process group."""

    def __init__(self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            super().__init__(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )


Process = Fresh | Forked


def fork(
    arguments: Sequence[str],
    log: Path,
    *,
    errors: Path | None = None,
    environment: Mapping[str, str] | None = None,
    fault: Mapping[str, str | int] | None = None,
) -> Forked:
    """``hypoxia-hpc ARGUMENT...`` in the folder and, by default, the environment of this process; what it says goes to
    the end of ``log``, or of ``errors``. Its worker processes are forks. Several threads may call it. What a library
    reads when it is imported ($KERAS_BACKEND, $OMP_NUM_THREADS) is as it was when the server started."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(_server())
    request = {
        "arguments": [*arguments],
        "folder": str(Path.cwd()),
        "environment": dict(os.environ if environment is None else environment),
        "fault": fault,
    }
    with log.open("ab") as output, (errors or log).open("ab") as other:
        socket.send_fds(connection, [b"\n"], [output.fileno(), other.fileno()])
    connection.sendall(json.dumps(request).encode() + b"\n")
    return Forked(arguments, int(_line(connection)), log, connection)


def _line(connection: socket.socket) -> str:
    """The next line, and nothing of what follows."""
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(1) or b"the server has ended\n"
    return line.decode()


@functools.cache
def _server() -> str:
    return os.environ.get(SOCKET) or start_server()


def start_server() -> str:
    """Start one; the path of its socket. It ends with this process. Whoever connects waits until it is ready."""
    folder = tempfile.mkdtemp(prefix="hypoxia-forks-")
    path = f"{folder}/socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen(64)
        command = [sys.executable, SERVER, f"{listening.fileno()}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listening.fileno()])

    def end() -> None:
        process.communicate()
        shutil.rmtree(folder)

    atexit.register(end)
    return path
