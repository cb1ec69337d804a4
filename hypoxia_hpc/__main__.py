"""The command line, begun: what may go wrong before there is anything to say it with.

An interrupt while it is being imported ends it quietly. Where the limit on memory (ulimit -v) is too small for the
libraries, these end in any way, a crash too; where that on processes (ulimit -u) is, OpenBLAS interrupts the process as
a user would. So both are looked at first.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import threading
from contextlib import suppress

# To import numpy, pandas and numba takes 500 MB of address space.
LEAST_ADDRESS_BYTES = 2**29
EXIT_MACHINE = 4
TOO_SMALL = """error: this process may use {:,} MiB of memory (ulimit -v), and the libraries alone take {:,} MiB
remedy: raise the limit (ulimit -v unlimited), or ask for a job with more memory
"""
TOO_FEW = """error: this user may have {:,} processes and threads (ulimit -u), too few for {:,} of the libraries
remedy: raise the limit, end other processes of yours here, or set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1
"""
THREADS = "OPENBLAS_NUM_THREADS"
_COUNT = re.compile(r"[0-9]{1,6}")


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_ADDRESS_BYTES:
        _refuse(TOO_SMALL.format(allowed // 2**20, LEAST_ADDRESS_BYTES // 2**20))
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = os.environ.get(THREADS, "")
    # NumPy and SciPy bring an OpenBLAS each; a thread of pyarrow and one process come on top.
    n_threads = 2 * (int(wanted) if _COUNT.fullmatch(wanted) else len(os.sched_getaffinity(0)))
    if processes != resource.RLIM_INFINITY and not can_start(n_threads):
        _refuse(TOO_FEW.format(processes, n_threads))
    from hypoxia_hpc.cli.app import main as run

    run()


def can_start(n_threads: int) -> bool:
    """Whether the process may have as many more threads at once."""
    end, started = threading.Event(), list[threading.Thread]()
    try:
        for _ in range(n_threads):
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        end.set()
        for thread in started:
            thread.join()
    return True


def _refuse(said: str) -> None:
    with suppress(OSError):  # standard error may be closed
        os.write(2, said.encode())
    raise SystemExit(EXIT_MACHINE)


if __name__ == "__main__":
    main()
