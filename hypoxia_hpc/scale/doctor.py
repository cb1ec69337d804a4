"""doctor: is this machine fit, and is every slide of a run? Looks, changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypoxia_hpc.errors import HypoxiaError, SlideError
from hypoxia_hpc.networks.runtime import gpu_names, start_keras
from hypoxia_hpc.records import Slide
from hypoxia_hpc.scale.machine import usable_cores
from hypoxia_hpc.scale.mpi import mpi_library
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.standing import run_spec
from hypoxia_hpc.slides.geometry import plan_tiles
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.openslide_reader import openslide_versions
from hypoxia_hpc.tiling.regions import regions_path

LIBRARIES = (
    "numpy",
    "numba",
    "zarr",
    "openslide-python",
    "openslide-bin",
    "tensorflow",
    "keras",
    "scikit-learn",
    "pandas",
    "imagecodecs",
    "simplejpeg",
    "pillow",
    "shapely",
    "scipy",
)
SCRATCH_BYTES = 5 * 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table: ``ok``, ``note`` (missing, but not needed for everything) or ``bad``."""

    name: str
    verdict: Literal["ok", "note", "bad"]
    detail: str


def examine_machine() -> Iterator[Check]:
    """Python, libraries, OpenSlide, the backend and its devices, MPI, Apptainer, SLURM, cores, scratch."""
    yield Check("python", "ok", platform.python_version())
    yield _libraries()
    yield _openslide()
    yield _backend()
    yield _mpi()
    for program, use in (("apptainer", "containers"), ("sbatch", "SLURM jobs")):
        found = shutil.which(program)
        yield Check(program, "ok" if found else "note", found or f"not on PATH; needed only for {use}")
    yield Check("cores", "ok", f"{usable_cores()} for this process")
    yield _scratch(Path(tempfile.gettempdir()))


def examine_run(run: RunDir) -> Iterator[Check]:
    """run.toml, tables, weights, and every slide's header planned by the tiling rule."""
    config = run.config()
    yield Check("run.toml", "ok", f"study {config.study}")
    slides, patients = run.slides(), run.patients()
    labelled = sum(patient.label is not None for patient in patients)
    yield Check("tables", "ok", f"{len(slides)} slides, {len(patients)} patients, {labelled} with a label")
    try:
        yield Check("weights", "ok", str(run_spec(config)["weights_digest"]))
    except HypoxiaError as error:
        yield Check("weights", "bad", str(error))
    yield _scratch(run.root)
    for slide in slides:
        yield _slide(run, slide)


def _libraries() -> Check:
    missing = [name for name in LIBRARIES if not _version(name)]
    if missing:
        return Check("libraries", "bad", f"not installed: {', '.join(missing)}; pip install hypoxia-hpc again")
    return Check("libraries", "ok", ", ".join(f"{name} {_version(name)}" for name in LIBRARIES))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _openslide() -> Check:
    try:
        versions = openslide_versions()
    except (ImportError, OSError) as error:
        return Check("openslide", "bad", f"{error}; pip install openslide-bin")
    return Check("openslide", "ok", f"library {versions['openslide']}")


def _backend() -> Check:
    backend = start_keras().backend.backend()
    if backend != "tensorflow":
        return Check("backend", "note", f"{backend}; this suite is tested on tensorflow")
    gpus = gpu_names()
    return Check("backend", "ok" if gpus else "note", ", ".join(gpus) or "tensorflow on CPU: it sees no GPU")


def _mpi() -> Check:
    library, found = mpi_library()
    return (
        Check("mpi", "ok", library) if found else Check("mpi", "note", f"{library}; needed only to spread over nodes")
    )


def _scratch(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    writable = os.access(folder, os.W_OK)
    verdict: Literal["ok", "note", "bad"] = "bad" if not writable else "ok" if free > SCRATCH_BYTES else "note"
    return Check(f"disk {folder}", verdict, f"{free / 2**30:.1f} GiB free" + ("" if writable else ", not writable"))


def _slide(run: RunDir, slide: Slide) -> Check:
    name = f"slide {slide.slide_id}"
    try:
        table = run.config().tile
        if table.regions:
            regions_path(Path(table.regions), slide.slide_id)
        with opened_slide(slide.path) as opened:
            pyramid = opened.pyramid
            plan = plan_tiles(pyramid, table, slide.mpp)
            reader = opened.reading(plan, table.reduce).reader
    except SlideError as error:
        return Check(name, "bad", f"{error.reason}: {error.problem}")
    width, height = pyramid.size_l0
    where = f"{plan.mpp:g} µm/px from {plan.mpp_source}"
    return Check(
        name, "ok", f"{pyramid.vendor} {width} x {height} px, {where}, {plan.n_tiles:,} tiles planned, {reader}"
    )
