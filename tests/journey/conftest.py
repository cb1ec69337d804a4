"""Demo runs made by the real command, each once for all test workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from once import made_once


@pytest.fixture(scope="session")
def demo_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``demo_of(seed, difference=None)`` is the folder of ``hypoxia-hpc demo`` with these numbers."""

    def demo(seed: int, difference: float | None = None) -> Path:
        options = ["--seed", str(seed)] + ([] if difference is None else ["--difference", str(difference)])

        def make(folder: Path) -> None:
            done = subprocess.run(
                [sys.executable, "-m", "hypoxia_hpc", "demo", str(folder / "demo"), *options],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-4000:]
            (folder / "demo" / "said.txt").write_text(done.stdout)

        return made_once(tmp_path_factory, f"demo{''.join(options)}", make) / "demo"

    return demo
