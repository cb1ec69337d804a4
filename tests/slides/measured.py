"""The command line in a Python of its own, and the memory it took."""

from __future__ import annotations

import subprocess
import sys


def command_line(*arguments: object, code: int) -> float:
    """Run hypoxia-hpc to its end, below a process of its own; the most memory (VmHWM, MiB) that a process took."""
    program = (
        "import resource, subprocess, sys; "
        "code = subprocess.run([sys.executable, '-m', 'hypoxia_hpc', *sys.argv[1:]], check=False).returncode; "
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1200)
    ended, most_kib = map(int, done.stdout.splitlines()[-1].split())
    assert ended == code, done.stderr[-4000:]
    return most_kib / 1024
