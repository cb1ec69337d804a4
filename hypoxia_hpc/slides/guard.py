"""OpenSlide's first look at a file whose header is not judged here, in a process that may fail.

What TIFF headers ask for is known before OpenSlide sees them (:mod:`hypoxia_hpc.slides.judging`). Of other formats it
is not: an index of 1 KB can ask for gigabytes, or lead in a ring. Such a file is opened on trial first
(:mod:`hypoxia_hpc.slides.trials`), and here only where that went well.

The limit on memory is one on address space (RLIMIT_AS). RLIMIT_DATA counts no mappings before Linux 4.7, and large
pieces of memory are mappings. A fork with one thread and no libraries but OpenSlide's has no address space that it does
not use.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.errors import MachineError, SlideError
from hypoxia_hpc.slides import trials

MOST_ASKED = 2
REMEDY = "see what was printed above, and whether this user may start more processes (ulimit -u) and has memory"
UNSAFE = "fetch the file again, leave it out, or convert it to a tiled TIFF where it is sound and merely large"
TOO_LONG = (signal.SIGXCPU, signal.SIGALRM)


@dataclass(frozen=True, slots=True)
class Limits:
    """What opening a slide may take. Of the 600 MB of a worker, 200 are there before, and 130 are OpenSlide's cache; a
    MIRAX index of 260,000 images takes 80, with photographs that overlap 290 at worst. Headers take milliseconds. The
    processor's time counts, so that a slow disk or a busy machine condemns no slide; the clock's is for a file that
    never answers, such as a pipe that an index names."""

    nbytes: int = 256 * 2**20
    cpu_seconds: int = 20
    seconds: int = 120


class TrialServer:
    """The process that tries, started when it is first needed, and again after it was killed. Several threads may
    ask at the same time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def outcome(self, path: Path) -> tuple[int, str]:
        """Exit code of the trial, or minus the number of the signal that ended it, and what was said. What takes too
        long by the clock is tried again: the job may have been suspended meanwhile. Raises MachineError."""
        code, said = -signal.SIGKILL, ""
        for _ in range(MOST_ASKED):
            answer = self._ask(os.fsencode(path))
            code, said = json.loads(answer) if answer else (-signal.SIGKILL, "the process of the trial was killed")
            if answer and code != -signal.SIGALRM:
                break
        return code, said

    def _ask(self, path: bytes) -> bytes:
        """The answer, nothing where the process was killed."""
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb") as answers:
            try:
                with self._lock:
                    self._send(path, theirs)
            finally:
                os.close(theirs)
            return answers.readline()

    def _send(self, path: bytes, answer: int) -> None:
        for _ in range(MOST_ASKED):
            if self._requests is None or self._owner != os.getpid():
                self._start()
            assert self._requests is not None  # noqa: S101 - just started
            try:
                socket.send_fds(self._requests, [path], [answer])
                return
            except (BrokenPipeError, ConnectionResetError):
                self.stop()
        raise MachineError("the process that opens slides on trial ends again and again", remedy=REMEDY)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        limits = [str(self.limits.nbytes), str(self.limits.cpu_seconds), str(self.limits.seconds)]
        # -P: the folder of the script has modules of the names of others.
        command = [sys.executable, "-P", trials.__file__, json.dumps(sys.path), *limits]
        # The process inherits what is held back here, so that a signal cannot end it while it is still importing.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, trials.FOR_THE_PARENT)
        try:
            process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)  # noqa: S603 - our own script
        except OSError as error:
            ours.close()
            raise MachineError(f"cannot start a process that opens slides on trial: {error}", remedy=REMEDY) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._owner, self._process, self._requests = os.getpid(), process, ours
        if ours.recv(len(trials.READY)) != trials.READY:
            self.stop()
            raise MachineError(
                f"the process that opens slides on trial did not begin: exit code {process.returncode}", remedy=REMEDY
            )

    def stop(self) -> None:
        """End the process, and wait for it; nothing in a fork of the process that started it."""
        if self._requests is not None and self._owner == os.getpid():
            self._requests.close()
            assert self._process is not None  # noqa: S101 - started with the socket
            self._process.wait()
        self._requests = None


SERVER = TrialServer(Limits())
atexit.register(SERVER.stop)


def require_openable(path: Path, server: TrialServer = SERVER) -> None:
    """Open a slide on trial.

    Raises:
        SlideError: ``unsafe-to-open`` where that takes too much memory or time, or ends the process.
        OpenSlideError: as opening it does.
        MachineError: no process can be started.
    """
    import openslide

    code, said = server.outcome(path)
    if code == trials.UNSUPPORTED:
        raise openslide.OpenSlideUnsupportedFormatError(said)
    if code == trials.REFUSED:
        raise openslide.OpenSlideError(said)
    if code != trials.OPENED:
        problem = _problem(code, said, server.limits)
        raise SlideError("unsafe-to-open", f"{path}: {problem}", remedy=UNSAFE)


def _problem(code: int, said: str, limits: Limits) -> str:
    if -code in TOO_LONG:
        return f"to open it takes more than {limits.cpu_seconds} s of a core, or {limits.seconds} s by the clock"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    last = said.strip().rpartition("\n")[2][-300:]
    within = f"within {limits.nbytes // 2**20} MiB"
    return f"OpenSlide cannot open it {within}, and ends with {how}{f': {last}' if last else ''}"
