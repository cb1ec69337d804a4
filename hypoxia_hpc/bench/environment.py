"""What a figure was measured on: the machine, its software and this code. No name of a host, a user or a file."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import hypoxia_hpc
from hypoxia_hpc.bench.rounds import usable_cores
from hypoxia_hpc.errors import HypoxiaError
from hypoxia_hpc.machine.disks import mount_of
from hypoxia_hpc.machine.programs import query_program
from hypoxia_hpc.networks.runtime import backend_name
from hypoxia_hpc.reading import UnfitFileError, sha256_of
from hypoxia_hpc.records import Json

LIBRARIES = (
    *("numpy", "numba", "scipy", "openslide-python", "openslide-bin", "imagecodecs", "simplejpeg", "pillow", "zarr"),
    *(
        "tiffslide",
        "cucim-cu12",
        "nvidia-nvimgcodec-cu12",
        "nvidia-nvjpeg-cu12",
        "keras",
        "tensorflow",
        "jax",
        "torch",
        "timm",
        "openvino",
    ),
)
# Topics of cases that have figures of a GPU.
OF_GPUS = ("networks", "decoding")
# Where Apptainer and Singularity say which image a process runs in.
IMAGE = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
MOST_IMAGE_BYTES = 2**36
PACKAGE = Path(hypoxia_hpc.__file__).parent


@dataclass(frozen=True, slots=True)
class Environment:
    """``file_system``: the type of the one that was worked on; ``container``: digest of the image; ``package``: the
    version of this one; ``commit``: of its checkout; ``backend``: what Keras runs networks on. Empty where there is
    none, or it is not known."""

    processor: str
    cores: int
    memory_gb: float
    gpus: list[str]
    driver: str
    file_system: str
    container: str
    system: str
    python: str
    package: str
    libraries: dict[str, str]
    commit: str
    backend: str = ""


def environment(folder: Path) -> Environment:
    """The one that a figure is measured in, with work in ``folder``."""
    gpus, driver = graphics()
    return Environment(
        processor=processor(),
        cores=len(usable_cores()),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        gpus=gpus,
        driver=driver,
        file_system=mount_of(folder).kind,
        container=container_digest(),
        system=platform.system(),
        python=platform.python_version(),
        package=hypoxia_hpc.__version__,
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
        commit=_commit(),
        backend=keras_backend(),
    )


def machine() -> Json:
    """The environment of the working directory, and how busy the machine is."""
    return {**asdict(environment(Path.cwd())), "load_average": os.getloadavg()}


def gpu_figures_missing(where: Environment) -> str:
    """Why there is no figure of a GPU, and which command makes them."""
    why = "Keras did not use the GPU" if where.gpus else "none is seen here"
    return f"{why}; where there is one: hypoxia-hpc bench {' '.join(f'--only {topic}' for topic in OF_GPUS)}"


def graphics() -> tuple[list[str], str]:
    """Names of the GPUs of NVIDIA and the version of their driver; empty without any."""
    answer, _ = query_program("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    rows = [line.rsplit(", ", 1) for line in (answer or "").splitlines() if ", " in line]
    return [row[0] for row in rows], rows[0][1] if rows else ""


@cache
def container_digest() -> str:
    """SHA-256 of the image file that this process runs in; ``unknown`` where that is not to be seen inside."""
    image = next((os.environ[name] for name in IMAGE if os.environ.get(name)), "")
    if not image:
        return ""
    try:
        return sha256_of(Path(image), MOST_IMAGE_BYTES)
    except (OSError, UnfitFileError):
        return "unknown"


def processor() -> str:
    """Model name, family and model of the first processor, as the kernel tells them."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    said = dict(line.split(":", 1) for line in lines[: lines.index("")] if ":" in line)
    fields = {name.strip(): value.strip() for name, value in said.items()}
    return " ".join(filter(None, (fields.get("model name"), f"family {fields.get('cpu family')}", fields.get("model"))))


def keras_backend() -> str:
    """What Keras runs on here, or will."""
    try:
        return backend_name()
    except HypoxiaError:
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """Of the checkout that this code lies in; an installed package may lie in a repository of another project."""
    if not (PACKAGE.parent / ".git").exists():
        return ""
    asked = ("git", "-C", str(PACKAGE), "describe", "--always", "--dirty", "--exclude=*")
    try:
        return subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except FileNotFoundError:
        return ""
