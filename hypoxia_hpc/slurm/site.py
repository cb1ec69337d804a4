"""A site file to edit, written from what SLURM says of its partitions, accounts and limits."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.config import toml_value
from hypoxia_hpc.config.slurm import SlurmTable
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.slurm.associations import Association, query_associations
from hypoxia_hpc.slurm.resources import mpi_types
from hypoxia_hpc.stores.commit import committed_file

PARTITION_FORMAT = "%P|%a|%l|%D|%c|%m|%G|%f"
_GPU = re.compile(r"gpu(?::[A-Za-z0-9_.-]+)?:[0-9]+")


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What was answered: ``sinfo`` in `PARTITION_FORMAT`, ``scontrol show config``, the user's accounts,
    ``srun --mpi=list``; empty where there was no answer."""

    partitions: str = ""
    config: str = ""
    associations: tuple[Association, ...] = ()
    mpi: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """A line of sinfo: one partition has several where its nodes differ."""

    name: str
    is_default: bool
    words: tuple[str, ...]
    gres: str
    features: str


def query_site() -> SiteFacts:
    """Ask SLURM. Raises MachineError where sinfo is not here or does not answer."""
    partitions, why = query_program("sinfo", "--noheader", f"--format={PARTITION_FORMAT}")
    if partitions is None:
        raise MachineError(
            f"SLURM cannot be asked: {why}",
            remedy="log in to the cluster; or write [site.slurm] by hand, see the docs, settings",
        )
    config, _ = query_program("scontrol", "show", "config")
    mpi, _ = query_program("srun", "--mpi=list")
    return SiteFacts(partitions, config or "", query_associations(), mpi or "")


def write_site_file(file: Path) -> None:
    """Write a site file. Raises InputError where one is there: it may have been edited."""
    if file.exists() or file.is_symlink():
        raise InputError(f"{file} is there already, and may have been edited", remedy="move it away, or name another")
    text = site_text(query_site(), platform.node())
    file.parent.mkdir(parents=True, exist_ok=True)
    committed_file(file, text.encode())


def site_text(facts: SiteFacts, host: str) -> str:
    """The text of a site file: what is certain as entries, what is to choose as comments."""
    head = [
        f"# Settings of this site for all runs. Made by hypoxia-hpc site on {_plain(host)}; to be edited.",
        "# A run.toml may say otherwise. Every entry: docs/settings.md.",
        "",
        "[site]",
        '# scratch = "$TMPDIR"  # a folder on a disk of the node itself',
        "",
        "[site.slurm]",
        '# image = "/path/to/cpu.sif"',
    ]
    found = parse_partitions(facts.partitions)
    lines = [*head, *_partition_lines(found), *_account_lines(facts), *_limit_lines(facts)]
    return "\n".join(lines) + "\n"


def parse_partitions(text: str) -> list[Partition]:
    """The lines of ``sinfo`` in `PARTITION_FORMAT`; others are left out."""
    rows = [line.strip().split("|") for line in text.splitlines()]
    return [
        Partition(row[0].removesuffix("*"), row[0].endswith("*"), tuple(row[1:6]), row[6], row[7])
        for row in rows
        if len(row) == 8
    ]


def _plain(text: str) -> str:
    """Without what would end a comment, or a terminal would obey."""
    return "".join(one for one in text if one.isprintable())


def _partition_lines(found: Sequence[Partition]) -> Iterator[str]:
    yield "# Partitions, as sinfo says: time limit, nodes, cores and MB of each, what else it has."
    for one in found:
        state, limit, nodes, cores, memory = one.words
        name = one.name + (" (default)" if one.is_default else "") + ("" if state == "up" else f" ({state})")
        extra = ", ".join(word for word in (one.gres, one.features) if word not in ("", "(null)"))
        yield _plain(f"#   {name}: {limit}, {nodes} x {cores} cores, {memory} MB{', ' if extra else ''}{extra}")
    without_gpus = [one.name for one in found if "gpu" not in one.gres]
    for name in dict.fromkeys(without_gpus or [one.name for one in found]):
        yield f"# partition = {toml_value(_plain(name))}"
    with_gpus = {one.name: match[0] for one in found if (match := _GPU.search(one.gres))}
    mark = "" if len(with_gpus) == 1 else "# "
    for name, gpus in with_gpus.items():
        kind = gpus.rpartition(":")[0]
        yield f"{mark}gpu_partition = {toml_value(_plain(name))}"
        yield f"{mark}gres = {toml_value(f'{kind}:1')}"


def _account_lines(facts: SiteFacts) -> Iterator[str]:
    for account in dict.fromkeys(one.account for one in facts.associations):
        yield f"# account = {toml_value(_plain(account))}"
    for qos in dict.fromkeys(name for one in facts.associations for name in one.qos):
        yield f"# qos = {toml_value(_plain(qos))}"
    limits = [one.most_jobs for one in facts.associations if one.most_jobs is not None]
    if limits:
        yield f"# An account lets its user have {min(limits)} jobs in the queue at once; each array element is one."
        yield f"most_elements = {max(1, (min(limits) - 3) // 2)}"


def _limit_lines(facts: SiteFacts) -> Iterator[str]:
    known = mpi_types(facts.mpi)
    usual = SlurmTable().mpi
    if known and usual not in known and "pmix" in known:
        yield 'mpi = "pmix"'
    selects = re.search(r"^SelectTypeParameters\s*=\s*(\S+)", facts.config, re.MULTILINE)
    if selects and "MEMORY" not in selects[1].upper():
        yield "# SLURM does not count memory here; for a site that refuses --mem:"
        yield '# memory = "none"'
    yield "# What one stage asks for otherwise:"
    yield "# [site.slurm.extract]"
    yield '# constraint = "gpu"'
