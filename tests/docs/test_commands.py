"""Every command of the README and of docs/ is run, page by page, in a folder as a user might have it.

Two things stand in for what no machine of the tests has: slides and scores of a small synthetic cohort have the names
of the pages, and behind ``init`` run.toml is made small (a random network instead of the published weights).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fault_runs import SETTINGS, SIZE_PX, change_setting
from pages import DOCS, README, REPOSITORY, blocks, commands, pages

from hypoxia_hpc.synthetic.slides import synthetic_cohort, write_synthetic_slide

# Commands that need what is not in that folder, and the test that runs them.
RUN_ELSEWHERE = {
    "make demo": "tests/journey/test_journey.py",
    "make test": ".ci/run",
    "git clone https://github.com/OWNER/hypoxia_hpc && cd hypoxia_hpc": ".ci/run",
    "pip install '.[tensorflow]'": "Makefile",
    "hypoxia-hpc weights check": "tests/networks/backbones/test_check.py",
}
N_PATIENTS = 12
SCORES = "Buffa_hypoxia_score_pan_cancer\tBuffa_hypoxia_score_intra_tumour_type"


def write_cohort(folder: Path, n: int, seed: int) -> list[str]:
    """Slides with TCGA names; a line of the score table for each."""
    folder.mkdir()
    lines = []
    for number, (_, hypoxic, slide) in enumerate(synthetic_cohort(n, seed=seed)):
        barcode = f"TCGA-{'AB'[number % 2]}{seed}-{number:04d}"
        write_synthetic_slide(folder / f"{barcode}-01Z-00-DX1.svs", replace(slide, size_px=SIZE_PX))
        score = 10 if hypoxic else -10
        lines.append(f"{barcode.replace('-', '.')}\t{score}\t{score}\tBLCA")
    return lines


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    lines = write_cohort(tmp_path / "SLIDES", N_PATIENTS, 1)
    write_cohort(tmp_path / "OTHER_SLIDES", 2, 2)
    table = "\n".join([f"patient_id\t{SCORES}\ttumour_type", *lines])
    (tmp_path / "BhandariHypoxiaScores.txt").write_text(table + "\n")
    return tmp_path


def run_line(command: str, desk: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "EDITOR": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=desk, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    if re.match(r"hypoxia-hpc init RUN\b", command):
        for setting in SETTINGS:
            change_setting(desk / "RUN", *setting)


def test_commands_run_as_they_stand(desk: Path) -> None:
    """README first, then page by page; a line that stands on several pages is run once."""
    lines = dict.fromkeys(command for page in pages() for command in commands(page))
    for command in lines:
        if command not in RUN_ELSEWHERE:
            run_line(command, desk)
    for made in ("tiles", "features"):  # else no script would start a worker, which imports the script
        shutil.rmtree(desk / "RUN" / made)
    for number, code in enumerate([*blocks(README, "python"), *blocks(DOCS / "on-disk.md", "python")]):
        (desk / f"{number}.py").write_text(code.replace("P001", next((desk / "SLIDES").iterdir()).stem))
        run_line(f"python {number}.py", desk)


def test_what_runs_elsewhere_is_said_truly() -> None:
    written = {command for page in pages() for command in commands(page)}
    assert set(RUN_ELSEWHERE) <= written
    assert all((REPOSITORY / place).exists() for place in RUN_ELSEWHERE.values())
