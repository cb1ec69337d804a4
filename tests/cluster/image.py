"""Images of this checkout, built for real by the user of the cluster, and kept for the next time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from live_cluster import Cluster, Completed, control

CONTAINERS = Path(__file__).parents[2] / "containers"
# For all of it on busy cores. PyTorch and CUDA are 3 GB to fetch.
MINUTES = {"cpu": 20, "gpu-torch": 90}


def build_image(
    kind: str, folder: Path, as_user: Callable[[Sequence[str | Path], Mapping[str, str], float], Completed]
) -> Path:
    """The image that the definition ``kind`` describes, in ``folder``, made anew if what it is made of has changed; no
    container registry is asked. Its own test is left to ``test_its_own_test_passes``. Packed by lz4, of which
    TensorFlow is imported in two thirds of the time. ``as_user`` runs a command with an environment and a limit in
    seconds. Raises AssertionError with the end of what it said."""
    passed_on = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment = {"BASE": "debootstrap", "BUILD_FLAGS": "--notest", "COMPRESSION": "lz4", **passed_on}
    done = as_user([CONTAINERS / "build.sh", kind, folder], environment, MINUTES[kind] * 60)
    assert done.returncode == 0, f"the image cannot be built:\n{(done.stdout + done.stderr)[-5000:]}"
    return folder / f"{kind}.sif"


def image_of(cluster: Cluster, kind: str = "cpu") -> Path:
    """The image, built by the user of the cluster. Without Apptainer the test is skipped; with HYPOXIA_CLUSTER=1 it
    fails."""
    if shutil.which("apptainer") is None and os.environ.get("HYPOXIA_CLUSTER") != "1":
        pytest.skip("not installed: apptainer (as root: tests/cluster/live/apptainer.sh USER)")
    images = cluster.home.with_name("hypoxia-images")
    images.mkdir(exist_ok=True)
    shutil.chown(images, cluster.user, cluster.user)
    control("allow", str(CONTAINERS), str(images))
    return build_image(kind, images, lambda argv, environment, limit: cluster.run(argv, env=environment, timeout=limit))
