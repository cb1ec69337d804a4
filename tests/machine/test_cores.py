"""The cores of a process are those that it may run on."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_process_bound_to_one_core_counts_one() -> None:
    core = min(os.sched_getaffinity(0))
    code = (
        "import os; from hypoxia_hpc.machine.cores import usable_cores\n"
        f"os.sched_setaffinity(0, {{{core}}}); print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
