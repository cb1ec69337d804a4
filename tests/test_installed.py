"""The wheel is whole: installed where nothing else of the repository is, it writes job scripts, has the recipes of
images with all that they name, works, and completes its verbs in a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hypoxia_hpc.machine.shipped import PACKAGE, shipped

ROOT = Path(__file__).parents[1]
MINUTES = 5
KEEP_THE_TREE = """
import shutil
from hypoxia_hpc.machine.shipped import source_tree
with source_tree() as tree:
    shutil.copytree(tree, "tree")
"""


def own_environment() -> dict[str, str]:
    """Without what would lead Python to the repository."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


class Installed:
    """An environment that holds the wheel and nothing else: no library, and no pip."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        wheels = folder / "wheels"
        build = [sys.executable, "-m", "build", "--outdir", wheels, ROOT]  # as `make dist` does
        subprocess.run(build, check=True, timeout=60 * MINUTES, capture_output=True)
        (self.wheel,) = wheels.glob("hypoxia_hpc-*.whl")
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        (self.site,) = (folder / "venv" / "lib").glob("python3*/site-packages")
        self.package = self.site / "hypoxia_hpc"
        self.install("--no-deps", "--no-index", self.wheel)

    def install(self, *words: str | Path) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.folder / "venv" / "bin" / "python", "install", "--quiet"]
        subprocess.run([*pip, *words], check=True, timeout=60 * MINUTES, env=own_environment())

    def borrow_libraries(self) -> None:
        """From the environment in which the tests run. They come behind its own folder; a .pth file inside the other
        one is not read there, so an editable install stays out."""
        borrowed = "\n".join(path for path in sys.path if path.endswith("site-packages"))
        (self.site / "libraries.pth").write_text(borrowed)

    def runs(
        self, *command: str | Path, code: int = 0, minutes: float = MINUTES, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        environment = own_environment() | settings
        done = subprocess.run(
            [self.folder / "venv" / "bin" / command[0], *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=environment,
            timeout=60 * minutes,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = Installed(tmp_path_factory.mktemp("installed"))
    made.borrow_libraries()
    return made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with the libraries that pip finds for it, as a user has it."""
    made = Installed(tmp_path_factory.mktemp("alone"))
    made.install(f"{made.wheel}[tensorflow]")
    return made


def test_the_wheel_is_what_runs(installed: Installed) -> None:
    where = installed.runs("python", "-c", "import hypoxia_hpc; print(hypoxia_hpc.__file__)").stdout
    assert Path(where.strip()).parent == installed.package
    assert "One stage at a time:" in installed.runs("hypoxia-hpc", "--help").stdout


def test_job_scripts_are_written_once(installed: Installed) -> None:
    folder = installed.folder / "my jobs"
    assert "site.sh" in installed.runs("hypoxia-hpc", "slurm", folder).stdout
    for script in ("site.sh", "slides.sbatch", "cohort.sbatch", "job.bash"):
        assert (folder / script).read_text() == (ROOT / "slurm" / script).read_text()
    (folder / "site.sh").write_text("mine")
    refused = installed.runs("hypoxia-hpc", "slurm", folder, code=2).stderr
    assert str(folder / "site.sh") in refused
    assert (folder / "site.sh").read_text() == "mine"


def test_an_image_is_built_from_what_the_wheel_holds(installed: Installed) -> None:
    """As far as a build goes without a base: everything that the definition copies lies in the folder it is built in,
    and the project that is installed inside is a whole one."""
    installed.runs("python", "-c", KEEP_THE_TREE)
    tree = installed.folder / "tree"
    for kind in ("cpu", "gpu", "gpu-torch"):
        text = (tree / "containers" / f"{kind}.def").read_text()
        copied = re.findall(r"^%files\n((?: +.+\n)+)", text, flags=re.MULTILINE)
        sources = [line.split()[0] for block in copied for line in block.splitlines() if "{{" not in line]
        assert len(sources) > 10
        assert [source for source in sources if not (tree / source).exists()] == []
    own = {
        path.relative_to(ROOT)
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".nbi", ".nbc")
    }
    assert {path for path in own if not (tree / path).exists()} == set()


def test_a_build_that_cannot_be_is_told(installed: Installed) -> None:
    nowhere = installed.runs("hypoxia-hpc", "image", "cpu", "images", code=4, PATH="/nowhere").stderr
    assert "apptainer is not on this machine" in nowhere and "remedy" in nowhere.lower()
    programs = installed.folder / "programs"
    programs.mkdir()
    (programs / "apptainer").symlink_to("/bin/false")  # it is there, and build.sh does not come as far as to call it
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    failed = installed.runs("hypoxia-hpc", "image", "cpu", "images", "--base", "no.sif", code=4, PATH=path).stderr
    assert "no.sif: No such file" in failed and "build.sh ended with exit code 1" in failed


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", {"COMP_WORDS": "hypoxia-hpc eva", "COMP_CWORD": "1"}),
        ("zsh", {"COMP_WORDS": "hypoxia-hpc eva", "COMP_CWORD": "1"}),
        ("fish", {"COMP_WORDS": "hypoxia-hpc eva", "COMP_CWORD": "eva"}),
    ],
)
def test_a_line_in_a_shell_s_start_up_file_completes_verbs(
    installed: Installed, shell: str, words: dict[str, str]
) -> None:
    script = installed.runs("hypoxia-hpc", _HYPOXIA_HPC_COMPLETE=f"{shell}_source").stdout
    assert "_HYPOXIA_HPC_COMPLETE" in script
    completed = installed.runs("hypoxia-hpc", **words, _HYPOXIA_HPC_COMPLETE=f"{shell}_complete").stdout
    assert "evaluate" in completed and "extract" not in completed


@pytest.mark.long
def test_the_demo_runs_in_an_empty_environment(alone: Installed) -> None:
    said = alone.runs("hypoxia-hpc", "demo", "demo", "--patients", "12").stdout
    assert (alone.folder / "demo" / "run" / "report" / "index.html").is_file(), said


def test_an_editable_installation_finds_the_folders_of_the_repository() -> None:
    assert shipped("containers") == ROOT / "containers"
    assert shipped("slurm") == ROOT / "slurm"
