"""Demo runs made by the real command, each once a session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demo_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``demo_of(seed, difference=None)`` is the folder of ``hypoxia-hpc demo`` with these numbers."""
    made: dict[tuple[int, float | None], Path] = {}

    def demo(seed: int, difference: float | None = None) -> Path:
        if (seed, difference) not in made:
            folder = tmp_path_factory.mktemp("demo") / "demo"
            options = ["--seed", str(seed)] + ([] if difference is None else ["--difference", str(difference)])
            done = subprocess.run(
                [sys.executable, "-m", "hypoxia_hpc", "demo", str(folder), *options],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-4000:]
            (folder / "said.txt").write_text(done.stdout)
            made[seed, difference] = folder
        return made[seed, difference]

    return demo
