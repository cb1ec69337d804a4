"""``submit`` and what goes with it, towards a real controller: nothing of a chain has to run for that."""

from __future__ import annotations

import sys
import tomllib
from functools import partial
from pathlib import Path

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
