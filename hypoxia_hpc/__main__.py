"""The command line, begun: what may go wrong before there is anything to say it with.

An interrupt while it is being imported ends it quietly. Where the limit on memory (ulimit -v) is too small for the
libraries, these end in any way, a crash too; so the limit is looked at first.
"""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress

# To import numpy, pandas and numba takes 500 MB of address space.
LEAST_ADDRESS_BYTES = 2**29
EXIT_MACHINE = 4
TOO_SMALL = """error: this process may use {:,} MiB of memory (ulimit -v), and the libraries alone take {:,} MiB
remedy: raise the limit (ulimit -v unlimited), or ask for a job with more memory
"""


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_ADDRESS_BYTES:
        with suppress(OSError):  # it may be closed
            os.write(2, TOO_SMALL.format(allowed // 2**20, LEAST_ADDRESS_BYTES // 2**20).encode())
        raise SystemExit(EXIT_MACHINE)
    from hypoxia_hpc.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
