"""Weights of foundation models that `weights fetch` put into the folder of weights, and the record beside each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.weights import KnownFile, default_folder
from hypoxia_hpc.reading import MOST_RECEIPT_BYTES, MOST_WEIGHTS_BYTES, read_json
from hypoxia_hpc.stores.commit import committed_file

RECORD = ".json"
_HEX = set("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file of weights is from: ``sha256`` (hex) of itself, and of the file ``file`` of ``repository`` at
    ``commit`` that it is, or was converted from, as the hub said."""

    sha256: str
    repository: str
    file: str
    file_sha256: str
    commit: str


def fetched_path(name: str, folder: Path | None) -> Path:
    """Where the weights of the foundation model of this name lie when they were fetched; models that differ in their
    tokens alone share a file."""
    return (folder or default_folder()) / MODELS[name].weights_name


def record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}{RECORD}")


def write_origin(path: Path, origin: Origin) -> None:
    committed_file(record_path(path), (json.dumps(asdict(origin), indent=1) + "\n").encode())


def read_origin(path: Path) -> Origin | None:
    """The record beside the weights at ``path``; None where there is none. Raises NotReadyError where it is none of
    ours."""
    place = record_path(path)
    if not place.is_file():
        return None
    try:
        found = read_json(place, MOST_RECEIPT_BYTES)
        return _origin(found)
    except (InputError, OSError, ValueError) as error:
        raise NotReadyError(
            f"{place} does not say where {path.name} is from: {error}", remedy=f"delete both, then fetch {path.stem}"
        ) from error


def _origin(found: Any) -> Origin:
    names = Origin.__dataclass_fields__
    if not isinstance(found, dict) or found.keys() != names.keys():
        raise ValueError("its entries are not " + ", ".join(names))
    if not all(isinstance(one, str) for one in found.values()):
        raise ValueError("not all of its entries are text")
    if len(found["sha256"]) != 64 or set(found["sha256"]) - _HEX:
        raise ValueError("sha256 is no SHA-256")
    return Origin(**found)


def fetched_file(name: str, folder: Path | None) -> KnownFile:
    """The file of the foundation model of this name, with the hash that it has to have. Raises MachineError (it is
    not here), NotReadyError (nothing says what it has to be)."""
    path = fetched_path(name, folder)
    if not path.is_file():
        raise MachineError(
            f"the weights of {name} are not on this machine: no file {path.name}",
            offending=[f"looked in {path.parent}"],
            remedy=f"where there is internet: hypoxia-hpc weights fetch {path.stem}; then copy {path.name} and "
            f"{record_path(path).name}, and name their folder in [site] weights or $HYPOXIA_HPC_WEIGHTS. A file that "
            'you have: [extract] weights = PATH and weights_sha256. To try the path without: weights = "random"',
        )
    origin = read_origin(path)
    if origin is None:
        raise NotReadyError(
            f"{path}: no file {record_path(path).name} beside it says which SHA-256 it has to have",
            remedy=f"copy that, too, from where weights fetch put both; or name the file in run.toml: weights = "
            f"{json.dumps(str(path))} and weights_sha256 = what sha256sum says",
        )
    return KnownFile(path.name, "", origin.sha256, most_bytes=MOST_WEIGHTS_BYTES)
