"""The image of PyTorch: its own test passes, and a foundation model by name goes through ``submit`` in it, from a login
node that may lack PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chains import CHAIN, SITE, Scheduler, logs, own
from fault_runs import change_setting, make_cohort
from image import image_of
from live_cluster import Cluster

from hypoxia_hpc.stores.attributes import read_feature_attributes
from hypoxia_hpc.stores.features import open_features

pytestmark = pytest.mark.long
KAIKO = (
    ("tile", "tile_px", "64"),
    ("extract", "name", '"kaiko"'),
    ("extract", "backbone", '"kaiko-s16"'),
    ("train", "heads", '["logistic", "attention"]'),
    ("site.slurm", "most_elements", "2"),
)


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> Path:
    return image_of(cluster, "gpu-torch")


def test_its_own_test_passes(cluster: Cluster, image: Path) -> None:
    lines = cluster.run(["apptainer", "test", image], timeout=1200, check=True).stdout.splitlines()
    assert "extract kaiko by kaiko-s16: 1 done now, 0 done before" in lines
    assert lines.count("MPICH") == lines.count("Open MPI") == 2
    assert lines[-1] == "check: ok"


def test_it_has_no_tensorflow(cluster: Cluster, image: Path) -> None:
    look = "import importlib.util as found; print([found.find_spec(one) is None for one in ('tensorflow', 'torch')])"
    assert cluster.run(["apptainer", "exec", image, "python", "-c", look], check=True).stdout == "[True, False]\n"


def test_a_foundation_model_goes_through_submit(cluster: Cluster, image: Path) -> None:
    folder = cluster.folder / "kaiko"
    run = make_cohort(folder, 8)
    for table, entry, value in (*SITE, *KAIKO, ("site.slurm", "image", f'"{image}"')):
        change_setting(run, table, entry, value)
    own(cluster, folder)
    scheduler = Scheduler(cluster, image, run)
    planned = scheduler.hypoxia("submit", run, "--dry-run")
    assert "the jobs of all stages run Keras on PyTorch" in " ".join(planned.stderr.split()), planned.stderr
    sent = scheduler.submit(run)
    assert tuple(sent) == CHAIN
    states = scheduler.wait(sent, 1800)
    assert {*states.values()} == {"COMPLETED"}, f"{states}\n{logs(run)}"
    stores = [*(run / "features" / "kaiko").iterdir()]
    assert len(stores) == 8
    assert {open_features(store).values.shape[1] for store in stores} == {384}
    assert {backend_of(store) for store in stores} == {"torch"}
    trained = [json.loads(file.read_text())["compute"]["backend"] for file in (run / "models").glob("*/model.json")]
    assert {*trained} == {"torch"}
    assert (run / "report" / "index.html").stat().st_size > 100_000
    assert scheduler.status(run)["backend"] == "torch"


def backend_of(store: Path) -> str:
    attributes = read_feature_attributes(store)
    assert attributes is not None
    return attributes.compute.backend
