"""Runs on the live cluster: a cohort with one broken slide, submitted in an image, and what each has to equal."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_runs import change_setting, copy_run, digests, make_cohort, of
from live_cluster import Cluster, Completed, until

N_SLIDES = 24
BROKEN = "TCGA-ZZ-9999-01Z-00-DX1"
CHAIN = ("tile", "extract", "train", "evaluate", "report")
# Elements as small as they may be: the four parts of most_elements, six slides each. Time to stop: short, for tests.
SITE = (
    ("site.slurm", "cpus", "1"),
    ("site.slurm", "memory_gb", "3.0"),
    ("site.slurm", "hours", "0.000001"),
    ("site.slurm", "most_elements", "4"),
    ("site.slurm", "stop_seconds", "30"),
)


@dataclass(frozen=True)
class Scheduler:
    """Where the user of the cluster works: a cohort of which nothing is done, and the image."""

    cluster: Cluster
    image: Path
    untouched: Path

    def new_run(self, name: str, settings: Sequence[tuple[str, str, str]] = (), parts: Sequence[str] = ()) -> Path:
        """A run of the cohort of which nothing is done but ``parts`` of it, the user's own."""
        run = copy_run(self.untouched, self.cluster.folder / name, parts)
        for table, entry, value in settings:
            change_setting(run, table, entry, value)
        own(self.cluster, run)
        return run

    def hypoxia(self, *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 300) -> Completed:
        """The command line as installed on the login node, as the user."""
        return self.cluster.run([sys.executable, "-m", "hypoxia_hpc", *arguments], env=env, timeout=timeout)

    def in_image(self, *arguments: str | Path, timeout: float = 600) -> Completed:
        """The command line in the image, without SLURM, as the user."""
        inside = ["apptainer", "exec", "--bind", self.cluster.folder, self.image, "hypoxia-hpc"]
        return self.cluster.run([*inside, *arguments], timeout=timeout)

    def submit(self, run: Path, *options: str) -> dict[str, str]:
        """Submit a run: stage -> ids of the jobs that were sent now, with commas between them."""
        before = len(jobs(run))
        done = self.hypoxia("submit", run, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return ids_by_stage(jobs(run)[before:])

    def cancel(self, *sent: str) -> None:
        """Cancel jobs, as `submit` gives them."""
        self.cluster.run(["scancel", *",".join(sent).split(",")], check=True)

    def wait(self, sent: Mapping[str, str], timeout: float = 420, *, hurry: bool = True) -> dict[str, str]:
        """Wait for the end of all jobs: state of every element."""
        states: dict[str, str] = {}
        for job in sent.values():
            states |= self.cluster.wait(job, timeout, hurry=hurry)
        return states

    def status(self, run: Path) -> dict[str, Any]:
        """What ``status --json`` says."""
        done = self.hypoxia("status", run, "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def until_tiles(self, run: Path, n: int, timeout: float = 120) -> None:
        """Wait until ``n`` slides have tiles."""
        until(
            lambda: len(list((run / "tiles").glob("TCGA*.zarr"))) >= n,
            timeout,
            lambda: self.cluster.explain(f"{n} tiles"),
        )


def new_scheduler(cluster: Cluster, image: Path) -> Scheduler:
    """A cohort of 24 slides and one that is cut off, all the user's own."""
    folder = cluster.folder / "cohort"
    run = make_cohort(folder, N_SLIDES, broken=f"{BROKEN}.svs")
    for table, entry, value in (*SITE, ("site.slurm", "image", f'"{image}"')):
        change_setting(run, table, entry, value)
    own(cluster, folder)
    return Scheduler(cluster, image, run)


def own(cluster: Cluster, folder: Path) -> None:
    """Give a folder and all in it to the user."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, cluster.user, cluster.user)


def jobs(run: Path) -> list[dict[str, Any]]:
    """What submit has recorded, oldest first."""
    files = (run / "slurm" / "jobs").glob("*.json")
    return [json.loads(file.read_text()) for file in sorted(files, key=lambda file: int(file.stem))]


def ids_by_stage(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Stage -> ids of its jobs, with commas between them."""
    ids: dict[str, list[str]] = {}
    for entry in entries:
        ids.setdefault(entry["stage"], []).append(entry["job_id"])
    return {name: ",".join(of_stage) for name, of_stage in ids.items()}


def stage(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A stage of what status says."""
    found: Mapping[str, Any] = next(one for one in told["stages"] if one["stage"].startswith(name))
    return found


def logs(run: Path) -> str:
    """All that jobs of a run have said, for the message of a test that fails."""
    files = sorted((run / "slurm" / "logs").rglob("*.out"))
    return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


def tiles_of(run: Path) -> dict[str, str]:
    """Digests of every file of every tile store."""
    return of(digests(run), "tiles")
