"""The checks for ReFrame know their cases, pass where their references hold, and fail where one does not."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from hypoxia_hpc.bench.cases.registry import CASES

CHECKS = Path(__file__).parents[2] / "benchmarks" / "reframe"
# The first is reached by any machine, the second by none.
REFERENCES = 'SHARES = {"averaging": (1, -0.9), "background": (100_000, -0.1)}\n'


def test_every_reference_is_of_a_case_that_is_there() -> None:
    shares = runpy.run_path(str(CHECKS / "references.py"))["SHARES"]
    assert set(shares) == {case.name for case in CASES if case.is_quick}


def test_a_share_below_its_reference_is_a_failure(tmp_path: Path) -> None:
    checks = tmp_path / "checks"
    shutil.copytree(CHECKS, checks, ignore=shutil.ignore_patterns("__pycache__"))
    (checks / "references.py").write_text(REFERENCES)
    settings = ["-C", checks / "site_example.py", "--system=local", "--prefix", tmp_path]
    done = subprocess.run(
        [Path(sys.executable).with_name("reframe"), *settings, "-c", checks / "checks.py", "-r"],
        capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path, env=environment(tmp_path),
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Ran 2/5 test case(s) from 5 check(s) (1 failure(s), 0 expected failure(s), 3 skipped" in said
    assert "failed to meet reference(s): share=" in said
    failed = [line for line in said.splitlines() if "FAIL" in line and "Figure" in line]
    assert failed
    assert all("background" in line for line in failed)


def environment(folder: Path) -> dict[str, str]:
    """With the programs of this Python, and the checkout that is tested for all of them."""
    found = [path for path in sys.path if path]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    database = {"RFM_SQLITE_DB_FILE": str(folder / "figures.db"), "RFM_COLORIZE": "no", "TMPDIR": str(folder)}
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(found), **database}
