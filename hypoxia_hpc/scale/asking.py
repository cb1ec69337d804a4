"""Asking another program: its answer or, in a sentence, why there is none. Never an error, never for long."""

from __future__ import annotations

import os
import shutil
import subprocess

PATIENCE_SECONDS = 10


def ask(
    program: str, *arguments: str, also: tuple[int, ...] = (), patience: float = PATIENCE_SECONDS
) -> tuple[str | None, str]:
    """What a program prints; or None, and why not in one line. Exit codes in ``also`` count as an answer too."""
    found = shutil.which(program)
    if found is None:
        return None, f"{program} is not on this machine"
    # SLURM's variables would change what its programs show.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_", "SINFO_"))}
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no argument that anybody else wrote
            [found, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=patience,
            stdin=subprocess.DEVNULL,
            env={**kept, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return None, f"{program} did not answer within {patience:g} s"
    except OSError as error:
        return None, f"{program}: {error.strerror}"
    if done.returncode and done.returncode not in also:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
        return None, said if said.startswith(program) else f"{program}: {said}"
    return done.stdout, ""
