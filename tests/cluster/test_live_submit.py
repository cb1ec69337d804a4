"""``submit`` and what goes with it, towards a real controller: nothing of a chain has to run for that."""

from __future__ import annotations

import shutil
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
from chains import jobs, own
from fault_runs import change_setting, finish, start
from live_cluster import Cluster, Completed


def command(cluster: Cluster, *arguments: str | Path) -> Completed:
    """The command line as installed on the login node, as the user."""
    return cluster.run([sys.executable, "-m", "hypoxia_hpc", *arguments], timeout=120)


def test_a_site_file_from_what_this_cluster_says(cluster: Cluster) -> None:
    hypoxia = partial(command, cluster)
    home = Path(cluster.environment["HOME"])
    file = home / ".config" / "hypoxia_hpc" / "site.toml"
    try:
        done = hypoxia("site")
        assert done.returncode == 0, done.stderr
        text = file.read_text()
        assert tomllib.loads(text) == {"site": {"slurm": {}}}
        for line in ('# partition = "normal"', '# partition = "urgent"', '# account = "lab"'):
            assert line in text.splitlines()
        assert hypoxia("site").returncode == 2, "it may have been edited"
    finally:
        file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def run(cluster: Cluster, real_slide: Path) -> Path:
    """Two slides of which nothing is done, an element each, in nodes that give no memory by request."""
    folder = cluster.folder / "submit"
    for name in ("a", "b"):
        (folder / "slides" / name).mkdir(parents=True)
        shutil.copy(real_slide, folder / "slides" / name / f"{name}.svs")
    made = folder / "run"
    finish(start("init", made, "--slides", folder / "slides"))
    change_setting(made, "extract", "weights", '"random"')
    for entry, value in (("cpus", "1"), ("hours", "0.000001"), ("memory", '"none"')):
        change_setting(made, "site.slurm", entry, value)
    own(cluster, folder)
    return made


def test_a_chain_waits_for_a_job_of_the_user_and_is_cancelled_alone(cluster: Cluster, run: Path) -> None:
    hypoxia = partial(command, cluster)
    transfer = cluster.sbatch("--hold", "--output=/dev/null", "--wrap=true")
    try:
        done = hypoxia("submit", run, "--after", transfer)
        assert done.returncode == 0, done.stderr
        sent = {entry["stage"]: entry["job_id"] for entry in jobs(run)}
        assert list(sent) == ["tile", "extract"]
        for job in sent.values():
            assert {*cluster.squeue_states(job).values()} == {"PENDING"}
        (folder,) = (run / "slurm" / "logs").iterdir()
        assert folder.is_dir()
        done = hypoxia("cancel", run)
        assert done.returncode == 0, done.stderr
        assert " ".join(reversed(sent.values())) in done.stdout and "tile 0 of 2" in done.stdout
        for job in sent.values():
            assert {*cluster.squeue_states(job).values()} == {"CANCELLED"}
        assert cluster.squeue_states(transfer) == {transfer: "PENDING"}
        assert "nothing of this run" in hypoxia("cancel", run).stdout
    finally:
        cluster.run(["scancel", transfer], check=True)
    done = hypoxia("submit", run, "--after", "999999")
    assert done.returncode == 2
    assert "--after 999999" in done.stderr
