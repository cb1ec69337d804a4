"""Real slides, and the command line as users run it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
SHARED_SLIDES = REPOSITORY.parent / "shared" / "data" / "slides"

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def real_slide() -> Path:
    """CMU-1-Small-Region.svs, of the package: 2220 x 2967 px, 0.499 µm/px, one level."""
    return REPOSITORY / "hypoxia_hpc" / "slides" / "CMU-1-Small-Region.svs"


@pytest.fixture(scope="session")
def shared_slide() -> Callable[[str], Path]:
    """Path of one of the slides for running that are no part of the project; skips where it is not there."""

    def path_of(name: str) -> Path:
        path = SHARED_SLIDES / name
        if not path.exists():
            pytest.skip(f"{name} is not here")
        return path

    return path_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; skips where nobody may mount one, which takes root."""
    disk = tmp_path / "small-disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="session")
def hypoxia() -> Hypoxia:
    """Run ``python -m hypoxia_hpc ARGUMENTS`` to its end."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hypoxia_hpc", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)  # type: ignore[call-overload]

    return run
