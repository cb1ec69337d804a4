"""Weight files: found by name or path, checked by hash, and looked into for what a weights file must not have."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError

if TYPE_CHECKING:
    import h5py

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
STAGE_REMEDY = (
    "where there is internet, keras.applications.InceptionV3(include_top=False) (or ResNet50, VGG16) leaves the file "
    "in ~/.keras/models; copy it and name its folder in [site] weights or $HYPOXIA_HPC_WEIGHTS. To try the path "
    'without: [extract] weights = "random"'
)


def find_weights(table: ExtractTable, known_file: str, known_md5: str, weights_dir: Path | None) -> tuple[Path, str]:
    """The file that ``table.weights`` means and its SHA-256 (hex): ``known_file`` for "imagenet", else a path.

    Raises InputError (no weights file by its nature), MachineError (absent), NotReadyError (another hash).
    """
    if table.weights == "imagenet":
        path = _known_path(known_file, weights_dir)
        sha256 = _checked_digest(path, "md5", known_md5)
    else:
        path = _named_path(table.weights)
        sha256 = _checked_digest(path, "sha256", table.weights_sha256 or "")
    _refuse_unfit(path)
    return path, sha256


def _known_path(known_file: str, weights_dir: Path | None) -> Path:
    folder = weights_dir or default_folder()
    if not (folder / known_file).is_file():
        raise MachineError(
            f"the ImageNet weights are not on this machine: no file {known_file}",
            culprits=[f"looked in {folder}"],
            remedy=STAGE_REMEDY,
        )
    return folder / known_file


def default_folder() -> Path:
    """Where weights lie for whom [site] weights names no other folder."""
    named = os.environ.get("HYPOXIA_HPC_WEIGHTS")
    return Path(named) if named else Path.home() / ".keras" / "models"


def _named_path(weights: str) -> Path:
    path = Path(weights)
    if path.suffix != ".h5":
        raise InputError(
            f"[extract] weights = {weights!r} is not a weights file: its name must end in .weights.h5 or .h5",
            remedy="save the weights alone (model.save_weights); whole models and pickles can run code and are refused",
        )
    if not path.is_file():
        raise MachineError(
            f"the weights file {path.name} is not on this machine",
            culprits=[f"looked in {path.absolute().parent}"],
            remedy="copy it there, or mend [extract] weights",
        )
    return path


def _checked_digest(path: Path, algorithm: str, expected: str) -> str:
    """SHA-256 (hex) of a file whose digest by ``algorithm`` is ``expected``."""
    digests = _digests(path)
    if digests[algorithm] != expected:
        raise NotReadyError(
            f"{path} is not the file expected: its {algorithm} is {digests[algorithm]}, expected {expected}",
            remedy="fetch it again (a download may have been cut off), or name the file this hash belongs to",
        )
    return digests["sha256"]


def _digests(path: Path) -> dict[str, str]:
    """Both digests in one pass: a weights file has some 100 MB."""
    hashes = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            for one in hashes.values():
                one.update(block)
    return {name: one.hexdigest() for name, one in hashes.items()}


def _refuse_unfit(path: Path) -> None:
    """Nothing of the file is handed to Keras unless it is HDF5 with tensors of its own and no model in it."""
    import h5py

    with path.open("rb") as file:
        if file.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            raise _unfit(path, ["it is no HDF5 file"])
    try:
        with h5py.File(path, "r") as file:
            problems = _problems(file)
    except OSError as error:
        raise _unfit(path, [f"HDF5 cannot read it: {error}"]) from error
    if problems:
        raise _unfit(path, problems)


def _unfit(path: Path, problems: list[str]) -> InputError:
    return InputError(
        f"{path} is refused: it is no sound file of weights alone",
        culprits=problems,
        remedy="save the weights again with model.save_weights('NAME.weights.h5')",
    )


def _problems(file: h5py.File) -> list[str]:
    import h5py

    problems: list[str] = []

    def look_at_link(name: str, link: object) -> None:
        if not isinstance(link, h5py.HardLink):
            problems.append(f"{name} links elsewhere ({type(link).__name__})")

    def look_at_item(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            problems.append(f"{name} keeps its values in another file")

    if "model_config" in file.attrs or "model_weights" in file:
        problems.append("it holds a whole model")
    file.visititems_links(look_at_link)
    file.visititems(look_at_item)
    return problems
