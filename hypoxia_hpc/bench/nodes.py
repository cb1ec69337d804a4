"""The compute nodes that jobs ran on, as SLURM describes them: it knows no model of a processor.

Features of nodes are free words of the site, which may name a rack or a group, and are not asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from hypoxia_hpc.bench.environment import MOST_IMAGE_BYTES, Environment, environment
from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.reading import UnfitFileError, sha256_of

NODES = "compute nodes"
# Cores, memory in MB, generic resources: the last may hold anything.
NODE_FORMAT = "%c|%m|%G"


def environment_of_nodes(names: Collection[str], folder: Path, image: Path | None) -> Environment:
    """That of jobs that ran on nodes of these names (``n[1-4]`` as well), with work in ``folder``. What is in an
    ``image`` is not known here, but for its digest."""
    lines, _ = query_program("sinfo", "--noheader", "--Node", f"--nodes={','.join(names)}", f"--format={NODE_FORMAT}")
    here = described(lines or "", environment(folder))
    if image is None:
        return here
    return replace(here, container=_digest(image), python="", libraries={}, commit="", backend="")


def described(lines: str, login: Environment) -> Environment:
    """The environment of the login node with what ``sinfo`` says of nodes in lines of `NODE_FORMAT`; of several kinds
    the one with the fewest cores, and how many kinds there are."""
    kinds = sorted({kind for line in lines.splitlines() if (kind := _kind(line)) is not None})
    if not kinds:
        return replace(login, processor=NODES, cores=0, memory_gb=0.0, gpus=[], driver="")
    cores, memory_mb, resources = kinds[0]
    words = [f"of {len(kinds)} kinds"] if len(kinds) > 1 else []
    gpus = [word for word in resources.split(",") if word.startswith("gpu")]
    memory_gb = round(memory_mb * 2**20 / 1e9, 1)
    return replace(login, processor=", ".join([NODES, *words]), cores=cores, memory_gb=memory_gb, gpus=gpus, driver="")


def _kind(line: str) -> tuple[int, int, str] | None:
    words = line.strip().split("|", 2)
    if len(words) < 3 or not _are_counts(*words[:2]):
        return None
    return int(words[0]), int(words[1]), words[2]


def _are_counts(*words: str) -> bool:
    return all(word.isascii() and word.isdecimal() and len(word) < 12 for word in words)


def _digest(image: Path) -> str:
    try:
        return sha256_of(image, MOST_IMAGE_BYTES)
    except (OSError, UnfitFileError):
        return "unknown"
