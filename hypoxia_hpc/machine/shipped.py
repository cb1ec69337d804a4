"""What lies beside the package in its repository, and in it where it was installed from a wheel: the recipes of images
and the job scripts to edit. setup.py puts it there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypoxia_hpc.errors import MachineError

PACKAGE = Path(__file__).parents[1]
SHIPPED = "shipped"


def shipped(name: str) -> Path:
    """The folder of this name, ``containers`` or ``slurm``. Raises MachineError where an installation lacks it."""
    for folder in (PACKAGE / SHIPPED, PACKAGE.parent):
        if (folder / name).is_dir() and (folder / "setup.py").is_file():
            return folder / name
    raise MachineError(
        f"{PACKAGE} was installed without the folder {name} of its repository",
        remedy="use an installation by pip, from the wheel or the repository: what an image holds cannot build images",
    )


@contextmanager
def source_tree() -> Iterator[Path]:
    """A folder laid out as the repository, for as long as the block lasts: what an image is built from."""
    folder = shipped("containers").parent
    if folder == PACKAGE.parent:
        yield folder
        return
    with TemporaryDirectory(prefix="hypoxia-source-") as temporary:
        shutil.copytree(folder, temporary, dirs_exist_ok=True)
        leave_out = shutil.ignore_patterns("__pycache__", SHIPPED)
        shutil.copytree(PACKAGE, Path(temporary) / PACKAGE.name, ignore=leave_out)
        yield Path(temporary)
