"""A process that opens slides on trial: each in a fork of its own, with a limit on memory and on time.

Started by :mod:`hypoxia_hpc.slides.guard` as a script, so that nothing but OpenSlide is imported: a fork of so small a
process takes a millisecond or two. Standard input is a socket: each message of it is a path with the descriptor of a
pipe, into which the answer is written, a line of JSON, [exit code of the fork or minus the number of its signal, what
it said]. When the socket ends, because the other process is gone, this one ends with all its forks.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openslide import OpenSlide

OPENED, UNSUPPORTED, REFUSED = 0, 3, 4
READY = b"ready"
MOST_PATH_BYTES = 2**16
MOST_SAID_BYTES = 4096
# The terminal and SLURM signal every process of a job; the process that asks decides what to do about it.
FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def serve(requests: socket.socket, limits: Sequence[int]) -> None:
    """Try what is asked for, many at a time, until the socket ends. ``limits``: of bytes of memory, of seconds of a
    core and by the clock."""
    import openslide  # noqa: F401 - once, for all forks

    trials: dict[int, Trial] = {}
    asked = requests.fileno()
    requests.send(READY)
    while True:
        for descriptor in select.select([asked, *trials], [], [])[0]:
            if descriptor != asked:
                if trials[descriptor].hear():
                    del trials[descriptor]
                continue
            path, answers, _, _ = socket.recv_fds(requests, MOST_PATH_BYTES, 1)
            if not path:
                for trial in trials.values():
                    os.kill(trial.pid, signal.SIGKILL)
                return
            trial = begin(path, answers[0], limits)
            trials[trial.said] = trial


def begin(path: bytes, answer: int, limits: Sequence[int]) -> Trial:
    """Fork, and open the slide there."""
    said, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(attempt(path, out, *limits))
    os.close(out)
    return Trial(pid, said, answer)


class Trial:
    """A fork that opens a slide: ``said`` is what it writes, ``answer`` where the outcome goes."""

    def __init__(self, pid: int, said: int, answer: int) -> None:
        self.pid, self.said, self._answer = pid, said, answer
        self._text = b""

    def hear(self) -> bool:
        """Take what it says; whether it has ended, and the answer is given."""
        more = os.read(self.said, MOST_SAID_BYTES)
        self._text = (self._text + more)[-MOST_SAID_BYTES:]
        if more:
            return False
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with suppress(BrokenPipeError):
            os.write(self._answer, json.dumps([code, self._text.decode("utf-8", "replace")]).encode() + b"\n")
        os.close(self.said)
        os.close(self._answer)
        return True


def attempt(path: bytes, out: int, most_bytes: int, most_cpu_seconds: int, most_seconds: int) -> int:
    """Open the slide, and read all of its header and a pixel of each level. What libraries and this process say goes
    to ``out``."""
    import openslide

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(out, 2)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_AS, address_space() + most_bytes)
    limit(resource.RLIMIT_CPU, most_cpu_seconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM, signal.SIGXCPU))
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(most_seconds)
    try:
        with openslide.OpenSlide(os.fsdecode(path)) as slide:
            _ = slide.level_dimensions, slide.level_downsamples, dict(slide.properties)
            read_a_pixel_of_each_level(slide)
    except openslide.OpenSlideUnsupportedFormatError:
        return UNSUPPORTED
    except openslide.OpenSlideError as error:
        os.write(out, str(error).encode(errors="replace")[:MOST_SAID_BYTES])
        return REFUSED
    return OPENED


def read_a_pixel_of_each_level(slide: OpenSlide) -> None:
    """Of a level whose tiles overlap by no number (an index may say so) that takes for ever. What does not decode is no
    matter of the header: who reads the slide says so."""
    import openslide

    with suppress(openslide.OpenSlideError):
        for level in range(slide.level_count):
            slide.read_region((0, 0), level, (1, 1))


def limit(kind: int, most: int) -> None:
    """Set a limit, within one that this process may not lift; that one stays, since at the other a signal says so."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def address_space() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    for number in FOR_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    sys.path[:] = json.loads(sys.argv[1])
    with socket.socket(fileno=0) as asked:
        serve(asked, [int(one) for one in sys.argv[2:]])
