"""GPUs of a node: one for each worker process, of those that SLURM gave."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hypoxia_hpc.config import SiteTable
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.machine.gpus import first_gpus, given_gpus, gpus_of_node, use_gpu
from hypoxia_hpc.stages.extract import pool_size
from hypoxia_hpc.workers.pool import Finished, InOrder, ProcessPool


def devices(folder: Path, n: int) -> Path:
    for name in (*(f"nvidia{number}" for number in range(n)), "nvidiactl", "nvidia-uvm", "null"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, ["0", "1", "2"]),
        ("2,3", ["2", "3"]),
        ("GPU-5d1e, MIG-7f", ["GPU-5d1e", "MIG-7f"]),
        ("", []),
    ],
)
def test_those_that_slurm_lists_are_taken_else_all(tmp_path: Path, listed: str | None, expected: list[str]) -> None:
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert gpus_of_node(environment, devices(tmp_path, 3)) == expected


def test_fewer_than_asked_for_cannot_go_on() -> None:
    assert first_gpus(2, ["4", "5", "6"]) == ("4", "5")
    with pytest.raises(MachineError, match=r"\[site\] gpus = 2, and .* has 1 for this process: 4") as caught:
        first_gpus(2, ["4"])
    assert "gres" in caught.value.remedy
    with pytest.raises(MachineError, match="has 0 for this process: none"):
        first_gpus(1, [])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        ({"CUDA_VISIBLE_DEVICES": "0"}, "CUDA_VISIBLE_DEVICES=0"),
        ({"SLURM_JOB_GPUS": "2,3"}, "SLURM_JOB_GPUS=2,3"),
        ({"SLURM_GPUS_ON_NODE": "1"}, "SLURM_GPUS_ON_NODE=1"),
        ({"SLURM_GPUS_ON_NODE": "0"}, ""),
        ({"ROCR_VISIBLE_DEVICES": "1", "SLURM_JOB_GPUS": "0"}, "ROCR_VISIBLE_DEVICES=1"),
        # Hidden from this process, whatever the job has.
        ({"CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_GPUS": "0"}, ""),
        ({"CUDA_VISIBLE_DEVICES": "-1", "SLURM_STEP_GPUS": "0"}, ""),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, ""),
    ],
)
def test_who_was_given_gpus_is_told_by_the_environment(environment: dict[str, str], expected: str) -> None:
    assert given_gpus(environment) == expected


@pytest.mark.parametrize(
    ("workers", "gpus", "expected"),
    [(None, 0, 1), (3, 0, 3), (None, None, 1), (3, None, 3), (None, 4, 4), (2, 4, 2), (4, 4, 4)],
)
def test_a_process_for_each_gpu(workers: int | None, gpus: int | None, expected: int) -> None:
    assert pool_size(workers, SiteTable(gpus=gpus)) == expected


def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(InputError, match=r"--workers 5, and \[site\] gpus = 4"):
        pool_size(5, SiteTable(gpus=4))


def visible(item: str, tick: Callable[[int], None]) -> str:
    threading.Event().wait(0.3)  # so that each worker gets one
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_each_worker_sees_its_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5d1e,7")
    gpus = first_gpus(2, gpus_of_node(os.environ))
    stop = threading.Event()
    pool: ProcessPool[str, str] = ProcessPool(visible, 2, stop, init_worker=partial(use_gpu, gpus))
    events = list(pool.events(InOrder(deque(["a", "b"]), stop)))
    assert {event.item: event.result for event in events if isinstance(event, Finished)} == {"a": "2", "b": "GPU-5d1e"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,GPU-5d1e,7"
