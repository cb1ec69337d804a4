"""What doctor looks at beside the slides: libraries, devices, MPI ranks, Apptainer and its image, SLURM, disks."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypoxia_hpc.config import SiteTable, SlurmTable
from hypoxia_hpc.config.heads.registry import USELESS_CLUSTERINGS, USELESS_HEADS
from hypoxia_hpc.config.studies.registry import USELESS_STUDIES
from hypoxia_hpc.errors import HypoxiaError, MachineError
from hypoxia_hpc.machine.disks import free_room, mount_of
from hypoxia_hpc.machine.gpus import given_gpus
from hypoxia_hpc.machine.programs import container_program, query_program
from hypoxia_hpc.networks.backbones.resolve import useless_networks
from hypoxia_hpc.networks.runtime import backend_name, gpu_names, needs_torch, start_keras, versions
from hypoxia_hpc.runs.stages import registry, stages
from hypoxia_hpc.slides.openslide_reader import openslide_versions
from hypoxia_hpc.slides.turbojpeg import library
from hypoxia_hpc.workers.mpi import joined_ranks, launched_ranks, mpi_library
from hypoxia_hpc.workers.scratch import scratch_folder

LIBRARIES = (
    "numpy",
    "numba",
    "zarr",
    "openslide-python",
    "openslide-bin",
    "keras",
    "scikit-learn",
    "pandas",
    "imagecodecs",
    "simplejpeg",
    "pillow",
    "shapely",
    "scipy",
)
# A few slides of ordinary size, or the tiles of one.
LITTLE_BYTES = 5 * 2**30
# An image on a cold disk is mounted in some ten seconds.
IMAGE_SECONDS = 120

Verdict = Literal["ok", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table: ``ok``, ``note`` (missing, but not needed for everything) or ``bad``. ``slide``: which one
    it is about, else empty; of one that is bad ``reason`` is the word of its quarantine, ``remedy`` what to do."""

    name: str
    verdict: Verdict
    detail: str
    slide: str = ""
    reason: str = ""
    remedy: str = ""


def libraries() -> Check:
    missing = [name for name in LIBRARIES if not _version(name)]
    if missing:
        return Check("libraries", "bad", f"not installed: {', '.join(missing)}; pip install hypoxia-hpc again")
    return Check("libraries", "ok", ", ".join(f"{name} {_version(name)}" for name in LIBRARIES))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def plug_ins() -> Iterator[Check]:
    """What other packages add that cannot be used: runs that do not name it go on without it."""
    for group, useless in (
        ("network", useless_networks()),
        ("head", USELESS_HEADS),
        ("clustering", USELESS_CLUSTERINGS),
        ("study", USELESS_STUDIES),
        ("stage", registry().useless),
    ):
        yield from (Check(f"{group} {name}", "note", f"cannot be used: {why}") for name, why in useless.items())


def openslide() -> Check:
    try:
        versions = openslide_versions()
    except (ImportError, OSError) as error:
        return Check("openslide", "bad", f"{error}; pip install openslide-bin")
    return Check("openslide", "ok", f"library {versions['openslide']}")


def turbojpeg() -> Check:
    """Is the library there that keeps JPEGs in planes? Tiling is faster with it, the tiles are the same."""
    found = library()
    if found is None:
        packages = "libturbojpeg0 (Debian, Ubuntu), turbojpeg (Red Hat) or libjpeg-turbo (conda, modules)"
        return Check("turbojpeg", "note", f"not on this machine; {packages} makes JPEG slides faster to tile")
    return Check("turbojpeg", "ok", f"{found._name}: JPEGs that are not reduced are tiled from planes")


def backend() -> Check:
    """What Keras runs on, and the GPUs that it sees. Without one a machine still tiles, submits and looks at runs."""
    try:
        start_keras()
    except (HypoxiaError, ImportError) as error:
        return Check("backend", "bad", str(error))
    name = backend_name()
    why = f" for {needs_torch()}" if needs_torch() else ""
    installed = f"{name} {versions()[name]}{why}"
    gpus = gpu_names()
    given = "" if gpus else given_gpus(os.environ)
    seen = ", ".join(gpus) or f"on CPU, it sees no GPU{f', and {given} gives it one' if given else ''}"
    return Check("backend", "ok" if gpus else "bad" if given else "note", f"{installed}: {seen}")


def mpi() -> Check:
    """The library and, where a launcher started this process, whether its ranks see each other."""
    library, found = mpi_library()
    if not found:
        return Check("mpi", "note", f"{library}; needed only for --mpi")
    _, said_by = launched_ranks(os.environ)
    if said_by in ("", "SLURM_NTASKS"):  # in a batch script or an allocation, but not started by srun
        return Check("mpi", "ok", f"{library}; to look at ranks start doctor as you start them")
    try:
        return Check("mpi", "ok", f"{library}, {joined_ranks()}")
    except MachineError as error:
        return Check("mpi", "bad", str(error))


