"""The site file stands below [site] of each run.toml, entry by entry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypoxia_hpc.config import load_config
from hypoxia_hpc.config.site_file import VARIABLE, read_site_file, site_file
from hypoxia_hpc.errors import InputError

SITE = """\
[site]
workers = 7
scratch = "$DISK"
[site.slurm]
image = "../cpu.sif"
account = "lab"
cpus = 8
binds = ["/data"]
[site.slurm.extract]
account = "gpus"
gres = "gpu:2"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "etc" / "site.toml"
    path.parent.mkdir()
    path.write_text(SITE)
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def test_the_run_s_own_entries_win_one_by_one(file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.toml"
    run.write_text("[site.slurm]\ncpus = 2\n[site.slurm.extract]\ngres = 'gpu:1'\n")
    site = load_config(run).site
    assert (site.workers, site.scratch, site.slurm.account, site.slurm.cpus) == (7, "$DISK", "lab", 2)
    assert (site.slurm.image, site.slurm.binds) == (str(tmp_path / "cpu.sif"), ("/data",))
    assert (site.slurm.extract.account, site.slurm.extract.gres) == ("gpus", "gpu:1")
    run.write_text("")
    assert load_config(run).site.slurm.cpus == 8


def test_the_file_of_the_user_s_home_serves_unless_another_or_none_is_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert site_file() == file
    monkeypatch.setenv(VARIABLE, "")
    assert site_file() is None
    monkeypatch.delenv(VARIABLE)
    assert site_file() is None
    own = tmp_path / ".config" / "hypoxia_hpc" / "site.toml"
    own.parent.mkdir(parents=True)
    own.write_text(SITE)
    assert site_file() == own
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match=r"none\.toml, which is not there"):
        site_file()


def test_the_site_files_of_the_docs_are_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    for number, text in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        assert read_site_file(file)["slurm"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[site.slurm]\ncpu = 1", "site.slurm.cpu: unknown key"),
        ("[tile]\nmpp = 1.0", "a site file holds [site] and its tables alone, and this one has tile"),
        ("[site]\nworkers = 'x'", 'site.workers = "x": must be a whole number'),
        ("[site", "not valid TOML"),
    ],
)
def test_what_is_wrong_in_it_is_said_with_its_name(text: str, said: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_site_file(file)
    assert str(file) in caught.value.problem
    assert said in " ".join([caught.value.problem, *caught.value.offending])
