"""Apptainer images of this installation, built by ``containers/build.sh``."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

from hypoxia_hpc.errors import MachineError, Stopped
from hypoxia_hpc.machine.shipped import shipped, source_tree


def build_image(kind: str, folder: Path, base: str | None, stop: threading.Event) -> Path:
    """Build FOLDER/KIND.sif by containers/KIND.def and return its path. ``base`` as build.sh takes it; its other
    settings are those of the environment.

    Raises:
        MachineError: No Apptainer, no recipes, or a build that fails; what it printed stands above.
        Stopped: On request.
    """
    if shutil.which("apptainer") is None:
        raise MachineError(
            "apptainer is not on this machine",
            remedy="install it or load its module; or build the image where it is, and copy the .sif file",
        )
    # build.sh knows an unchanged image by the names of its files, too: that of a temporary folder changes.
    settings = {"WEIGHTS": str(shipped("containers") / "weights"), **os.environ}
    if base is not None:
        settings["BASE"] = base
    with source_tree() as source:
        command = ["bash", str(source / "containers" / "build.sh"), kind, str(folder)]
        code = subprocess.run(command, check=False, env=settings).returncode  # noqa: S603
    if stop.is_set():
        raise Stopped("stopped on request while building", remedy="run the same command again: what is built is kept")
    if code:
        raise MachineError(
            f"the image cannot be built: build.sh ended with exit code {code}",
            remedy="mend what is printed above; settings for sites without a registry: hypoxia-hpc image --help",
        )
    return folder.absolute() / f"{kind}.sif"
