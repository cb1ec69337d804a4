"""A real SLURM cluster for the tests of this folder. Where none can be, they skip; with HYPOXIA_CLUSTER=1 they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chains import Scheduler, new_scheduler
from image import image_of
from live_cluster import Cluster, bring_up, control, is_up, why_not
from live_passed import LivePassed


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LivePassed(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder carries the mark ``cluster``."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, up. It is taken down at the end if it was not up before."""
    reason = why_not()
    if reason and os.environ.get("HYPOXIA_CLUSTER") != "1":
        pytest.skip(reason)
    assert not reason, reason
    was_up = is_up()
    try:
        yield bring_up()
    finally:
        if not was_up:
            control("down")


@pytest.fixture(scope="session")
def scheduler(cluster: Cluster) -> Scheduler:
    """A cohort of which nothing is done, and the image of this checkout, for the user of the cluster."""
    return new_scheduler(cluster, image_of(cluster))
