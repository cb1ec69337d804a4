"""The CPU image: its own test passes without root, it says what it is, and every launcher joins its ranks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from image import CONTAINERS, image_of
from live_cluster import Cluster

import hypoxia_hpc

SAY_RANK = "from mpi4py import MPI; print(MPI.COMM_WORLD.allgather(MPI.COMM_WORLD.rank), MPI.get_vendor()[0])"
# Larger than what MPICH copies itself: the receiver would read the sender's memory.
EXCHANGE_8_MB = (
    "from mpi4py import MPI; import numpy; c = MPI.COMM_WORLD; got = numpy.empty(10**6); "
    "c.Sendrecv(numpy.full(10**6, float(c.rank)), 1 - c.rank, 0, got, 1 - c.rank); assert (got == 1 - c.rank).all()"
)


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> Path:
    return image_of(cluster)


def test_its_own_test_passes(cluster: Cluster, image: Path) -> None:
    done = cluster.run(["apptainer", "test", image], timeout=300, check=True)
    lines = done.stdout.splitlines()
    assert "tile: 1 done now, 0 done before" in lines
    assert "extract inception_v3: 1 done now, 0 done before" in lines
    assert lines.count("MPICH") == lines.count("Open MPI") == 2
    assert "check: JPEGs are kept in planes" in lines
    assert lines[-1] == "check: ok"


def test_it_is_hypoxia_hpc(cluster: Cluster, image: Path) -> None:
    said = cluster.run(["apptainer", "run", image, "--version"], check=True).stdout
    assert said == f"hypoxia-hpc, version {hypoxia_hpc.__version__}\n"


def test_labels_say_what_it_is_made_of(cluster: Cluster, image: Path) -> None:
    said = json.loads(cluster.run(["apptainer", "inspect", "--json", image], check=True).stdout)
    labels = said["data"]["attributes"]["labels"]
    locks = [(CONTAINERS / name).read_bytes() for name in ("cpu.lock", "openmpi.lock")]
    assert labels["org.opencontainers.image.version"] == hypoxia_hpc.__version__
    assert labels["hypoxia-hpc.lock"] == f"sha256:{hashlib.sha256(b''.join(locks)).hexdigest()}"
    assert labels["org.opencontainers.image.revision"]


def test_help_has_the_lines_to_type(cluster: Cluster, image: Path) -> None:
    said = cluster.run(["apptainer", "run-help", image], check=True).stdout
    for line in (
        "apptainer build --fakeroot cpu.sif containers/cpu.def",
        "make image-cpu",
        "apptainer run cpu.sif",
        "hypoxia-hpc submit",
    ):
        assert line in said


def test_it_needs_no_network(cluster: Cluster, image: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    cluster.run([*alone, "apptainer", "run", image, "doctor"], timeout=120, check=True)


def test_python_settings_of_the_host_stay_outside(cluster: Cluster, image: Path) -> None:
    modules = cluster.folder / "modules"
    modules.mkdir()
    (modules / "numpy.py").write_text("raise ImportError('numpy of the host')\n")
    host = {"PYTHONPATH": str(modules), "PYTHONHOME": "/no/such/python", "PYTHONSTARTUP": str(modules / "numpy.py")}
    look = f"import numpy, os; print(os.environ.keys() & {[*host]})"
    command = ["apptainer", "exec", "--bind", modules, image, "python", "-c", look]
    assert cluster.run(command, env=host, check=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("named", "taken"),
    [("/no/such/folder", "/opt/hypoxia/weights"), ("", "/opt/hypoxia/weights"), ("/opt/hypoxia", "/opt/hypoxia")],
)
def test_weights_of_the_image_serve_where_the_host_names_no_folder(
    cluster: Cluster, image: Path, named: str, taken: str
) -> None:
    assert folder_of_weights(cluster, image, named) == named
    weights = cluster.folder / "weights"
    weights.mkdir(exist_ok=True)
    (weights / "resnet50.h5").touch()
    assert folder_of_weights(cluster, image, named, "--bind", f"{weights}:/opt/hypoxia/weights") == taken


def folder_of_weights(cluster: Cluster, image: Path, named: str, *flags: str) -> str:
    """$HYPOXIA_HPC_WEIGHTS of a Python in the image, where the host says ``named``."""
    look = "import os; print(os.environ['HYPOXIA_HPC_WEIGHTS'])"
    command = ["apptainer", "exec", *flags, image, "python", "-c", look]
    return cluster.run(command, env={"HYPOXIA_HPC_WEIGHTS": named}, check=True).stdout.strip()


def test_what_is_installed_fits_together(cluster: Cluster, image: Path) -> None:
    said = cluster.run(["apptainer", "exec", image, "pip", "check"], timeout=120, check=True).stdout
    assert said == "No broken requirements found.\n"


@pytest.mark.long
def test_an_installed_wheel_builds_the_image_and_it_works(cluster: Cluster, image: Path) -> None:
    """`hypoxia-hpc image` to its end, by a user who has the wheel and no repository. Base and packages are those that
    are built already; the definition's own test is part of the build."""
    folder = cluster.folder / "wheel"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, CONTAINERS.parent], check=True)
    (wheel,) = folder.glob("*.whl")
    for layer in ("base", "cpu-packages"):
        for name in (f"{layer}.sif", f"{layer}.sif.made-of"):
            (folder / "images").mkdir(exist_ok=True)
            os.link(image.with_name(name), folder / "images" / name)
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, cluster.user, cluster.user)
    passed_on = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    cluster.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    cluster.run([folder / "venv" / "bin" / "pip", "install", "--quiet", wheel], env=passed_on, timeout=600, check=True)
    command = [folder / "venv" / "bin" / "hypoxia-hpc", "image", "cpu", folder / "images", "--base", "debootstrap"]
    built = cluster.run(command, env=passed_on, timeout=1200, check=True, cwd=folder)
    assert "base.sif is there, made of the same" in built.stdout
    assert "cpu-packages.sif is there, made of the same" in built.stdout
    cluster.run(["apptainer", "run", folder / "images" / "cpu.sif", "doctor"], timeout=120, check=True)


def test_mpiexec_outside_joins_containers(cluster: Cluster, image: Path) -> None:
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    assert mpiexec, "MPICH of the test extras is not installed beside python"
    ranks = [mpiexec, "-n", "2", "apptainer", "exec", image, "python", "-c"]
    assert cluster.run([*ranks, SAY_RANK], check=True).stdout == "[0, 1] MPICH\n" * 2
    cluster.run([*ranks, EXCHANGE_8_MB], check=True)


def test_mpirun_of_open_mpi_joins_containers(cluster: Cluster, image: Path) -> None:
    cluster.run(["apptainer", "exec", image, "cp", "-r", "/opt/hypoxia/openmpi", cluster.folder], check=True)
    mpirun = cluster.folder / "openmpi" / "bin" / "mpirun"
    ranks = [mpirun, "--oversubscribe", "-n", "2", "apptainer", "exec", image, "python", "-c"]
    assert cluster.run([*ranks, SAY_RANK], check=True).stdout == "[0, 1] Open MPI\n" * 2
    cluster.run([*ranks, EXCHANGE_8_MB], check=True)


def test_srun_joins_containers_on_two_nodes(cluster: Cluster, image: Path) -> None:
    ranks = ["srun", "--mpi=pmi2", "-N2", "-n4", "apptainer", "exec", image, "python", "-c", SAY_RANK]
    assert cluster.run(ranks, timeout=120, check=True).stdout == "[0, 1, 2, 3] MPICH\n" * 4
