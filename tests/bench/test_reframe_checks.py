"""The checks for ReFrame know their cases, pass where their references hold, and fail where one does not."""

from __future__ import annotations

import os
import runpy
import shlex
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
    done = reframe(tmp_path, checks, "-r")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Ran 2/5 test case(s) from 5 check(s) (1 failure(s), 0 expected failure(s), 3 skipped" in said
    assert "failed to meet reference(s): share=" in said
    failed = [line for line in said.splitlines() if "FAIL" in line and "Figure" in line]
    assert failed
    assert all("background" in line for line in failed)


def test_folders_and_images_with_blanks_are_one_word_of_the_job(tmp_path: Path) -> None:
    slides, image = "/data/my slides", "/data/the image.sif"
    settings = ("-S", f"TilingByRanks.slides={slides}", "-S", f"TilingByRanks.image={image}")
    done = reframe(tmp_path, CHECKS, "-n", "TilingByRanks", *settings, "--dry-run", "--keep-stage-files")
    assert done.returncode == 0, done.stdout + done.stderr
    scripts = [path.read_text() for path in tmp_path.rglob("rfm_job.sh")]
    assert len(scripts) == 3, "1, 2 and 4 ranks"
    for script in scripts:
        lines = [shlex.split(line) for line in script.splitlines() if "apptainer" in line]
        assert [line[line.index("hypoxia-hpc") + 1] for line in lines] == ["init", "tile", "tile", "status"]
        assert all(image in line for line in lines)
        assert all(slides in line or f"-B{slides}:{slides}" in line for line in lines)
        assert lines[0][lines[0].index("--slides") + 1] == slides


def reframe(folder: Path, checks: Path, *options: str) -> subprocess.CompletedProcess[str]:
    settings = ["-C", checks / "site_example.py", "--system=local", "--prefix", folder, "-c", checks / "checks.py"]
    return subprocess.run(
        [Path(sys.executable).with_name("reframe"), *settings, *options],
        capture_output=True, text=True, check=False, timeout=300, cwd=folder, env=environment(folder),
    )  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    """With the programs of this Python, and the checkout that is tested for all of them."""
    found = [path for path in sys.path if path]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    database = {"RFM_SQLITE_DB_FILE": str(folder / "figures.db"), "RFM_COLORIZE": "no", "TMPDIR": str(folder)}
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(found), **database}
