"""ReFrame's checks pass on the live cluster, as jobs of SLURM in the image, and what it keeps can be compared."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from chains import Scheduler, own
from live_cluster import Completed

from hypoxia_hpc.synthetic.slides import slide_file_name, synthetic_cohort, write_synthetic_slide

CHECKS = Path(__file__).parents[2] / "benchmarks" / "reframe"
REFRAME = Path(sys.executable).with_name("reframe")
MINUTES = 10


@pytest.fixture(scope="module")
def folder(scheduler: Scheduler) -> Path:
    """With the checks, and eight slides, all the user's own."""
    folder = scheduler.cluster.folder / "reframe"
    shutil.copytree(CHECKS, folder / "checks")
    # Both checks run at once, on the same two cores: a share that this cannot push it below.
    (folder / "checks" / "references.py").write_text('SHARES = {"background": (60, -0.5)}\n')
    slides = folder / "slides"
    slides.mkdir()
    for name, _, slide in synthetic_cohort(8):
        write_synthetic_slide(slides / slide_file_name(name), slide)
    own(scheduler.cluster, folder)
    return folder


def reframe(scheduler: Scheduler, folder: Path, *words: str) -> Completed:
    settings = ["-C", folder / "checks" / "site_example.py", "--system=cluster:cpu", "--prefix", folder]
    environment = {"RFM_SQLITE_DB_FILE": str(folder / "figures.db")}
    return scheduler.cluster.run([REFRAME, *settings, *words], env=environment, timeout=MINUTES * 60, cwd=folder)


def test_a_figure_and_two_ranks_over_both_nodes_in_the_image(scheduler: Scheduler, folder: Path) -> None:
    scheduler.cluster.calm()
    asked = ["-n", "Figure.*=background$", "-n", "TilingByRanks.*=2$"]
    settings = ["-S", f"image={scheduler.image}", "-S", f"TilingByRanks.slides={folder / 'slides'}"]
    done = reframe(scheduler, folder, "-c", str(folder / "checks" / "checks.py"), "-r", *asked, *settings)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Ran 2/2 test case(s)" in said, said
    compared = reframe(scheduler, folder, "--performance-compare=now-1h:now/now-1h:now/median:/")
    assert compared.returncode == 0, compared.stderr
    assert "tiles/s" in compared.stdout
