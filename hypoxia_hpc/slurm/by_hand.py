"""The job scripts for those who call sbatch themselves: written out, to be edited."""

from __future__ import annotations

from pathlib import Path

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.machine.shipped import shipped
from hypoxia_hpc.slurm.script import job_body
from hypoxia_hpc.stores.commit import committed_file

SCRIPTS = ("site.sh", "slides.sbatch", "cohort.sbatch")
JOB = "job.bash"


def write_scripts(folder: Path) -> None:
    """Write ``SCRIPTS`` and what they source into a folder. Raises InputError, before anything is written, where one is
    there already: it may have been edited."""
    if there := [str(folder / name) for name in (*SCRIPTS, JOB) if (folder / name).exists()]:
        raise InputError(
            f"{folder} has job scripts already, and they may have been edited",
            offending=there,
            remedy="give another folder, or move them away",
        )
    texts = {name: (shipped("slurm") / name).read_text(encoding="utf-8") for name in SCRIPTS} | {JOB: job_body()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        committed_file(folder / name, text.encode())
