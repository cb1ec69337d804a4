"""Exit codes, and the end of the program: what is said of it."""

from __future__ import annotations

import errno
import io
import resource
import tempfile
import traceback
from collections.abc import Sequence

import click

from hypoxia_hpc.cli.terminal import tell
from hypoxia_hpc.errors import HypoxiaError, Stopped

EXIT_BUG, EXIT_QUARANTINED, EXIT_MACHINE, EXIT_NOT_READY, EXIT_STOPPED = 1, 3, 4, 5, 75
# If several apply: 1, 2, 4, 75, 5, 3.
WORST_FIRST = (EXIT_BUG, 2, EXIT_MACHINE, EXIT_STOPPED, EXIT_NOT_READY, EXIT_QUARANTINED, 0)


def worst(codes: Sequence[int]) -> int:
    """The one of several that counts; 0 for none."""
    return min(codes, key=WORST_FIRST.index, default=0)


def tell_end(error: BaseException, where: str = "") -> int:
    """Say what ended the program, and where; its exit code."""
    if isinstance(error, click.ClickException):
        said = io.StringIO()
        error.show(said)
        tell(said.getvalue().removesuffix("\n"))
        return 2
    if isinstance(error, (KeyboardInterrupt, click.exceptions.Abort, Stopped)):
        tell(str(error) or f"stopped at once{where}; give the same command again")
        return EXIT_STOPPED
    if isinstance(error, HypoxiaError):
        tell(f"error{where}: {error}")
        if error.has_more:
            _tell_all(error.offending)
        return error.exit_code
    tell("".join(traceback.format_exception(error)))
    if why := _of_memory(error):
        tell(f"error{where}: {why}")
        return EXIT_MACHINE
    tell(f"This is a bug in hypoxia_hpc{where}, not in your input. Please report it with the lines above.")
    return EXIT_BUG


def _of_memory(error: BaseException) -> str:
    """Why it is no bug: memory ran out, or, within a limit on it, a library could not be loaded."""
    if isinstance(error, MemoryError):
        return "memory ran out\nremedy: fewer workers ([site] workers, --workers), or a machine or job with more memory"
    limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    starts_no_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    # A library that cannot be mapped has no number; any other of an OSError is about a file, not about memory.
    of_system = isinstance(error, OSError) and error.errno in (None, errno.ENOMEM, errno.EAGAIN)
    if starts_no_thread or (limited and (of_system or isinstance(error, (ImportError, SystemError)))):
        return "the limits of this process are too small (ulimit -v, ulimit -u)\nremedy: raise them, or ask for more"
    return ""


def _tell_all(offending: Sequence[str]) -> None:
    """Where all the items of a long list are: in a new file in the folder for temporary files."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="hypoxia-hpc-", suffix=".txt", delete=False) as file:
            file.writelines(f"{item}\n".encode("utf-8", "backslashreplace").decode() for item in offending)
    except OSError as error:  # a full disk must not hide what is wrong
        tell(f"no list of all {len(offending):,} could be written: {error.strerror}")
    else:
        tell(f"all {len(offending):,} are listed in {file.name}")
