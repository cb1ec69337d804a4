"""How kernels are compiled: without the GIL, and kept on this node's own disk, since compiling all of them takes some
seconds and every worker process would do it again.

Numba's cache races on network file systems and does not notice when a function in another file changes. So it lies in
the node's temporary folder, and the name of its folder holds a digest of all kernels' source. What lies in it is
executed, so the folder belongs to the user and no other user can write to it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import cast

import numba

PACKAGE = Path(__file__).parents[1]
# Rooms that have kernels, which call each other within a room.
ROOMS = ("analysis", "bench", "synthetic", "tiling")
# Where jobs of SLURM have them, whose temporary folders end with them.
CHOSEN = "HYPOXIA_HPC_KERNELS"
SCIPY_BLAS = "scipy.linalg.cython_blas"


def _cache_folder() -> Path | None:
    """The first folder that is safe: the chosen one, then one in the temporary folder. None where neither can be
    created, or other users could write to it."""
    usual = Path(tempfile.gettempdir()) / f"hypoxia_hpc-kernels-{os.getuid()}"
    chosen = [Path(os.environ[CHOSEN])] if os.environ.get(CHOSEN) else []
    return next((folder / _digest() for folder in (*chosen, usual) if _is_safe(folder)), None)


def _digest() -> str:
    """Of all kernels' source, and the compiler."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _is_safe(folder: Path) -> bool:
    """Whether only this user can write to it; it is created if missing."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _load_without_blas() -> None:
    """Numba's functions of arrays look for SciPy's BLAS as they load, before the first kernel, and with it comes all of
    scipy.linalg: a third of a second in each process. They need it for np.convolve and np.correlate alone, which no
    kernel has, and go on where there is none."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if SCIPY_BLAS in modules:
        return
    modules[SCIPY_BLAS] = None  # to import it is an ImportError
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del modules[SCIPY_BLAS]


_load_without_blas()
_FOLDER = _cache_folder()
if _FOLDER is not None and "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_FOLDER)

# Without a safe folder nothing is cached: Numba's own choice would be beside the source, often a network drive.
kernel = functools.partial(numba.njit, nogil=True, cache=bool(numba.config.CACHE_DIR))
