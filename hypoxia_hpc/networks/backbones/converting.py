"""A file of PyTorch's tensors to safetensors: read in a process of its own that takes tensors alone."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones.weights import SAFETENSORS, file_digests
from hypoxia_hpc.stores.commit import committing_file

# Names under which training keeps a model's tensors beside its own.
INNER = ("state_dict", "model", "teacher")
REFUSED = 2
_CODE = """
import os, sys, torch
from safetensors.torch import save_file
source, target = sys.argv[1:3]
try:
    found = torch.load(source, map_location="cpu", weights_only=True)
except Exception as error:
    print("it holds more than tensors, or is damaged: " + str(error).splitlines()[0])
    sys.exit(2)
path = []
while isinstance(found, dict) and not all(isinstance(one, torch.Tensor) for one in found.values()):
    inner = [name for name in sys.argv[3:] if isinstance(found.get(name), dict)]
    if len(inner) != 1:
        print("it is no table of tensors by name, and has no one part of it that is")
        sys.exit(2)
    path.append(inner[0])
    found = found[inner[0]]
if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found):
    print("it is no table of tensors by name")
    sys.exit(2)
save_file({name: one.detach().clone().contiguous() for name, one in found.items()}, target)
print(len(found), *path)
"""


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written: the number of tensors, the part of the file they were in ("" for all of it), the SHA-256."""

    n: int
    part: str
    sha256: str


def convert(source: Path, target: Path) -> Converted:
    """Write the tensors of a .bin, .pt or .pth to ``target``. Raises InputError (the target's name or the file's
    content), MachineError (PyTorch or the file is missing), NotReadyError (the target is there)."""
    _require_fit(source, target)
    with committing_file(target) as temporary:
        n, part = write_tensors(source, temporary)
    return Converted(n, part, file_digests(target, ("sha256",))["sha256"])


def write_tensors(source: Path, target: Path) -> tuple[int, str]:
    """Their number, and the part of ``source`` that they were in. Raises InputError (the file's content), MachineError
    (the process failed, as where memory ends)."""
    command = [sys.executable, "-I", "-c", _CODE, str(source), str(target), *INNER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    said = done.stdout.strip()
    if done.returncode == REFUSED:
        raise InputError(
            f"{source} cannot be converted: {said}",
            remedy="take the file that the model's makers publish; nothing of it was executed",
        )
    if done.returncode:
        told = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise MachineError(
            f"{source} could not be converted: {told}", remedy="see that there is memory and room for it twice"
        )
    n, *inner = said.split()
    return int(n), ".".join(inner)


def _require_fit(source: Path, target: Path) -> None:
    if target.suffix != SAFETENSORS:
        raise InputError(f"{target} does not end in {SAFETENSORS}", remedy=f"name it {target.stem}{SAFETENSORS}")
    if not source.is_file():
        raise MachineError(f"{source} is no file on this machine", remedy="check the path")
    if target.exists():
        raise NotReadyError(f"{target} is there already", remedy="delete it, or choose another name")
    if importlib.util.find_spec("torch") is None:
        raise MachineError(
            "PyTorch, which reads such files, is not installed here", remedy="pip install 'hypoxia-hpc[timm]'"
        )