def apptainer() -> Check:
    """The program that starts images: Apptainer, or Singularity."""
    if inside := _image_around():
        return Check("apptainer", "ok", f"inside {inside}")
    answer, why = query_program(container_program(), "--version")
    if answer is None:
        return Check("apptainer", "note", f"{why}; needed only for images")
    return Check("apptainer", "ok", answer.strip())


def _image_around() -> str:
    names = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
    return next((os.environ[name] for name in names if name in os.environ), "")


def image(path: Path) -> Check:
    """Is the image of [site.slurm] here, and does this suite start in it?"""
    name = "image"
    if _image_around():
        return Check(name, "note", f"{path} cannot be tried from inside another one")
    if not path.exists():
        return Check(name, "bad", f"{path} does not exist; build or copy it, or mend [site.slurm] image")
    command = (container_program(), "exec", str(path), "hypoxia-hpc", "--version")
    answer, why = query_program(*command, patience=IMAGE_SECONDS)
    return Check(name, "bad", f"{path}: {why}") if answer is None else Check(name, "ok", f"{path}: {answer.strip()}")


def slurm(table: SlurmTable | None) -> Check:
    """Does the controller answer, and has it the partitions of [site.slurm]?"""
    answer, why = query_program("sinfo", "--noheader", "--format=%R")
    if answer is None:
        return Check("slurm", "note", f"{why}; needed only for submit")
    there = sorted(set(answer.split()))
    missing = [] if table is None else missing_partitions(table, there)
    if missing:
        return Check("slurm", "bad", f"no partition {' or '.join(missing)} here; there are: {', '.join(there)}")
    return Check("slurm", "ok", f"partitions {', '.join(there)}")


def missing_partitions(table: SlurmTable, there: Collection[str]) -> list[str]:
    """Those of [site.slurm], each of which may be a list as sbatch takes it, that are not ``there``."""
    of_stages = (table.own(stage.name).get("partition") for stage in stages())
    wanted = ",".join(filter(None, (table.partition, table.gpu_partition, *of_stages))).split(",")
    return [name for name in dict.fromkeys(wanted) if name and name not in there]


def disk(folder: Path) -> Check:
    """May this user write there, and is there room?"""
    room, mount = free_room(folder), mount_of(folder)
    free = room.nbytes or 0
    detail = f"{free / 2**30:,.1f} GiB free" + (f", {mount.kind}" if mount.kind else "")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(f"disk {folder}", "bad", f"{detail}, not writable")
    if room.files == 0:
        return Check(f"disk {folder}", "bad", f"{detail}, no inode free")
    return Check(f"disk {folder}", "ok" if free > LITTLE_BYTES else "note", detail)


def scratch(site: SiteTable, root: Path, slide_bytes: Collection[int]) -> Check:
    """Where slides are staged. ``slide_bytes``: sizes of the files that would be."""
    name = "scratch"
    try:
        folder = scratch_folder(site, root)
    except MachineError as error:
        # A login node need not have what the nodes have.
        return Check(name, "bad" if "SLURM_JOB_ID" in os.environ else "note", f"{error.problem}; look on a node")
    there = folder if folder.exists() else folder.parent
    name = f"scratch {folder}"
    if not os.access(there, os.W_OK | os.X_OK):
        verdict: Verdict = "bad" if site.stage_slides else "note"
        return Check(name, verdict, "does not exist here" if not there.exists() else "not writable")
    free, mount = free_room(there).nbytes or 0, mount_of(there)
    notes = list(_scratch_notes(site, mount.kind, is_network=mount.is_network, is_memory=mount.is_memory))
    needed = max(slide_bytes, default=0) * (site.workers or 1) if site.stage_slides else 0
    if free < needed:
        lacking = f"{needed / 2**30:,.1f} GiB are needed: the largest slide for each worker"
        return Check(name, "bad", f"{free / 2**30:,.1f} GiB free, {lacking}")
    detail = ", ".join([f"{free / 2**30:,.1f} GiB free", f"{mount.kind or 'unknown kind'}", *notes])
    return Check(name, "note" if notes else "ok", detail)


def _scratch_notes(site: SiteTable, kind: str, *, is_network: bool, is_memory: bool) -> Iterator[str]:
    if is_network:
        yield "a network file system: staging slides there gains nothing"
    if is_memory and site.stage_slides:
        yield f"{kind} is memory: staged slides count as the job's"
